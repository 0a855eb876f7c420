//! `/login`, `/refresh`, `/logout`, `/account/whoami`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::under_test::{PASSWORD, Person, UnderTest, percent_encode, waits};

fn with_password(user: Value) -> Value {
    let mut body = json!({ "type": "m.login.password", "password": PASSWORD });
    body.as_object_mut()
        .unwrap()
        .extend(user.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn offers_passwords() {
    let server = UnderTest::start().await;
    let flows = server.send("GET", "/login", None, "").await.ok();
    assert_eq!(flows, json!({ "flows": [{ "type": "m.login.password" }] }));
}

#[tokio::test]
async fn takes_every_spelling_of_the_user() {
    let server = UnderTest::start().await;
    server.register("alice").await;
    for user in [
        json!({ "identifier": { "type": "m.id.user", "user": "alice" } }),
        json!({ "identifier": { "type": "m.id.user", "user": "@alice:localhost" } }),
        json!({ "user": "alice" }),
        json!({ "user": "@alice:localhost", "identifier": null }),
    ] {
        let body = server.post("/login", with_password(user)).await.ok();
        assert_eq!(body["user_id"], "@alice:localhost");
        assert!(body["device_id"].is_string());
        assert!(body.get("well_known").is_none());
    }
}

#[tokio::test]
async fn refuses_with_the_codes_of_the_specification() {
    let server = UnderTest::start().await;
    server.register("alice").await;
    let user = json!({ "type": "m.id.user", "user": "alice" });
    let wrong = json!({ "type": "m.login.password", "identifier": user, "password": "x" });
    let wrong = server.post("/login", wrong).await;
    wrong.is(403, "M_FORBIDDEN");
    for nobody in ["bob", "@alice:elsewhere", "@alice", ""] {
        let reply = server
            .post("/login", with_password(json!({ "user": nobody })))
            .await;
        reply.is(403, "M_FORBIDDEN");
        assert_eq!(reply.body, wrong.body);
    }
    server
        .post("/login", json!({ "type": "m.login.token" }))
        .await
        .is(400, "M_UNKNOWN");
    server
        .post("/login", json!({}))
        .await
        .is(400, "M_MISSING_PARAM");
    server
        .post("/login", json!({ "type": "m.login.password" }))
        .await
        .is(400, "M_MISSING_PARAM");
    let email = json!({ "identifier": { "type": "m.id.thirdparty", "address": "a@b" } });
    server
        .post("/login", with_password(email))
        .await
        .is(400, "M_UNKNOWN");
    server
        .send("POST", "/login", None, "nonsense")
        .await
        .is(400, "M_NOT_JSON");
    server
        .send("POST", "/login", None, "[]")
        .await
        .is(400, "M_BAD_JSON");
}

/// `*` means every device where messages are sent, so nobody may be called that.
// shows: SRV-12
#[tokio::test]
async fn a_device_cannot_be_called_everybody_nor_nothing() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let (long, longest) = ("d".repeat(256), "d".repeat(255));
    for device in ["", "*", "a\nb", "a\u{9b}b", &long] {
        let login = json!({ "user": "alice", "device_id": device });
        let reply = server.post("/login", with_password(login)).await;
        reply.is(400, "M_INVALID_PARAM");
        let registration = json!({
            "username": "bob", "password": PASSWORD, "device_id": device,
            "auth": { "type": "m.login.dummy" },
        });
        let reply = server.post("/register", registration).await;
        reply.is(400, "M_INVALID_PARAM");
        // Nor does anything else make one.
        let path = format!("/devices/{}", percent_encode(device));
        let renamed = server
            .send("PUT", &path, Some(&alice.token), r#"{"display_name":"x"}"#)
            .await;
        assert!((400..500).contains(&renamed.status), "{device}");
    }
    for device in ["**", "* ", &longest] {
        let login = json!({ "user": "alice", "device_id": device });
        server.post("/login", with_password(login)).await.ok();
    }
    let devices = server.get(&alice, "/devices").await.ok();
    assert_eq!(devices["devices"].as_array().unwrap().len(), 4);
    // A registration that was refused took no name.
    server
        .get(&alice, "/register/available?username=bob")
        .await
        .ok();
}

#[tokio::test]
async fn a_known_device_keeps_its_name_and_loses_its_token() {
    let server = UnderTest::start().await;
    server.register("alice").await;
    let login = |name: &str| {
        server.post(
            "/login",
            with_password(json!({
                "user": "alice",
                "device_id": "PHONE",
                "initial_device_display_name": name,
            })),
        )
    };
    let first = Person::from(login("first name").await);
    let second = Person::from(login("second name").await);
    server
        .get(&first, "/account/whoami")
        .await
        .is(401, "M_UNKNOWN_TOKEN");
    let device = server.get(&second, "/devices/PHONE").await.ok();
    assert_eq!(device["display_name"], "first name");
}

#[tokio::test]
async fn whoami_names_user_and_device() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    assert_eq!(
        server.get(&alice, "/account/whoami").await.ok(),
        json!({ "user_id": alice.user, "device_id": alice.device, "is_guest": false })
    );
    let old = "/_matrix/client/r0/account/whoami";
    server.get(&alice, old).await.ok();
}

// shows: SRV-03
#[tokio::test]
async fn logout_ends_the_session_and_the_device() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let other = server.login("alice", "OTHER").await;
    let reply = server
        .send("POST", "/logout", Some(&alice.token), "{}")
        .await;
    assert_eq!(reply.ok(), json!({}));
    server
        .get(&alice, "/account/whoami")
        .await
        .is(401, "M_UNKNOWN_TOKEN");
    let devices = server.get(&other, "/devices").await.ok();
    assert_eq!(devices["devices"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn logout_all_ends_every_session() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let other = server.login("alice", "OTHER").await;
    let bob = server.register("bob").await;
    server
        .send("POST", "/logout/all", Some(&alice.token), "")
        .await
        .ok();
    server
        .get(&alice, "/devices")
        .await
        .is(401, "M_UNKNOWN_TOKEN");
    server
        .get(&other, "/devices")
        .await
        .is(401, "M_UNKNOWN_TOKEN");
    server.get(&bob, "/devices").await.ok();
}

// shows: SRV-03
#[tokio::test]
async fn the_end_of_a_session_ends_its_long_poll() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let other = server.login("alice", "OTHER").await;
    let since = server.sync(&alice, "").await["next_batch"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/sync?timeout=60000&since={since}");
    let mut poll = Box::pin(server.get(&alice, &path));
    waits(&mut poll).await;
    server
        .send("POST", "/logout/all", Some(&other.token), "")
        .await
        .ok();
    poll.await.is(401, "M_UNKNOWN_TOKEN");
}

async fn refreshable(server: &UnderTest) -> Person {
    server.register("alice").await;
    let wanted = with_password(json!({ "user": "alice", "refresh_token": true }));
    let alice = Person::from(server.post("/login", wanted).await);
    assert!(alice.body["expires_in_ms"].as_u64().unwrap() > 0);
    alice
}

async fn refresh(server: &UnderTest, of: &Value) -> Result<Value, ()> {
    let reply = server
        .post("/refresh", json!({ "refresh_token": of["refresh_token"] }))
        .await;
    if reply.status == 401 {
        reply.is(401, "M_UNKNOWN_TOKEN");
        assert_eq!(reply.json()["soft_logout"], true);
        return Err(());
    }
    Ok(reply.ok())
}

async fn whoami(server: &UnderTest, tokens: &Value) -> u16 {
    let token = tokens["access_token"].as_str();
    server
        .send("GET", "/account/whoami", token, "")
        .await
        .status
}

#[tokio::test]
async fn a_refreshable_token_expires_softly_and_is_refreshed() {
    let server = UnderTest::start().await;
    let alice = refreshable(&server).await;
    assert_eq!(whoami(&server, &alice.body).await, 200);
    server.clock.advance(Duration::from_secs(301));
    let expired = server.get(&alice, "/account/whoami").await;
    expired.is(401, "M_UNKNOWN_TOKEN");
    assert_eq!(expired.json()["soft_logout"], true);
    let tokens = refresh(&server, &alice.body).await.unwrap();
    assert!(tokens["expires_in_ms"].is_u64());
    let token = tokens["access_token"].as_str();
    let body = server.send("GET", "/account/whoami", token, "").await.ok();
    assert_eq!(body["device_id"], alice.device);
}

#[tokio::test]
async fn the_old_refresh_token_lives_until_the_new_access_token_is_used() {
    let server = UnderTest::start().await;
    let alice = refreshable(&server).await;
    // The first answer is lost on its way; the second try replaces it.
    let lost = refresh(&server, &alice.body).await.unwrap();
    let second = refresh(&server, &alice.body).await.unwrap();
    assert_eq!(whoami(&server, &lost).await, 401);
    assert_eq!(whoami(&server, &alice.body).await, 200);
    assert_eq!(whoami(&server, &second).await, 200);
    assert_eq!(whoami(&server, &alice.body).await, 401);
    refresh(&server, &alice.body).await.unwrap_err();
    refresh(&server, &second).await.unwrap();
}

#[tokio::test]
async fn using_the_new_refresh_token_retires_the_old_one_too() {
    let server = UnderTest::start().await;
    let alice = refreshable(&server).await;
    let second = refresh(&server, &alice.body).await.unwrap();
    let third = refresh(&server, &second).await.unwrap();
    refresh(&server, &alice.body).await.unwrap_err();
    assert_eq!(whoami(&server, &third).await, 200);
}

#[tokio::test]
async fn refresh_refuses_what_is_no_refresh_token() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    for token in ["", "ffr_x", &alice.token] {
        refresh(&server, &json!({ "refresh_token": token }))
            .await
            .unwrap_err();
    }
    server
        .post("/refresh", json!({}))
        .await
        .is(400, "M_MISSING_PARAM");
}
