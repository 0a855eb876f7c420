//! `/register`.

use serde_json::json;

use crate::under_test::{PASSWORD, UnderTest};

#[tokio::test]
async fn asks_first_with_all_members_that_clients_look_at() {
    let server = UnderTest::start().await;
    let reply = server.post("/register", json!({})).await;
    assert_eq!(reply.status, 401);
    let challenge = reply.json();
    assert!(challenge["session"].is_string());
    assert_eq!(challenge["flows"], json!([{ "stages": ["m.login.dummy"] }]));
    assert_eq!(challenge["params"], json!({}));
    assert!(challenge.get("errcode").is_none());
}

#[tokio::test]
async fn goes_on_with_the_session_or_none_or_null() {
    let server = UnderTest::start().await;
    let challenge = server
        .post("/register", json!({ "username": "a" }))
        .await
        .json();
    let auths = [
        json!({ "type": "m.login.dummy", "session": challenge["session"] }),
        json!({ "type": "m.login.dummy", "session": null }),
        json!({ "type": "m.login.dummy" }),
    ];
    for (index, auth) in auths.into_iter().enumerate() {
        let name = format!("user{index}");
        let wanted = json!({ "username": name, "password": PASSWORD, "auth": auth });
        let body = server.post("/register", wanted).await.ok();
        assert_eq!(body["user_id"], format!("@{name}:localhost"));
        assert_eq!(body["home_server"], "localhost");
        assert!(body["access_token"].is_string() && body["device_id"].is_string());
        assert!(body.get("refresh_token").is_none());
    }
}

#[tokio::test]
async fn keeps_the_session_over_a_retry_and_starts_over_when_it_is_unknown() {
    let server = UnderTest::start().await;
    let session = server.post("/register", json!({})).await.json()["session"].clone();
    let again = server
        .post("/register", json!({ "auth": { "session": session } }))
        .await;
    assert_eq!((again.status, &again.json()["session"]), (401, &session));
    let other = json!({ "auth": { "type": "m.login.dummy", "session": "made up" } });
    let other = server.post("/register", other).await;
    assert_eq!(other.status, 401);
    assert!(other.json()["session"].is_string() && other.json()["session"] != "made up");
    let wrong = json!({ "auth": { "type": "m.login.token", "session": session } });
    let wrong = server.post("/register", wrong).await;
    assert_eq!((wrong.status, &wrong.json()["session"]), (401, &session));
}

#[tokio::test]
async fn checks_the_name_before_it_asks() {
    let server = UnderTest::start().await;
    server.register("alice").await;
    let asked = |name: &str| server.post("/register", json!({ "username": name }));
    asked("alice").await.is(400, "M_USER_IN_USE");
    for name in [
        "",
        "Alice",
        "a b",
        "ä",
        "a:b",
        "@alice:localhost",
        &"a".repeat(250),
    ] {
        asked(name).await.is(400, "M_INVALID_USERNAME");
    }
    for name in ["a.b_c=d-e/f+9", &"a".repeat(244)] {
        assert_eq!(asked(name).await.status, 401, "{name}");
    }
}

#[tokio::test]
async fn inhibit_login_makes_no_session() {
    let server = UnderTest::start().await;
    let wanted = json!({
        "username": "alice",
        "password": PASSWORD,
        "inhibit_login": true,
        "auth": { "type": "m.login.dummy" },
    });
    let body = server.post("/register", wanted).await.ok();
    assert_eq!(
        body,
        json!({ "user_id": "@alice:localhost", "home_server": "localhost" })
    );
}

#[tokio::test]
async fn picks_a_name_and_keeps_the_device_of_the_client() {
    let server = UnderTest::start().await;
    let wanted = json!({
        "password": PASSWORD,
        "device_id": "MINE",
        "initial_device_display_name": "my phone",
        "auth": { "type": "m.login.dummy" },
    });
    let body = server.post("/register", wanted).await.ok();
    assert!(body["user_id"].as_str().unwrap().ends_with(":localhost"));
    assert_eq!(body["device_id"], "MINE");
}

#[tokio::test]
async fn refuses_bodies_passwords_and_guests() {
    let server = UnderTest::start().await;
    server
        .send("POST", "/register", None, "")
        .await
        .is(400, "M_NOT_JSON");
    server
        .send("POST", "/register", None, "{")
        .await
        .is(400, "M_NOT_JSON");
    server
        .send("POST", "/register", None, "[]")
        .await
        .is(400, "M_BAD_JSON");
    server
        .post("/register", json!({ "username": 1 }))
        .await
        .is(400, "M_BAD_JSON");
    let dummy = json!({ "type": "m.login.dummy" });
    server
        .post("/register", json!({ "auth": dummy }))
        .await
        .is(400, "M_MISSING_PARAM");
    let empty = json!({ "auth": dummy, "password": "" });
    server
        .post("/register", empty)
        .await
        .is(400, "M_WEAK_PASSWORD");
    server
        .post("/register?kind=guest", json!({}))
        .await
        .is(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn can_be_closed() {
    let server = UnderTest::with(|config| config.accounts.registration = false).await;
    server
        .post("/register", json!({}))
        .await
        .is(403, "M_FORBIDDEN");
    let available = server
        .send("GET", "/register/available?username=a", None, "")
        .await;
    available.is(403, "M_FORBIDDEN");
    server
        .homeserver
        .create_account("alice", PASSWORD)
        .await
        .unwrap();
    server.login("alice", "D").await;
}

#[tokio::test]
async fn says_which_names_are_free() {
    let server = UnderTest::start().await;
    server.register("alice").await;
    let asked = async |name: &str| {
        server
            .send(
                "GET",
                &format!("/register/available?username={name}"),
                None,
                "",
            )
            .await
    };
    assert_eq!(asked("bob").await.ok(), json!({ "available": true }));
    asked("alice").await.is(400, "M_USER_IN_USE");
    asked("Bob").await.is(400, "M_INVALID_USERNAME");
    server
        .send("GET", "/register/available", None, "")
        .await
        .is(400, "M_MISSING_PARAM");
}

#[tokio::test]
async fn two_at_once_get_one_name() {
    let server = UnderTest::start().await;
    let wanted = || {
        let auth = json!({ "type": "m.login.dummy" });
        server.post(
            "/register",
            json!({ "username": "a", "password": "p", "auth": auth }),
        )
    };
    let (one, two) = tokio::join!(wanted(), wanted());
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
}
