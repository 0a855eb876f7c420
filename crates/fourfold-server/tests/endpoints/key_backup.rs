//! `/room_keys/*`.

use serde_json::{Value, json};

use crate::under_test::{Person, Reply, UnderTest};

const CURRENT: &str = "/room_keys/version";

async fn send(server: &UnderTest, who: &Person, method: &str, path: &str, body: &str) -> Reply {
    server
        .send(method, path, Some(&who.token), body.to_owned())
        .await
}

async fn create(server: &UnderTest, who: &Person) -> String {
    let body = r#"{"algorithm":"m.megolm_backup.v1","auth_data":{ "n": 12345678901234567890123 }}"#;
    let body = send(server, who, "POST", CURRENT, body).await.ok();
    body["version"].as_str().unwrap().to_owned()
}

fn key(index: u64, data: &str) -> String {
    format!(
        r#"{{"first_message_index":{index},"forwarded_count":0,"is_verified":false,"session_data":{data}}}"#
    )
}

#[tokio::test]
async fn a_version_is_made_shown_changed_and_deleted() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    server.get(&alice, CURRENT).await.is(404, "M_NOT_FOUND");
    let version = create(&server, &alice).await;
    let path = format!("{CURRENT}/{version}");
    for path in [CURRENT, &path] {
        let reply = server.get(&alice, path).await;
        let text = String::from_utf8(reply.body.to_vec()).unwrap();
        // What is stored comes back as it came, whatever a parser thinks of its numbers.
        assert!(
            text.contains(r#"{ "n": 12345678901234567890123 }"#),
            "{text}"
        );
        let body = reply.ok();
        assert_eq!(body["algorithm"], "m.megolm_backup.v1");
        assert_eq!(
            (&body["version"], &body["count"]),
            (&json!(version), &json!(0))
        );
        assert!(body["etag"].is_string());
    }

    let other = r#"{"algorithm":"m.megolm_backup.v1","auth_data":{"k":1}}"#;
    assert_eq!(
        send(&server, &alice, "PUT", &path, other).await.ok(),
        json!({})
    );
    let auth_data = &server.get(&alice, CURRENT).await.ok()["auth_data"];
    assert_eq!(auth_data, &json!({ "k": 1 }));
    for (body, errcode) in [
        (r#"{"algorithm":"other","auth_data":{}}"#, "M_INVALID_PARAM"),
        (
            r#"{"algorithm":"m.megolm_backup.v1","auth_data":{},"version":"9"}"#,
            "M_INVALID_PARAM",
        ),
        (r#"{"algorithm":"m.megolm_backup.v1"}"#, "M_MISSING_PARAM"),
        (r#"{"auth_data":{}}"#, "M_MISSING_PARAM"),
        (
            r#"{"algorithm":"m.megolm_backup.v1","auth_data":[]}"#,
            "M_BAD_JSON",
        ),
    ] {
        send(&server, &alice, "PUT", &path, body)
            .await
            .is(400, errcode);
    }
    for missing in ["9", "01", "+1", "x", "-1", "18446744073709551616"] {
        let path = format!("{CURRENT}/{missing}");
        server.get(&alice, &path).await.is(404, "M_NOT_FOUND");
        for method in ["PUT", "DELETE"] {
            let reply = send(&server, &alice, method, &path, other).await;
            reply.is(404, "M_NOT_FOUND");
        }
    }
    for _ in 0..2 {
        assert_eq!(
            send(&server, &alice, "DELETE", &path, "").await.ok(),
            json!({})
        );
        server.get(&alice, CURRENT).await.is(404, "M_NOT_FOUND");
    }
    assert_ne!(create(&server, &alice).await, version);
}

#[tokio::test]
async fn keys_go_in_and_come_out_in_all_three_shapes() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let version = create(&server, &alice).await;
    let at = |rest: &str| format!("/room_keys/keys{rest}?version={version}");
    assert_eq!(
        server.get(&alice, &at("")).await.ok(),
        json!({ "rooms": {} })
    );
    assert_eq!(
        server.get(&alice, &at("/!r:x")).await.ok(),
        json!({ "sessions": {} })
    );
    server
        .get(&alice, &at("/!r:x/s"))
        .await
        .is(404, "M_NOT_FOUND");

    let one = key(1, r#""any text""#);
    let state = send(&server, &alice, "PUT", &at("/!r:x/a%2Fb%2Bc="), &one).await;
    assert_eq!(state.ok(), json!({ "count": 1, "etag": "1" }));
    let room = format!(r#"{{"sessions":{{"s":{}}}}}"#, key(2, r#"{ "x": 1.0 }"#));
    let state = send(&server, &alice, "PUT", &at("/!r:x"), &room).await;
    assert_eq!(state.ok(), json!({ "count": 2, "etag": "2" }));
    let all = format!(r#"{{"rooms":{{"!q:x":{room}}}}}"#);
    let state = send(&server, &alice, "PUT", &at(""), &all).await;
    assert_eq!(state.ok(), json!({ "count": 3, "etag": "3" }));
    let again = send(&server, &alice, "PUT", &at(""), &all).await;
    assert_eq!(again.ok(), json!({ "count": 3, "etag": "3" }));

    let one: Value = serde_json::from_str(&one).unwrap();
    for query in [
        at("/!r:x/a%2Fb%2Bc="),
        "/room_keys/keys/!r:x/a%2Fb%2Bc=".to_owned(),
    ] {
        assert_eq!(server.get(&alice, &query).await.ok(), one);
    }
    let reply = server.get(&alice, &at("/!r:x/s")).await;
    assert!(String::from_utf8_lossy(&reply.body).contains(r#""session_data":{ "x": 1.0 }"#));
    let shown = server.get(&alice, &at("")).await.ok();
    assert_eq!(shown["rooms"]["!r:x"]["sessions"]["a/b+c="], one);
    assert_eq!(shown["rooms"].as_object().unwrap().len(), 2);
    let shown = server.get(&alice, &at("/!r:x")).await.ok();
    assert_eq!(shown["sessions"].as_object().unwrap().len(), 2);
    server.get(&bob, &at("")).await.is(404, "M_NOT_FOUND");

    for (rest, count, etag) in [
        ("/!r:x/s", 2, "4"),
        ("/!r:x", 1, "5"),
        ("", 0, "6"),
        ("", 0, "6"),
    ] {
        let state = send(&server, &alice, "DELETE", &at(rest), "").await;
        assert_eq!(state.ok(), json!({ "count": count, "etag": etag }));
    }
}

#[tokio::test]
async fn keys_go_into_the_current_version_alone() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let old = create(&server, &alice).await;
    let current = create(&server, &alice).await;
    let put = |version: String| {
        let path = format!("/room_keys/keys/!r:x/s?version={version}");
        let (server, alice) = (&server, &alice);
        async move { send(server, alice, "PUT", &path, &key(0, "{}")).await }
    };
    let refused = put(old.clone()).await;
    refused.is(403, "M_WRONG_ROOM_KEYS_VERSION");
    assert_eq!(refused.json()["current_version"], current);
    put("77".to_owned()).await.is(404, "M_NOT_FOUND");
    put(current.clone()).await.ok();
    let path = format!("{CURRENT}/{current}");
    send(&server, &alice, "DELETE", &path, "").await.ok();
    put(current).await.is(404, "M_NOT_FOUND");
    put(old).await.ok();
}

#[tokio::test]
async fn bad_uploads_are_refused_and_leave_nothing() {
    let server = UnderTest::with(|config| config.limits.body.key_backup = 2_000).await;
    let alice = server.register("alice").await;
    let version = create(&server, &alice).await;
    let path = format!("/room_keys/keys?version={version}");
    let room = |keys: String| format!(r#"{{"rooms":{{"!r:x":{{"sessions":{{{keys}}}}}}}}}"#);
    let good = key(0, "1");
    let named = |name: &str, key: &str| format!("{}:{key}", json!(name));
    for (body, status, errcode) in [
        ("x".to_owned(), 400, "M_NOT_JSON"),
        ("[]".to_owned(), 400, "M_BAD_JSON"),
        ("{}".to_owned(), 400, "M_BAD_JSON"),
        (room(named("s", "{}")), 400, "M_BAD_JSON"),
        (
            room(named("s", &good.replace(":0", ":-1"))),
            400,
            "M_BAD_JSON",
        ),
        (
            room(named("s", &good.replace(":0", ":1.5"))),
            400,
            "M_BAD_JSON",
        ),
        (room(named("s", &key(1 << 53, "1"))), 400, "M_BAD_JSON"),
        (
            room(named("s", &good.replace("false", "0"))),
            400,
            "M_BAD_JSON",
        ),
        (
            room(format!("{},{}", named("s", &good), named("s", &good))),
            400,
            "M_BAD_JSON",
        ),
        (
            room(format!("{},{}", named("s", &good), named("", &good))),
            400,
            "M_INVALID_PARAM",
        ),
        (
            room(format!(
                "{},{}",
                named("s", &good),
                named(&"s".repeat(256), &good)
            )),
            400,
            "M_INVALID_PARAM",
        ),
        (
            room(named("s", &key(0, &format!("\"{}\"", "x".repeat(2_000))))),
            413,
            "M_TOO_LARGE",
        ),
    ] {
        send(&server, &alice, "PUT", &path, &body)
            .await
            .is(status, errcode);
    }
    for method in ["PUT", "DELETE"] {
        let body = room(named("s", &good));
        let reply = send(&server, &alice, method, "/room_keys/keys", &body).await;
        reply.is(400, "M_MISSING_PARAM");
    }
    assert_eq!(server.get(&alice, &path).await.ok(), json!({ "rooms": {} }));
}

#[tokio::test]
async fn what_is_left_out_is_named() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let version = create(&server, &alice).await;
    let path = format!("/room_keys/keys/!r:x/s?version={version}");
    for member in [
        "first_message_index",
        "forwarded_count",
        "is_verified",
        "session_data",
    ] {
        let mut body: Value = serde_json::from_str(&key(0, "{}")).unwrap();
        for null in [true, false] {
            if null {
                body[member] = Value::Null;
            } else {
                body.as_object_mut().unwrap().remove(member);
            }
            let reply = send(&server, &alice, "PUT", &path, &body.to_string()).await;
            reply.is(400, "M_BAD_JSON");
            let error = reply.json()["error"].as_str().unwrap().to_owned();
            assert!(error.ends_with(member), "{error}");
        }
        server.get(&alice, &path).await.is(404, "M_NOT_FOUND");
    }
    for body in [
        r#"{"algorithm":"","auth_data":{}}"#,
        r#"{"algorithm":"","auth_data":{},"version":"1"}"#,
    ] {
        send(&server, &alice, "POST", CURRENT, body)
            .await
            .is(400, "M_INVALID_PARAM");
    }
}

#[tokio::test]
async fn a_backup_outlives_its_devices_and_the_server() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let version = create(&server, &alice).await;
    let path = format!("/room_keys/keys/!r:x/s?version={version}");
    send(&server, &alice, "PUT", &path, &key(4, "\"kept\""))
        .await
        .ok();
    send(&server, &alice, "POST", "/logout", "{}").await.ok();
    let server = server.restart().await;
    let alice = server.login("alice", "NEXT").await;
    let kept = server.get(&alice, &path).await.ok();
    assert_eq!(kept["session_data"], "kept");
}
