//! `/room_keys/*`.

use serde_json::{Value, json};

use crate::under_test::{Person, Reply, UnderTest};

async fn call(server: &UnderTest, who: &Person, method: &str, path: &str, body: Value) -> Reply {
    let path = format!("/room_keys/{path}");
    server
        .send(method, &path, Some(&who.token), body.to_string())
        .await
}

fn version(public_key: &str) -> Value {
    json!({ "algorithm": "m.megolm_backup.v1", "auth_data": { "public_key": public_key } })
}

fn key(is_verified: bool, first_message_index: u64, forwarded_count: u64) -> Value {
    json!({
        "first_message_index": first_message_index,
        "forwarded_count": forwarded_count,
        "is_verified": is_verified,
        "session_data": "opaque",
    })
}

#[tokio::test]
async fn versions_come_and_go_and_never_again() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let none = call(&server, &alice, "GET", "version", json!({})).await;
    none.is(404, "M_NOT_FOUND");
    for n in 1..=11 {
        let made = call(&server, &alice, "POST", "version", version("a")).await;
        assert_eq!(made.ok(), json!({ "version": n.to_string() }));
    }
    let deleted = call(&server, &alice, "DELETE", "version/11", json!({})).await;
    deleted.ok();
    let again = call(&server, &alice, "DELETE", "version/11", json!({})).await;
    again.ok();
    for path in ["version/11", "version/12", "version/010", "version/x"] {
        let reply = call(&server, &alice, "GET", path, json!({})).await;
        reply.is(404, "M_NOT_FOUND");
    }
    let never = call(&server, &alice, "DELETE", "version/12", json!({})).await;
    never.is(404, "M_NOT_FOUND");
    let current = call(&server, &alice, "GET", "version", json!({}))
        .await
        .ok();
    let mut expected = version("a");
    expected["version"] = json!("10");
    expected["count"] = json!(0);
    expected["etag"] = json!("0");
    assert_eq!(current, expected);
    let made = call(&server, &alice, "POST", "version", version("a")).await;
    assert_eq!(made.ok(), json!({ "version": "12" }));

    let mut wanted = version("b");
    call(&server, &alice, "PUT", "version/12", wanted.clone())
        .await
        .ok();
    let shown = call(&server, &alice, "GET", "version/12", json!({})).await;
    assert_eq!(shown.ok()["auth_data"], wanted["auth_data"]);
    wanted["version"] = json!("11");
    let reply = call(&server, &alice, "PUT", "version/12", wanted).await;
    reply.is(400, "M_INVALID_PARAM");
    let mut other = version("b");
    other["algorithm"] = json!("other");
    let reply = call(&server, &alice, "PUT", "version/12", other).await;
    reply.is(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn keys_are_stored_shown_and_deleted_at_every_depth() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    call(&server, &alice, "POST", "version", version("a"))
        .await
        .ok();
    let one = "keys/!r%3Alocalhost/a%2Fb%2B?version=1";
    let stored = call(&server, &alice, "PUT", one, key(false, 1, 1)).await;
    assert_eq!(stored.ok(), json!({ "etag": "1", "count": 1 }));
    assert_eq!(
        call(&server, &alice, "GET", one, json!({})).await.ok(),
        key(false, 1, 1)
    );
    let room = json!({ "sessions": { "c": key(true, 0, 0) } });
    let path = "keys/!r%3Alocalhost?version=1";
    let stored = call(&server, &alice, "PUT", path, room).await;
    assert_eq!(stored.ok(), json!({ "etag": "2", "count": 2 }));
    let rooms = json!({ "rooms": { "!s:localhost": { "sessions": { "d": key(true, 0, 0) } } } });
    let stored = call(&server, &alice, "PUT", "keys?version=1", rooms.clone()).await;
    assert_eq!(stored.ok(), json!({ "etag": "3", "count": 3 }));
    // Nothing changes, and the tag says so.
    let stored = call(&server, &alice, "PUT", "keys?version=1", rooms).await;
    assert_eq!(stored.ok(), json!({ "etag": "3", "count": 3 }));
    let expected = json!({ "rooms": {
        "!r:localhost": { "sessions": { "a/b+": key(false, 1, 1), "c": key(true, 0, 0) } },
        "!s:localhost": { "sessions": { "d": key(true, 0, 0) } },
    } });
    for path in ["keys", "keys?version=1"] {
        let all = call(&server, &alice, "GET", path, json!({})).await;
        assert_eq!(all.ok(), expected);
    }
    let empty = call(&server, &alice, "GET", "keys/!x?version=1", json!({})).await;
    assert_eq!(empty.ok(), json!({ "sessions": {} }));
    let missing = call(&server, &alice, "GET", "keys/!x/y?version=1", json!({})).await;
    missing.is(404, "M_NOT_FOUND");
    let others = call(&server, &bob, "GET", "keys?version=1", json!({})).await;
    others.is(404, "M_NOT_FOUND");
    let deleted = call(&server, &alice, "DELETE", one, json!({})).await;
    assert_eq!(deleted.ok(), json!({ "etag": "4", "count": 2 }));
    let deleted = call(&server, &alice, "DELETE", "keys?version=1", json!({})).await;
    assert_eq!(deleted.ok(), json!({ "etag": "5", "count": 0 }));
}

#[tokio::test]
async fn only_a_better_key_replaces_one() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    call(&server, &alice, "POST", "version", version("a"))
        .await
        .ok();
    let path = "keys/!r/s?version=1";
    let steps = [
        (key(false, 5, 5), true),
        (key(false, 5, 6), false),
        (key(false, 6, 0), false),
        (key(false, 5, 4), true),
        (key(false, 4, 9), true),
        (key(true, 9, 9), true),
        (key(false, 0, 0), false),
        (key(true, 8, 9), true),
        (key(true, 8, 9), false),
    ];
    let mut kept = json!(null);
    for (key, replaces) in steps {
        call(&server, &alice, "PUT", path, key.clone()).await.ok();
        if replaces {
            kept = key;
        }
        let found = call(&server, &alice, "GET", path, json!({})).await;
        assert_eq!(found.ok(), kept);
    }
}

#[tokio::test]
async fn keys_go_into_the_current_version_alone() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    for public_key in ["a", "b"] {
        call(&server, &alice, "POST", "version", version(public_key))
            .await
            .ok();
    }
    let old = "keys/!r/s?version=1";
    let refused = call(&server, &alice, "PUT", old, key(true, 0, 0)).await;
    assert_eq!(refused.json()["current_version"], "2");
    refused.is(403, "M_WRONG_ROOM_KEYS_VERSION");
    let unknown = "keys/!r/s?version=3";
    let refused = call(&server, &alice, "PUT", unknown, key(true, 0, 0)).await;
    refused.is(404, "M_NOT_FOUND");
    let refused = call(&server, &alice, "PUT", "keys/!r/s", key(true, 0, 0)).await;
    refused.is(400, "M_MISSING_PARAM");
}
