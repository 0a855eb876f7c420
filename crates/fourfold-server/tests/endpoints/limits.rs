//! Sizes and quotas.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use fourfold_server::store::sqlite::{self, SqliteStore};
use fourfold_server::store::{Store, UserId};
use http::Request;
use hyper::body::Frame;
use serde_json::json;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::under_test::{PASSWORD, Person, UnderTest, percent_encode};

fn object(length: usize) -> String {
    format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8))
}

// shows: SRV-10, AD-05
#[tokio::test]
async fn a_content_has_a_largest_size() {
    let server = UnderTest::with(|config| config.limits.body.account_data = 1000).await;
    let alice = server.register("alice").await;
    server.put(&alice, "m.x", &object(1000)).await.ok();
    server
        .put(&alice, "m.x", &object(1001))
        .await
        .is(413, "M_TOO_LARGE");
    assert_eq!(
        server.get(&alice, &alice.path("m.x")).await.body.len(),
        1000
    );
}

#[tokio::test]
async fn the_default_size_is_a_mebibyte() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    server.put(&alice, "m.x", &object(1024 * 1024)).await.ok();
    server
        .put(&alice, "m.x", &object(1024 * 1024 + 1))
        .await
        .is(413, "M_TOO_LARGE");
}

// shows: SRV-10, AD-05
#[tokio::test]
async fn a_body_without_end_is_cut_off() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let endless = Endless(0);
    let token = Some(alice.token.as_str());
    let reply = server
        .send("PUT", &alice.path("m.x"), token, Body::new(endless))
        .await;
    reply.is(413, "M_TOO_LARGE");
}

/// A body of spaces that never ends, but gives up the test when it is read too far.
struct Endless(usize);

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.0 += 1;
        assert!(self.0 < 1000, "read on and on");
        let frame = Frame::data(Bytes::from_static(&[b' '; 4096]));
        Poll::Ready(Some(Ok(frame)))
    }
}

// shows: SRV-10, AD-06
#[tokio::test]
async fn depth_has_a_limit() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let nested = |depth: usize| "{\"a\":".repeat(depth - 1) + "{}" + &"}".repeat(depth - 1);
    server.put(&alice, "m.x", &nested(64)).await.ok();
    server
        .put(&alice, "m.x", &nested(65))
        .await
        .is(400, "M_BAD_JSON");
    assert_eq!(
        server.put(&alice, "m.x", &nested(100_000)).await.status,
        400
    );
    let million: Vec<_> = (0..1_000_000).map(|n| format!("\"{n}\":0")).collect();
    let million = format!("{{{}}}", million.join(","));
    server
        .put(&alice, "m.x", &million)
        .await
        .is(413, "M_TOO_LARGE");
    let many: Vec<_> = (0..60_000).map(|n| format!("\"{n}\":0")).collect();
    server
        .put(&alice, "m.x", &format!("{{{}}}", many.join(",")))
        .await
        .ok();
}

// shows: SRV-10, AD-13
#[tokio::test]
async fn one_user_has_so_many_types_and_bytes_and_no_more() {
    let server = UnderTest::with(|config| {
        config.storage.quotas.account_data.types = 3;
        config.storage.quotas.account_data.bytes = 1000;
    })
    .await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    for event_type in ["a", "b", "c"] {
        server.put(&alice, event_type, "{}").await.ok();
    }
    server.put(&alice, "d", "{}").await.is(413, "M_TOO_LARGE");
    server.put(&alice, "a", &object(980)).await.ok();
    server
        .put(&alice, "b", &object(30))
        .await
        .is(413, "M_TOO_LARGE");
    server.put(&alice, "a", "{}").await.ok();
    server.put(&alice, "b", &object(30)).await.ok();
    server.put(&bob, "d", &object(900)).await.ok();
}

// shows: SRV-10, AD-13
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ad_13_types_beyond_the_quota_are_refused_and_others_have_their_room() {
    let server = Arc::new(UnderTest::start().await);
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let mut writers = JoinSet::new();
    for writer in 0..50 {
        let (server, alice) = (Arc::clone(&server), alice.clone());
        writers.spawn(async move {
            let mut refused = 0;
            for number in 0..50 {
                let event_type = format!("m.{}", writer * 50 + number);
                let reply = server.put(&alice, &event_type, "{}").await;
                if reply.status != 200 {
                    reply.is(413, "M_TOO_LARGE");
                    refused += 1;
                }
            }
            refused
        });
    }
    let refused: u32 = writers.join_all().await.into_iter().sum();
    assert_eq!(refused, 500);
    server.put(&bob, "m.x", "{}").await.ok();
    // What is there may change, and is shown.
    let first = &server.sync(&alice, "").await["account_data"]["events"][0];
    let first = first["type"].as_str().unwrap();
    server.put(&alice, first, r#"{"n":1}"#).await.ok();
    let sync = server.sync(&alice, "").await;
    let events = sync["account_data"]["events"].as_array().unwrap();
    // With the push rules, which the server writes itself.
    assert_eq!(events.len(), 2_001);
}

// shows: SRV-10
#[tokio::test]
async fn one_user_has_so_many_devices_and_filters() {
    let server = UnderTest::with(|config| {
        config.storage.quotas.devices = 2;
        config.storage.quotas.filters = 1;
    })
    .await;
    let alice = server.register("alice").await;
    server.login("alice", "SECOND").await;
    server.login("alice", "SECOND").await;
    let third = json!({
        "type": "m.login.password", "user": "alice", "password": PASSWORD, "device_id": "THIRD",
    });
    server.post("/login", third).await.is(413, "M_TOO_LARGE");
    let path = format!("/user/{}/filter", alice.user);
    let token = Some(alice.token.as_str());
    server.send("POST", &path, token, "{}").await.ok();
    server.send("POST", &path, token, "{}").await.ok();
    server
        .send("POST", &path, token, r#"{"room":{}}"#)
        .await
        .is(413, "M_TOO_LARGE");
}

// shows: SRV-10
#[tokio::test]
async fn what_a_filter_costs_a_sync_has_a_bound() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let path = format!("/user/{}/filter", alice.user);
    let token = Some(alice.token.as_str());
    let filter =
        |patterns: Vec<String>| json!({ "account_data": { "not_types": patterns } }).to_string();
    let stars = |count: usize| filter(vec![format!("{}x", "*a".repeat(count))]);
    let names = |count: usize| filter((0..count).map(|n| format!("m.{n}*")).collect());
    for (allowed, refused) in [
        (names(1_000), names(1_001)),
        (stars(32), stars(33)),
        (filter(vec!["x".repeat(255)]), filter(vec!["x".repeat(256)])),
    ] {
        server
            .send("POST", &path, token, allowed.clone())
            .await
            .ok();
        let refusal = server.send("POST", &path, token, refused.clone()).await;
        refusal.is(400, "M_INVALID_PARAM");
        let sync = |filter: &str| format!("/sync?filter={}", percent_encode(filter));
        server.get(&alice, &sync(&allowed)).await.ok();
        let refusal = server.get(&alice, &sync(&refused)).await;
        refusal.is(400, "M_INVALID_PARAM");
    }
    let large = names(50_000);
    let refusal = server.send("POST", &path, token, large).await;
    refusal.is(413, "M_TOO_LARGE");
}

// shows: SRV-10
#[tokio::test]
async fn a_filter_that_was_stored_before_there_was_a_bound_is_refused_in_syncs() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let server = server.stop().await;
    let patterns: Vec<_> = (0..52_000).map(|n| format!("m.{n}*")).collect();
    let definition = json!({ "account_data": { "not_types": patterns } }).to_string();
    let options = sqlite::Options::new("localhost");
    let file = sqlite::file_in(&server.folder.path().join("data"));
    let store = SqliteStore::open(&file, options).unwrap();
    let user = UserId::new(alice.user.as_str());
    let id = store.put_filter(&user, definition.into()).await.unwrap();
    let kept = store.filter(&user, id).await.unwrap().unwrap();
    // What is made of it stays with it, so it must be the same one.
    let again = store.filter(&user, id).await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&kept, &again));
    store.close().await;
    drop(store);
    let server = server.start_again().await;
    let refusal = server.get(&alice, &format!("/sync?filter={id}")).await;
    refusal.is(400, "M_INVALID_PARAM");
    server.sync(&alice, "").await;
}

/// A body that never comes.
struct Never;

impl HttpBody for Never {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

// shows: SRV-11
#[tokio::test(start_paused = true)]
async fn a_user_has_so_many_bodies_on_their_way() {
    let server = UnderTest::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let send = |person: &Person| {
        let path = format!("/user/{}/account_data/m.x", person.user);
        let (token, router) = (person.token.clone(), server.router.clone());
        let request = Request::builder()
            .method("PUT")
            .uri(format!("/_matrix/client/v3{path}"))
            .header("authorization", format!("Bearer {token}"));
        let never = Body::new(Never);
        let answer = router.oneshot(request.body(never).unwrap());
        async move { answer.await.unwrap().status().as_u16() }
    };
    let mut sent = JoinSet::new();
    for person in std::iter::repeat_n(&alice, 70).chain([&bob]) {
        sent.spawn(send(person));
    }
    let mut statuses: Vec<u16> = Vec::new();
    while let Some(status) = sent.join_next().await {
        statuses.push(status.unwrap());
    }
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(429), count(408)), (6, 65), "{statuses:?}");
}
