//! Who may call what: generated from the route table, so that no route can be left out.

use fourfold_server::{Access, PREFIXES, RouteDescription, routes};
use serde_json::json;

use crate::under_test::{PASSWORD, Person, UnderTest};

fn paths(route: &RouteDescription, owner: &str) -> Vec<String> {
    let path = route
        .path
        .replace("{userId}", owner)
        .replace("{deviceId}", "SOME")
        .replace("{roomId}", "!r:localhost")
        .replace("{filterId}", "1")
        .replace("{eventType}", "m.test")
        .replace("{txnId}", "txn")
        .replace("{version}", "1")
        .replace("{sessionId}", "session")
        .replace("{type}", "m.test");
    assert!(
        !path.contains('{'),
        "{path} has a parameter that this test does not know"
    );
    let prefixes: &[&str] = if route.prefixed { &PREFIXES } else { &[""] };
    prefixes
        .iter()
        .map(|prefix| format!("{prefix}{path}"))
        .collect()
}

async fn revoked(server: &UnderTest) -> Person {
    let person = server.login("alice", "REVOKED").await;
    server
        .send("POST", "/logout", Some(&person.token), "")
        .await
        .ok();
    person
}

async fn deleted(server: &UnderTest, by: &Person) -> Person {
    let person = server.login("alice", "DELETED").await;
    let auth = json!({ "type": "m.login.password", "user": "alice", "password": PASSWORD });
    let body = json!({ "devices": ["DELETED"], "auth": auth }).to_string();
    server
        .send("POST", "/delete_devices", Some(&by.token), body)
        .await
        .ok();
    person
}

// shows: SRV-01, SRV-02, SRV-04, AD-02
#[tokio::test]
async fn no_token_no_answer() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let revoked = revoked(&server).await;
    let deleted = deleted(&server, &alice).await;
    let mut tested = 0;
    for route in routes() {
        for path in paths(&route, &alice.user) {
            let missing = server.send(route.method, &path, None, "{}").await;
            if route.access == Access::Public {
                assert_ne!(missing.json()["errcode"], "M_MISSING_TOKEN", "{path}");
                continue;
            }
            missing.is(401, "M_MISSING_TOKEN");
            let in_query = format!("{path}?access_token={}", alice.token);
            let in_query = server.send(route.method, &in_query, None, "{}").await;
            in_query.is(401, "M_MISSING_TOKEN");
            let longer = format!("{}x", alice.token);
            let shorter = &alice.token[..alice.token.len() - 1];
            let gone = [&*revoked.token, &deleted.token];
            for token in ["", "bad", "ff_", &longer, shorter].into_iter().chain(gone) {
                let reply = server.send(route.method, &path, Some(token), "{}").await;
                reply.is(401, "M_UNKNOWN_TOKEN");
            }
            tested += 1;
        }
    }
    assert!(tested > 40, "{tested}");
}

// shows: SRV-01, SRV-02, AD-01
#[tokio::test]
async fn the_path_must_name_the_owner_of_the_token_in_its_one_spelling() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    server.register("bob").await;
    let others = [
        "@bob:localhost",
        "%40bob%3Alocalhost",
        "@nobody:localhost",
        "@Alice:localhost",
        "@ALICE:LOCALHOST",
        "@alice:localhost.",
        "@alice:localhost%20",
        "%20@alice:localhost",
        "@alice:localhost%2F",
        "%2540alice%253Alocalhost",
        "@alice",
        "alice",
        "@alice:elsewhere",
        "@alice:localhost%2F..%2F@bob:localhost",
    ];
    let mut tested = 0;
    for route in routes().filter(|route| route.access == Access::Owner) {
        for other in others {
            for path in paths(&route, other) {
                let reply = server
                    .send(route.method, &path, Some(&alice.token), "{}")
                    .await;
                reply.is(403, "M_FORBIDDEN");
                tested += 1;
            }
        }
        for path in paths(&route, "@bob:localhost") {
            let named = format!("{path}?user_id={}&userId={}", alice.user, alice.user);
            let token = Some(alice.token.as_str());
            let reply = server.send(route.method, &named, token, "{}").await;
            reply.is(403, "M_FORBIDDEN");
        }
        for path in paths(&route, &alice.user) {
            let trailing = format!("{path}/");
            let reply = server
                .send(route.method, &trailing, Some(&alice.token), "{}")
                .await;
            reply.is(404, "M_UNRECOGNIZED");
            let own = server
                .send(route.method, &path, Some(&alice.token), "{}")
                .await;
            assert!(matches!(own.status, 200 | 404), "{path} {}", own.status);
            assert_ne!(own.json()["errcode"], "M_UNRECOGNIZED", "{path}");
        }
        for path in paths(&route, "") {
            let reply = server
                .send(route.method, &path, Some(&alice.token), "{}")
                .await;
            assert!(matches!(reply.status, 403 | 404), "{path}");
        }
    }
    assert!(tested > 80, "{tested}");
}

#[tokio::test]
async fn only_a_bearer_token_counts() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    for (value, status) in [
        (format!("Bearer {}", alice.token), 200),
        (format!("bearer {}", alice.token), 200),
        (format!("Basic {}", alice.token), 401),
        (alice.token.clone(), 401),
    ] {
        let request = http::Request::get("/_matrix/client/v3/account/whoami")
            .header("authorization", value)
            .body(axum::body::Body::empty())
            .unwrap();
        let answer = tower::ServiceExt::oneshot(server.router.clone(), request)
            .await
            .unwrap();
        assert_eq!(answer.status(), status);
    }
}

// shows: SRV-03
#[tokio::test]
async fn tokens_are_not_in_the_database() {
    let server = UnderTest::start().await;
    let wanted = json!({
        "username": "alice", "password": "a very secret password", "refresh_token": true,
        "auth": { "type": "m.login.dummy" },
    });
    let alice = Person::from(server.post("/register", wanted).await);
    server.homeserver.close().await;
    let secrets = [
        &*alice.token,
        alice.body["refresh_token"].as_str().unwrap(),
        "a very secret password",
    ];
    for file in std::fs::read_dir(server.folder.path().join("data")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for secret in secrets {
            // The random part is what counts; the prefix and the name are no secret.
            let secret = &secret.as_bytes()[secret.len().saturating_sub(20)..];
            assert!(!bytes.windows(secret.len()).any(|window| window == secret));
        }
    }
}

// shows: SRV-03
#[tokio::test]
async fn debug_output_has_no_secrets() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    server
        .put(&alice, "m.x", r#"{"secret":"canary"}"#)
        .await
        .ok();
    let debug = format!("{:?}", server.homeserver);
    assert!(debug.contains("localhost"));
    for secret in ["canary", "argon2id", "TokenHash", "alice", &alice.token] {
        assert!(!debug.contains(secret), "{debug}");
    }
    assert!(debug.len() < 500, "{debug}");
}
