//! Account data, one example each.

use serde_json::json;

use crate::under_test::{UnderTest, percent_encode};

#[tokio::test]
async fn what_is_put_is_what_is_got() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let path = alice.path("m.secret_storage.default_key");
    server.get(&alice, &path).await.is(404, "M_NOT_FOUND");
    let content = " { \"key\" : 1.0, \"n\": 12345678901234567890123, \"e\": \"\\u00e9\\/\" } ";
    assert_eq!(
        server
            .put(&alice, "m.secret_storage.default_key", content)
            .await
            .body,
        "{}"
    );
    let reply = server.get(&alice, &path).await;
    reply.ok();
    assert_eq!(reply.body, content);
    let encoded = path.replace("@alice:localhost", "%40alice%3Alocalhost");
    assert_eq!(server.get(&alice, &encoded).await.body, content);
    let old = format!("/_matrix/client/r0{path}");
    assert_eq!(server.get(&alice, &old).await.body, content);
}

// shows: SRV-07, AD-07
#[tokio::test]
async fn ad_07_what_parsers_read_differently_comes_back_as_it_was_written() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    for value in [
        "9007199254740993",
        "-9007199254740993",
        "123456789012345678901234567890",
        "1e-400",
        "-0",
        "-0.0",
        "1.0",
        "1.10",
        "1E5",
        r#""\u0000""#,
        r#""\ud83d\udd11""#,
        "\"\u{1f511}\u{feff}\u{2028}\"",
        r#"{"__proto__":1,"":{}}"#,
    ] {
        let content = format!("{{\"v\":{value}}}");
        server.put(&alice, "m.x", &content).await.ok();
        let got = server.get(&alice, &alice.path("m.x")).await;
        assert_eq!(got.body, content);
        let sync = server.get(&alice, "/sync").await;
        let sync = String::from_utf8(sync.body.to_vec()).unwrap();
        assert!(sync.contains(&content), "{sync}");
    }
    let before = server.get(&alice, &alice.path("m.x")).await;
    for (value, errcode) in [
        (r#""\ud800""#, "M_NOT_JSON"),
        (r#""\udc00\ud800""#, "M_NOT_JSON"),
        (r#"{"a":1,"\u0061":2}"#, "M_BAD_JSON"),
        // No number that anybody can hold.
        ("1e400", "M_NOT_JSON"),
        ("-1e400", "M_NOT_JSON"),
        ("01", "M_NOT_JSON"),
        ("NaN", "M_NOT_JSON"),
        ("+1", "M_NOT_JSON"),
    ] {
        let content = format!("{{\"v\":{value}}}");
        server.put(&alice, "m.x", &content).await.is(400, errcode);
    }
    let after = server.get(&alice, &alice.path("m.x")).await;
    assert_eq!(after.body, before.body);
}

// shows: SRV-09, AD-11
#[tokio::test]
async fn a_conditional_write_happens_only_if_nobody_else_wrote() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let path = alice.path("m.x");
    let put = async |headers: &[(&str, &str)], content: &'static str| {
        let token = Some(alice.token.as_str());
        server
            .send_with("PUT", &path, token, headers, content)
            .await
    };
    let conflict = (412, "M_CONCURRENT_WRITE");
    put(&[("if-match", "*")], "{}")
        .await
        .is(conflict.0, conflict.1);
    put(&[("if-match", "\"1\"")], "{}")
        .await
        .is(conflict.0, conflict.1);
    put(&[("if-none-match", "*")], r#"{"a":1}"#).await.ok();
    put(&[("if-none-match", "*")], "{}")
        .await
        .is(conflict.0, conflict.1);
    let tag = server.get(&alice, &path).await.headers["etag"].clone();
    let tag = tag.to_str().unwrap();
    let sync = server.sync(&alice, "").await;
    let since = sync["next_batch"].as_str().unwrap();
    let reply = put(&[("if-match", tag)], r#"{"a":2}"#).await;
    reply.ok();
    let later = reply.headers["etag"].to_str().unwrap().to_owned();
    assert_ne!(later, tag);
    put(&[("if-match", tag)], r#"{"a":3}"#)
        .await
        .is(conflict.0, conflict.1);
    put(&[("if-match", "a tag of another server")], "{}")
        .await
        .is(conflict.0, conflict.1);
    put(&[("if-none-match", "\"1\"")], "{}")
        .await
        .is(400, "M_INVALID_PARAM");
    let reply = server.get(&alice, &path).await;
    assert_eq!(
        (&*reply.body, reply.headers["etag"].to_str().unwrap()),
        (&br#"{"a":2}"#[..], &*later)
    );
    // What was refused is no change.
    let sync = server.sync(&alice, &format!("since={since}")).await;
    assert_eq!(
        sync["account_data"]["events"][0]["content"],
        json!({ "a": 2 })
    );
    put(&[("if-match", &later)], r#"{"a":4}"#).await.ok();
}

#[tokio::test]
async fn an_empty_object_is_a_content() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    server
        .put(&alice, "m.megolm_backup.v1", r#"{"a":1}"#)
        .await
        .ok();
    server.put(&alice, "m.megolm_backup.v1", "{}").await.ok();
    let reply = server.get(&alice, &alice.path("m.megolm_backup.v1")).await;
    assert_eq!((reply.status, &*reply.body), (200, &b"{}"[..]));
}

#[tokio::test]
async fn rooms_are_apart_from_the_account_and_each_other() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let room = |room: &str| {
        format!(
            "/user/{}/rooms/{}/account_data/m.tag",
            alice.user,
            percent_encode(room)
        )
    };
    let token = Some(alice.token.as_str());
    server
        .send("PUT", &room("!one:localhost"), token, r#"{"room":1}"#)
        .await
        .ok();
    server.put(&alice, "m.tag", r#"{"room":0}"#).await.ok();
    assert_eq!(
        server.get(&alice, &room("!one:localhost")).await.ok(),
        json!({ "room": 1 })
    );
    assert_eq!(
        server.get(&alice, &alice.path("m.tag")).await.ok(),
        json!({ "room": 0 })
    );
    server
        .get(&alice, &room("!two:localhost"))
        .await
        .is(404, "M_NOT_FOUND");
    for invalid in ["one:localhost", "#one:localhost", "%20"] {
        server
            .get(&alice, &room(invalid))
            .await
            .is(400, "M_INVALID_PARAM");
        server
            .send("PUT", &room(invalid), token, "{}")
            .await
            .is(400, "M_INVALID_PARAM");
    }
}

// shows: SRV-01, AD-01
#[tokio::test]
async fn other_peoples_data_is_forbidden_whether_they_exist_or_not() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let secret = r#"{"secret":true}"#;
    server.put(&bob, "m.x", secret).await.ok();
    let mut bodies = Vec::new();
    for owner in [
        "@bob:localhost",
        "@nobody:localhost",
        "@alice:elsewhere",
        "bob",
    ] {
        let path = format!("/user/{owner}/account_data/m.x");
        for method in ["GET", "PUT"] {
            let reply = server.send(method, &path, Some(&alice.token), "{}").await;
            reply.is(403, "M_FORBIDDEN");
            bodies.push(reply.body);
        }
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert_eq!(server.get(&bob, &bob.path("m.x")).await.body, secret);
}

#[tokio::test]
async fn types_of_the_server_are_read_only() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    for event_type in ["m.push_rules", "m.fully_read"] {
        server
            .put(&alice, event_type, "{}")
            .await
            .is(405, "M_BAD_JSON");
        let room = format!(
            "/user/{}/rooms/!r:localhost/account_data/{event_type}",
            alice.user
        );
        let reply = server.send("PUT", &room, Some(&alice.token), "{}").await;
        reply.is(405, "M_BAD_JSON");
    }
    server
        .get(&alice, &alice.path("m.fully_read"))
        .await
        .is(404, "M_NOT_FOUND");
    assert!(server.get(&alice, &alice.path("m.push_rules")).await.ok()["global"].is_object());
}

#[tokio::test]
async fn bodies_that_are_no_objects_are_refused() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    for body in [
        "",
        " ",
        "{",
        "nonsense",
        "{}{}",
        "\u{feff}{}",
        r#"{"a":"\ud800"}"#,
    ] {
        server.put(&alice, "m.x", body).await.is(400, "M_NOT_JSON");
    }
    for body in ["[]", "\"text\"", "1", "null", "true", r#"{"a":1,"a":2}"#] {
        server.put(&alice, "m.x", body).await.is(400, "M_BAD_JSON");
    }
    let bytes = b"{\"a\":\"\xff\"}".to_vec();
    let reply = server
        .send("PUT", &alice.path("m.x"), Some(&alice.token), bytes)
        .await;
    reply.is(400, "M_NOT_JSON");
    server
        .get(&alice, &alice.path("m.x"))
        .await
        .is(404, "M_NOT_FOUND");
}

// shows: SRV-06, AD-08
#[tokio::test]
async fn types_are_decoded_once() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let base = format!("/user/{}/account_data/", alice.user);
    let token = Some(alice.token.as_str());
    let kinds = [
        ("a%2Fb", "a/b"),
        ("a%252Fb", "a%2Fb"),
        ("a+b", "a+b"),
        ("a%2Bb", "a+b"),
        ("a=b", "a=b"),
        ("%2E%2E", ".."),
        ("..", ".."),
        ("a%3Fb%23c", "a?b#c"),
        ("%F0%9F%94%91", "🔑"),
        ("a%20b", "a b"),
        ("A", "A"),
    ];
    for (path, event_type) in kinds {
        let content = json!({ "type": event_type }).to_string();
        server
            .send("PUT", &format!("{base}{path}"), token, content.clone())
            .await
            .ok();
        let reply = server.get(&alice, &alice.path(event_type)).await;
        assert_eq!(reply.body, content, "{path}");
    }
    server
        .get(&alice, &alice.path("a"))
        .await
        .is(404, "M_NOT_FOUND");
    // An unencoded slash is another path, and an empty type is none.
    server
        .get(&alice, &format!("{base}a/b"))
        .await
        .is(404, "M_UNRECOGNIZED");
    server
        .get(&alice, &format!("{base}a/"))
        .await
        .is(404, "M_UNRECOGNIZED");
    server.get(&alice, &base).await.is(404, "M_UNRECOGNIZED");
}

// shows: SRV-06, AD-08
#[tokio::test]
async fn types_beyond_the_rules_are_refused() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let longest = "é".repeat(127) + "x";
    server.put(&alice, &longest, "{}").await.ok();
    server
        .put(&alice, &(longest + "x"), "{}")
        .await
        .is(400, "M_INVALID_PARAM");
    server
        .put(&alice, "a\0b", "{}")
        .await
        .is(400, "M_INVALID_PARAM");
    let path = format!("/user/{}/account_data/%FF", alice.user);
    server.get(&alice, &path).await.is(400, "M_INVALID_PARAM");
}
