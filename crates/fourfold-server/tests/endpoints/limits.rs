//! Sizes and quotas.

use axum::body::Body;
use serde_json::json;

use crate::under_test::{PASSWORD, UnderTest};

fn object(length: usize) -> String {
    format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8))
}

#[tokio::test]
async fn a_content_has_a_largest_size() {
    let server = UnderTest::with(|config| config.limits.account_data = 1000).await;
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
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        self.0 += 1;
        assert!(self.0 < 1000, "read on and on");
        let frame = hyper::body::Frame::data(bytes::Bytes::from_static(&[b' '; 4096]));
        std::task::Poll::Ready(Some(Ok(frame)))
    }
}

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
    let many: Vec<_> = (0..60_000).map(|n| format!("\"{n}\":0")).collect();
    server
        .put(&alice, "m.x", &format!("{{{}}}", many.join(",")))
        .await
        .ok();
}

#[tokio::test]
async fn one_user_has_so_many_types_and_bytes_and_no_more() {
    let server = UnderTest::with(|config| {
        config.quotas.account_data_types = 3;
        config.quotas.account_data_bytes = 1000;
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

#[tokio::test]
async fn one_user_has_so_many_devices_and_filters() {
    let server = UnderTest::with(|config| {
        config.quotas.devices = 2;
        config.quotas.filters = 1;
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
