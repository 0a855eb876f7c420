//! The history of account data: what is shown, to whom, how much of it, and how it ends.

use std::time::Duration;

use fourfold_server::store::HistoryQuota;
use serde_json::{Value, json};

use crate::under_test::{PASSWORD, Person, UnderTest};

const PATH: &str = "/_matrix/client/unstable/org.fourfold/account_data_history";

async fn history(server: &UnderTest, person: &Person, query: &str) -> Value {
    server.get(person, &format!("{PATH}?{query}")).await.ok()
}

/// The contents of a page, each with the type in front.
fn contents(page: &Value) -> Vec<String> {
    let entries = page["chunk"].as_array().unwrap();
    let content =
        |entry: &Value| format!("{} {}", entry["type"].as_str().unwrap(), entry["content"]);
    entries.iter().map(content).collect()
}

async fn forget(server: &UnderTest, person: &Person, body: Value) -> crate::under_test::Reply {
    let token = Some(person.token.as_str());
    server.send("DELETE", PATH, token, body.to_string()).await
}

fn password() -> Value {
    json!({ "auth": { "type": "m.login.password", "user": "alice", "password": PASSWORD } })
}

// shows: SRV-25
#[tokio::test]
async fn each_content_comes_with_its_time_and_its_device() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let phone = server.login("alice", "PHONE").await;
    let start = 1_700_000_000_000_u64;
    let large = format!(r#"{{ "large": "{}" }}"#, "x".repeat(2_000));
    server.put(&alice, "m.x", &large).await.ok();
    server.clock.advance(Duration::from_millis(5));
    let tag = server.put(&phone, "m.x", r#"{"n":1.0}"#).await;
    server.put(&alice, "m.y", "{}").await.ok();
    let page = server.get(&phone, PATH).await;
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    // Byte for byte, as everywhere.
    assert!(
        text.contains(&large) && text.contains(r#"{"n":1.0}"#),
        "{text}"
    );
    let page = page.ok();
    let entries = page["chunk"].as_array().unwrap();
    assert_eq!(
        entries[1..],
        [
            json!({
                "type": "m.x", "content": { "n": 1.0 }, "device_id": "PHONE",
                "etag": tag.headers["etag"].to_str().unwrap(), "origin_server_ts": start + 5,
            }),
            json!({
                "type": "m.x", "content": { "large": "x".repeat(2_000) },
                "device_id": alice.device, "etag": entries[2]["etag"],
                "origin_server_ts": start, "replaced_ts": start + 5,
            }),
        ]
    );
    assert_eq!(page.get("next_batch"), None);
    // The current content has the tag that a conditional write names.
    let current = server.get(&alice, &alice.path("m.y")).await;
    assert_eq!(
        entries[0]["etag"],
        current.headers["etag"].to_str().unwrap()
    );

    // Devices go, what they wrote stays theirs; and a restart keeps all of it.
    let body = json!({ "devices": ["PHONE"], "auth": password()["auth"] });
    let token = Some(alice.token.as_str());
    let deleted = server.send("POST", "/delete_devices", token, body.to_string());
    deleted.await.ok();
    let server = server.restart().await;
    assert_eq!(history(&server, &alice, "").await, page);
}

#[tokio::test]
async fn a_history_comes_in_pages_and_by_type() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    for number in 0..5 {
        for event_type in ["m.x", "m.y"] {
            server
                .put(&alice, event_type, &format!(r#"{{"n":{number}}}"#))
                .await
                .ok();
        }
    }
    let whole = history(&server, &alice, "").await;
    assert_eq!(whole["chunk"].as_array().unwrap().len(), 10);
    let (mut read, mut from) = (Vec::new(), String::new());
    loop {
        let page = history(&server, &alice, &format!("limit=3{from}")).await;
        read.extend(page["chunk"].as_array().unwrap().clone());
        match page["next_batch"].as_str() {
            Some(next) => from = format!("&from={next}"),
            None => break,
        }
    }
    assert_eq!(Value::from(read), whole["chunk"]);
    let of_type = history(&server, &alice, "type=m.y&limit=2").await;
    assert_eq!(contents(&of_type), [r#"m.y {"n":4}"#, r#"m.y {"n":3}"#]);
    assert_eq!(
        contents(&history(&server, &alice, "type=m.z").await),
        [""; 0]
    );
    for query in ["from=x", "from=-1", "limit=x", "limit=-1"] {
        let reply = server.get(&alice, &format!("{PATH}?{query}")).await;
        reply.is(400, "M_INVALID_PARAM");
    }
    // Large contents end a page early, and one always fits.
    let large = format!(r#"{{"l":"{}"}}"#, "x".repeat(200_000));
    for _ in 0..2 {
        server.put(&alice, "m.x", &large).await.ok();
        server.put(&alice, "m.x", "{}").await.ok();
    }
    let page = history(&server, &alice, "").await;
    assert_eq!(contents(&page).len(), 2);
    assert!(page["next_batch"].is_string());
}

// shows: SRV-01
#[tokio::test]
async fn a_history_is_its_owners_alone() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    for content in [r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#] {
        server.put(&alice, "m.x", content).await.ok();
    }
    server.put(&bob, "m.x", r#"{"b":1}"#).await.ok();
    let of_alice = history(&server, &alice, "limit=1").await;
    let next = of_alice["next_batch"].as_str().unwrap();
    for query in ["", "type=m.x", &format!("user_id={}", alice.user)] {
        let of_bob = history(&server, &bob, query).await;
        assert_eq!(contents(&of_bob), [r#"m.x {"b":1}"#], "{query}");
    }
    // A token is a place in the history of whoever asks.
    let of_bob = history(&server, &bob, &format!("from={next}")).await;
    assert!(contents(&of_bob).len() <= 1, "{of_bob}");
    let body =
        json!({ "auth": { "type": "m.login.password", "user": "bob", "password": PASSWORD } });
    forget(&server, &bob, body).await.ok();
    assert_eq!(contents(&history(&server, &alice, "").await).len(), 3);
}

#[tokio::test]
async fn what_was_refused_is_no_history() {
    let server = UnderTest::with(|config| config.storage.quotas.account_data.bytes = 60).await;
    let alice = server.register("alice").await;
    server.put(&alice, "m.x", r#"{"n":1}"#).await.ok();
    let token = Some(alice.token.as_str());
    let (path, large) = (
        alice.path("m.x"),
        format!(r#"{{"n":"{}"}}"#, "x".repeat(60)),
    );
    let absent = [("if-none-match", "*")];
    let refused = server.send_with("PUT", &path, token, &absent, "{}").await;
    refused.is(412, "M_CONCURRENT_WRITE");
    assert_ne!(server.put(&alice, "m.x", &large).await.status, 200);
    server.put(&alice, "m.x", "[]").await.is(400, "M_BAD_JSON");
    // The same content again is no change either.
    server.put(&alice, "m.x", r#"{"n":1}"#).await.ok();
    let page = history(&server, &alice, "").await;
    assert_eq!(contents(&page), [r#"m.x {"n":1}"#]);
    assert_eq!(page["chunk"][0].get("replaced_ts"), None);
}

#[tokio::test]
async fn a_history_is_bounded_by_number_bytes_and_age() {
    let quota = HistoryQuota {
        entries: 6,
        entries_of_type: 4,
        bytes: 3_000,
        age: Duration::from_secs(60),
    };
    let server = UnderTest::with(|config| config.storage.quotas.history = Some(quota)).await;
    let alice = server.register("alice").await;
    let count = async |query: &'static str| contents(&history(&server, &alice, query).await).len();
    for number in 0..30 {
        server
            .put(&alice, "m.noisy", &format!(r#"{{"n":{number}}}"#))
            .await
            .ok();
        assert!(count("type=m.noisy").await <= 5);
    }
    for number in 0..30 {
        let event_type = format!("m.{}", number % 10);
        server
            .put(&alice, &event_type, &format!(r#"{{"n":{number}}}"#))
            .await
            .ok();
        // Eleven current ones.
        assert!(count("").await <= 6 + 11);
    }
    server
        .put(
            &alice,
            "m.0",
            &format!(r#"{{"l":"{}"}}"#, "x".repeat(2_900)),
        )
        .await
        .ok();
    server.put(&alice, "m.0", "{}").await.ok();
    server
        .put(
            &alice,
            "m.0",
            &format!(r#"{{"l":"{}"}}"#, "x".repeat(2_900)),
        )
        .await
        .ok();
    // One large content beside the current one, and what is small.
    let page = server.get(&alice, &format!("{PATH}?type=m.0")).await;
    assert!(page.body.len() < 2 * 3_000 + 1_500, "{}", page.body.len());
    server.clock.advance(Duration::from_secs(61));
    assert_eq!(count("").await, 11);
}

#[tokio::test]
async fn the_password_deletes_a_history_and_leaves_what_is_stored() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    for content in [r#"{"a":1}"#, r#"{"a":2}"#] {
        server.put(&alice, "m.x", content).await.ok();
    }
    let asked = forget(&server, &alice, json!({})).await;
    assert_eq!(
        (asked.status, &asked.json()["flows"]),
        (401, &json!([{ "stages": ["m.login.password"] }]))
    );
    let mut wrong = password();
    wrong["auth"]["password"] = json!("wrong");
    assert_eq!(forget(&server, &alice, wrong).await.status, 401);
    assert_eq!(contents(&history(&server, &alice, "").await).len(), 2);
    forget(&server, &alice, password()).await.ok();
    let page = history(&server, &alice, "").await;
    assert_eq!(contents(&page), [r#"m.x {"a":2}"#]);
    assert_eq!(page["chunk"][0]["device_id"], alice.device);
    // What comes after is kept again.
    server.put(&alice, "m.x", r#"{"a":3}"#).await.ok();
    assert_eq!(contents(&history(&server, &alice, "").await).len(), 2);
}

#[tokio::test]
async fn a_server_without_history_keeps_none_and_deletes_what_it_had() {
    let server = UnderTest::start().await;
    let versions = server
        .send("GET", "/_matrix/client/versions", None, "")
        .await
        .ok();
    let feature = "org.fourfold.account_data_history";
    assert_eq!(versions["unstable_features"][feature], true);
    let alice = server.register("alice").await;
    for content in [r#"{"a":1}"#, r#"{"a":2}"#] {
        server.put(&alice, "m.x", content).await.ok();
    }
    let off = server.stop().await;
    let off = off
        .start_again_with(|config| config.storage.quotas.history = None)
        .await;
    let versions = off
        .send("GET", "/_matrix/client/versions", None, "")
        .await
        .ok();
    assert_eq!(versions["unstable_features"][feature], false);
    off.get(&alice, PATH).await.is(404, "M_UNRECOGNIZED");
    forget(&off, &alice, password())
        .await
        .is(404, "M_UNRECOGNIZED");
    off.put(&alice, "m.x", r#"{"a":3}"#).await.ok();

    // Switched on again: what was stored meanwhile has neither time nor device.
    let on = off.restart().await;
    assert_eq!(
        contents(&history(&on, &alice, "").await),
        [r#"m.x {"a":3}"#]
    );
    on.put(&alice, "m.x", r#"{"a":4}"#).await.ok();
    let page = history(&on, &alice, "").await;
    assert_eq!(contents(&page), [r#"m.x {"a":4}"#, r#"m.x {"a":3}"#]);
    let earlier = page["chunk"][1].as_object().unwrap();
    assert!(!earlier.contains_key("origin_server_ts") && !earlier.contains_key("device_id"));
    assert!(earlier.contains_key("replaced_ts"));
}
