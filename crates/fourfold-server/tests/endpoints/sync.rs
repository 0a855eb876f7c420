//! `/sync` and filters.

use std::time::Duration;

use serde_json::{Value, json};

use crate::under_test::{PASSWORD, UnderTest, events, percent_encode, waits};

fn token(sync: &Value) -> String {
    sync["next_batch"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_first_sync_has_everything_and_the_members_that_clients_need() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    server.put(&alice, "m.b", r#"{"n":1}"#).await.ok();
    server.put(&alice, "m.a", r#"{"n":1}"#).await.ok();
    server.put(&alice, "m.b", r#"{"n":2}"#).await.ok();
    let sync = server.sync(&alice, "timeout=30000").await;
    let found = events(&sync);
    assert_eq!(found[0], ("m.a".to_owned(), json!({ "n": 1 })));
    assert_eq!(found[1], ("m.b".to_owned(), json!({ "n": 2 })));
    assert_eq!(found[2].0, "m.push_rules");
    assert_eq!(found.len(), 3);
    assert_eq!(sync["to_device"], json!({ "events": [] }));
    assert_eq!(sync["device_lists"], json!({ "changed": [], "left": [] }));
    assert_eq!(
        sync["device_one_time_keys_count"],
        json!({ "signed_curve25519": 0 })
    );
    assert_eq!(sync["device_unused_fallback_key_types"], json!([]));
}

#[tokio::test]
async fn later_syncs_have_what_changed_once_and_the_same_again_when_asked_again() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    server.put(&alice, "m.old", "{}").await.ok();
    let since = token(&server.sync(&alice, "").await);
    server.put(&alice, "m.new", r#"{"n":1}"#).await.ok();
    server.put(&alice, "m.new", r#"{"n":2}"#).await.ok();
    let query = format!("since={since}");
    let first = server.sync(&alice, &query).await;
    assert_eq!(events(&first), [("m.new".to_owned(), json!({ "n": 2 }))]);
    assert_eq!(server.sync(&alice, &query).await, first);
    let rest = server
        .sync(&alice, &format!("since={}", token(&first)))
        .await;
    assert_eq!(events(&rest), []);
    assert_eq!(token(&rest), token(&first));
    let full = server
        .sync(&alice, &format!("since={since}&full_state=true"))
        .await;
    assert_eq!(events(&full).len(), 3);
}

// shows: SRV-10
#[tokio::test]
async fn an_account_too_large_for_memory_is_shown_whole() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let content = |number: usize| json!({ "n": number, "x": "x".repeat(number % 3 * 90_000) });
    for number in 0..40 {
        let text = content(number).to_string();
        server.put(&alice, &format!("m.{number}"), &text).await.ok();
    }
    let first = server.sync(&alice, "").await;
    let mut found = events(&first);
    assert_eq!(found.pop().unwrap().0, "m.push_rules");
    let stored = (0..40).map(|number| (format!("m.{number}"), content(number)));
    assert_eq!(found, stored.collect::<Vec<_>>());
    // What changed since is shown alone, small or large.
    for number in [4, 3] {
        let text = content(number + 3).to_string();
        server.put(&alice, &format!("m.{number}"), &text).await.ok();
    }
    let rest = server
        .sync(&alice, &format!("since={}", token(&first)))
        .await;
    let changed = [
        ("m.4".to_owned(), content(7)),
        ("m.3".to_owned(), content(6)),
    ];
    assert_eq!(events(&rest), changed);
}

#[tokio::test]
async fn contents_come_through_as_they_were_stored() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let content = r#"{ "n": 12345678901234567890, "f": 1.0, "s": "\u0041\u0000\/" }"#;
    server.put(&alice, "m.\"quoted\"\n", content).await.ok();
    let reply = server.get(&alice, "/sync").await;
    let text = String::from_utf8(reply.body.to_vec()).unwrap();
    assert!(text.contains(content));
    assert_eq!(events(&reply.json())[0].0, "m.\"quoted\"\n");
}

#[tokio::test]
async fn a_write_wakes_the_poll_even_when_nothing_changed() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let other = server.login("alice", "OTHER").await;
    server.put(&alice, "m.x", r#"{"n":1}"#).await.ok();
    for _ in 0..3 {
        let since = token(&server.sync(&alice, "").await);
        let path = format!("/sync?timeout=60000&since={since}");
        let mut own = Box::pin(server.get(&alice, &path));
        let mut others = Box::pin(server.get(&other, &path));
        waits(&mut own).await;
        waits(&mut others).await;
        server.put(&alice, "m.x", r#"{"n":1}"#).await.ok();
        for poll in [own, others] {
            assert_eq!(
                events(&poll.await.ok()),
                [("m.x".to_owned(), json!({ "n": 1 }))]
            );
        }
    }
}

#[tokio::test]
async fn other_peoples_writes_and_filtered_types_wake_nobody() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let since = token(&server.sync(&alice, "").await);
    let filter = percent_encode(r#"{"account_data":{"not_types":["m.noise*"]}}"#);
    let path = format!("/sync?timeout=60000&since={since}&filter={filter}");
    let mut poll = Box::pin(server.get(&alice, &path));
    waits(&mut poll).await;
    server.put(&bob, "m.x", "{}").await.ok();
    server.put(&alice, "m.noise.1", "{}").await.ok();
    waits(&mut poll).await;
    server.put(&alice, "m.x", "{}").await.ok();
    let sync = poll.await.ok();
    assert_eq!(events(&sync), [("m.x".to_owned(), json!({}))]);
}

#[tokio::test(start_paused = true)]
async fn a_poll_ends_with_its_timeout() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let since = token(&server.sync(&alice, "").await);
    let started = tokio::time::Instant::now();
    let sync = server
        .sync(&alice, &format!("timeout=30000&since={since}"))
        .await;
    assert_eq!(started.elapsed().as_secs(), 30);
    assert_eq!((token(&sync), events(&sync)), (since.clone(), vec![]));
    // However long it asks.
    let started = tokio::time::Instant::now();
    server
        .sync(&alice, &format!("timeout=99999999999&since={since}"))
        .await;
    assert_eq!(started.elapsed(), Duration::from_secs(120));
}

// shows: SRV-11
#[tokio::test]
async fn a_newer_poll_of_a_device_answers_the_older_one() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let second = server.login("alice", "SECOND").await;
    let since = token(&server.sync(&alice, "").await);
    let path = format!("/sync?timeout=60000&since={since}");
    let mut older = Box::pin(server.get(&alice, &path));
    let mut others = Box::pin(server.get(&second, &path));
    waits(&mut older).await;
    waits(&mut others).await;
    let mut newer = Box::pin(server.get(&alice, &path));
    waits(&mut newer).await;
    let answered = older.await.ok();
    assert_eq!((token(&answered), events(&answered)), (since, vec![]));
    waits(&mut newer).await;
    waits(&mut others).await;
    server.put(&alice, "m.x", "{}").await.ok();
    for poll in [newer, others] {
        assert_eq!(events(&poll.await.ok()), [("m.x".to_owned(), json!({}))]);
    }
}

// shows: SRV-10
#[tokio::test]
async fn large_contents_come_through_as_they_were_stored() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let mut expected = Vec::new();
    for (number, length) in [10, 8_191, 8_192, 16_384, 40, 300_000, 1]
        .iter()
        .enumerate()
    {
        let content = json!({ "a": "x".repeat(*length) });
        let event_type = format!("m.{number}");
        server
            .put(&alice, &event_type, &content.to_string())
            .await
            .ok();
        expected.push((event_type, content));
    }
    let reply = server.get(&alice, "/sync").await;
    assert_eq!(events(&reply.json())[..expected.len()], expected);
    let none = percent_encode(r#"{"account_data":{"not_types":["m.push_rules"]}}"#);
    let sync = server.sync(&alice, &format!("filter={none}")).await;
    assert_eq!(events(&sync), expected);
}

#[tokio::test]
async fn a_stopping_server_ends_its_polls() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let since = token(&server.sync(&alice, "").await);
    let path = format!("/sync?timeout=60000&since={since}");
    let mut poll = Box::pin(server.get(&alice, &path));
    waits(&mut poll).await;
    server.homeserver.close().await;
    assert_eq!(token(&poll.await.ok()), since);
    assert_eq!(server.put(&alice, "m.x", "{}").await.status, 503);
}

#[tokio::test]
async fn tokens_are_bound_to_their_user_and_cannot_be_made_up() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let since = token(&server.sync(&alice, "").await);
    let refused = [
        since.as_str(),
        "s1_2_3",
        "0",
        "ff1_0_AAAAAAAAAAAAAAAA",
        "%00",
    ];
    for refused in refused {
        let path = format!("/sync?since={refused}");
        server.get(&bob, &path).await.is(400, "M_INVALID_PARAM");
    }
    server.get(&alice, "/sync?timeout=soon").await.ok();
    let path = format!("/sync?since={since}&timeout=soon");
    server.get(&alice, &path).await.is(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn own_devices_are_named_when_they_change() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let mut since = token(&server.sync(&alice, "").await);
    let changed = json!({ "changed": ["@alice:localhost"], "left": [] });
    let auth = json!({ "type": "m.login.password", "password": PASSWORD });
    let body = json!({ "auth": auth, "display_name": "x" }).to_string();
    for (method, path) in [
        ("POST", "/login"),
        ("PUT", "/devices/SECOND"),
        ("DELETE", "/devices/SECOND"),
    ] {
        let query = format!("/sync?timeout=60000&since={since}");
        let mut poll = Box::pin(server.get(&alice, &query));
        waits(&mut poll).await;
        if method == "POST" {
            server.login("alice", "SECOND").await;
        } else {
            server
                .send(method, path, Some(&alice.token), body.clone())
                .await
                .ok();
        }
        let sync = poll.await.ok();
        assert_eq!(sync["device_lists"], changed, "{method} {path}");
        since = token(&sync);
    }
    let sync = server.sync(&alice, &format!("since={since}")).await;
    assert_eq!(sync["device_lists"], json!({ "changed": [], "left": [] }));
}

#[tokio::test]
async fn filters_are_kept_and_applied() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    for event_type in ["m.secret.a", "m.secret.b", "m.direct"] {
        server.put(&alice, event_type, "{}").await.ok();
    }
    let definition =
        r#"{"account_data":{"types":["m.secret.*"],"not_types":["m.secret.b"]},"x.unknown":1.0}"#;
    let path = format!("/user/{}/filter", alice.user);
    let token = Some(alice.token.as_str());
    let made = server.send("POST", &path, token, definition).await.ok();
    let id = made["filter_id"].as_str().unwrap();
    assert_eq!(
        server.send("POST", &path, token, definition).await.ok(),
        made
    );
    assert_eq!(
        server.get(&alice, &format!("{path}/{id}")).await.body,
        definition
    );
    for filter in [id.to_owned(), percent_encode(definition)] {
        let sync = server.sync(&alice, &format!("filter={filter}")).await;
        assert_eq!(events(&sync), [("m.secret.a".to_owned(), json!({}))]);
    }
    let none = percent_encode(r#"{"account_data":{"types":[]}}"#);
    assert_eq!(
        events(&server.sync(&alice, &format!("filter={none}")).await),
        []
    );

    server
        .get(&alice, &format!("{path}/999"))
        .await
        .is(404, "M_NOT_FOUND");
    server
        .get(&alice, &format!("{path}/word"))
        .await
        .is(404, "M_NOT_FOUND");
    server
        .get(&alice, "/sync?filter=999")
        .await
        .is(400, "M_INVALID_PARAM");
    server
        .get(&bob, &format!("/sync?filter={id}"))
        .await
        .is(400, "M_INVALID_PARAM");
    server
        .get(&alice, "/sync?filter={nonsense")
        .await
        .is(400, "M_INVALID_PARAM");
    server
        .send("POST", &path, token, "[]")
        .await
        .is(400, "M_BAD_JSON");
    server
        .send("POST", &path, token, "")
        .await
        .is(400, "M_NOT_JSON");
    let wrong = r#"{"account_data":{"types":1}}"#;
    server
        .send("POST", &path, token, wrong)
        .await
        .is(400, "M_BAD_JSON");
}
