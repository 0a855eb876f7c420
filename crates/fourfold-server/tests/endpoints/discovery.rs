//! Versions, well-known, capabilities, start-up calls, unknown paths and CORS.

use crate::under_test::UnderTest;

#[tokio::test]
async fn versions_reach_from_2019_to_today() {
    let server = UnderTest::start().await;
    let versions = server
        .send("GET", "/_matrix/client/versions", None, "")
        .await
        .ok();
    for version in ["r0.6.0", "v1.1", "v1.11"] {
        assert!(
            versions["versions"]
                .as_array()
                .unwrap()
                .contains(&version.into()),
            "{versions}"
        );
    }
}

#[tokio::test]
async fn well_known_names_the_configured_url_or_nothing() {
    let path = "/.well-known/matrix/client";
    let server = UnderTest::start().await;
    server
        .send("GET", path, None, "")
        .await
        .is(404, "M_NOT_FOUND");
    let url = "https://matrix.example";
    let server =
        UnderTest::with(|config| config.network.public_base_url = Some(url.to_owned())).await;
    let answer = server.send("GET", path, None, "").await.ok();
    assert_eq!(answer["m.homeserver"]["base_url"], url);
}

#[tokio::test]
async fn start_up_calls_have_harmless_answers() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let capabilities = server.get(&alice, "/capabilities").await.ok();
    assert_eq!(
        capabilities["capabilities"]["m.change_password"]["enabled"],
        false
    );
    assert!(capabilities["capabilities"]["m.room_versions"]["default"].is_string());
    for (path, body) in [
        ("/voip/turnServer", "{}"),
        ("/thirdparty/protocols", "{}"),
        ("/joined_rooms", r#"{"joined_rooms":[]}"#),
        ("/pushers", r#"{"pushers":[]}"#),
        ("/profile/@alice:localhost", "{}"),
        ("/profile/%40alice%3Alocalhost/displayname", "{}"),
    ] {
        let reply = server.get(&alice, path).await;
        reply.ok();
        assert_eq!(reply.body, body, "{path}");
    }
    server
        .get(&alice, "/profile/@bob:localhost")
        .await
        .is(404, "M_NOT_FOUND");
    server
        .get(&alice, "/profile/@alice:elsewhere/displayname")
        .await
        .is(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn push_rules_are_the_default_ones_of_the_user() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let rules = server.get(&alice, "/pushrules/").await.ok();
    for kind in ["override", "underride", "content", "room", "sender"] {
        assert!(rules["global"][kind].is_array(), "{kind}");
    }
    assert_eq!(rules["global"]["override"][0]["rule_id"], ".m.rule.master");
    assert!(rules.to_string().contains("@alice:localhost"));
    let stored = server.get(&alice, &alice.path("m.push_rules")).await.ok();
    assert_eq!(stored, rules);
    assert_eq!(
        server.get(&alice, "/pushrules/global/").await.ok(),
        rules["global"]
    );
}

#[tokio::test]
async fn unknown_paths_and_methods_say_so() {
    let server = UnderTest::start().await;
    for path in [
        "/",
        "/_matrix",
        "/_matrix/client/v3/nothing",
        "/pushrules",
        "/_matrix/client/v3",
    ] {
        let path = if path == "/" { "/_matrix/" } else { path };
        server
            .send("GET", path, None, "")
            .await
            .is(404, "M_UNRECOGNIZED");
        server
            .send("POST", path, None, "")
            .await
            .is(404, "M_UNRECOGNIZED");
    }
    server
        .send("PATCH", "/login", None, "")
        .await
        .is(405, "M_UNRECOGNIZED");
    server
        .send("DELETE", "/sync", None, "")
        .await
        .is(405, "M_UNRECOGNIZED");
    server
        .send("DELETE", "/user/@a:b/account_data/x", None, "")
        .await
        .is(405, "M_UNRECOGNIZED");
    server
        .send("GET", "/_matrix/client/v1/auth_metadata", None, "")
        .await
        .is(404, "M_UNRECOGNIZED");
}

// shows: SRV-23
#[tokio::test]
async fn every_answer_has_the_headers() {
    let server = UnderTest::start().await;
    for (method, path) in [
        ("GET", "/_matrix/client/versions"),
        ("GET", "/nothing"),
        ("PATCH", "/login"),
        ("GET", "/sync"),
        ("OPTIONS", "/sync"),
        ("OPTIONS", "/nothing"),
        ("POST", "/login"),
    ] {
        let reply = server.send(method, path, None, "").await;
        let header = |name: &str| reply.headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(
            header("access-control-allow-origin"),
            Some("*"),
            "{method} {path}"
        );
        assert_eq!(
            header("access-control-allow-methods"),
            Some("GET, POST, PUT, DELETE, OPTIONS"),
            "{method} {path}"
        );
        assert!(
            header("access-control-allow-headers")
                .unwrap()
                .contains("Authorization")
        );
        assert_eq!(header("cache-control"), Some("no-store"), "{method} {path}");
        assert_eq!(
            header("x-content-type-options"),
            Some("nosniff"),
            "{method} {path}"
        );
        assert_eq!(
            header("content-type"),
            Some("application/json"),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn options_runs_no_logic() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    server
        .send("OPTIONS", "/logout", Some(&alice.token), "")
        .await
        .ok();
    server.get(&alice, "/account/whoami").await.ok();
}
