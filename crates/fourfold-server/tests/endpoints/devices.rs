//! `/devices` and `/delete_devices`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::under_test::{PASSWORD, Person, UnderTest};

async fn send(
    server: &UnderTest,
    who: &Person,
    method: &str,
    path: &str,
    body: Value,
) -> (u16, Value) {
    let reply = server
        .send(method, path, Some(&who.token), body.to_string())
        .await;
    (reply.status, reply.json())
}

fn password(session: Option<&Value>, password: &str) -> Value {
    let user = json!({ "type": "m.id.user", "user": "alice" });
    json!({ "type": "m.login.password", "session": session, "identifier": user, "password": password })
}

#[tokio::test]
async fn lists_shows_and_renames() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    server.login("alice", "SECOND").await;
    let devices = server.get(&alice, "/devices").await.ok();
    let devices = devices["devices"].as_array().unwrap();
    assert_eq!(devices.len(), 2);
    assert!(devices.iter().all(|device| device["last_seen_ts"].is_u64()));
    let name = json!({ "display_name": "a \"name\"" });
    assert_eq!(
        send(&server, &alice, "PUT", "/devices/SECOND", name).await,
        (200, json!({}))
    );
    let device = server.get(&alice, "/devices/SECOND").await.ok();
    assert_eq!(
        (&device["device_id"], &device["display_name"]),
        (&json!("SECOND"), &json!("a \"name\""))
    );
    assert_eq!(
        send(&server, &alice, "PUT", "/devices/SECOND", json!({}))
            .await
            .0,
        200
    );
    let device = server.get(&alice, "/devices/SECOND").await.ok();
    assert_eq!(device["display_name"], "a \"name\"");
}

#[tokio::test]
async fn unknown_devices_are_not_found_and_belong_to_nobody_else() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let path = format!("/devices/{}", alice.device);
    server.get(&bob, &path).await.is(404, "M_NOT_FOUND");
    let (status, body) = send(&server, &bob, "PUT", &path, json!({ "display_name": "x" })).await;
    assert_eq!((status, &body["errcode"]), (404, &json!("M_NOT_FOUND")));
    let auth = json!({ "type": "m.login.password", "password": PASSWORD });
    send(&server, &bob, "DELETE", &path, json!({ "auth": auth })).await;
    server.get(&alice, &path).await.ok();
}

#[tokio::test]
async fn deleting_asks_for_the_password() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let second = server.login("alice", "SECOND").await;
    let path = "/devices/SECOND";
    let asked = server.send("DELETE", path, Some(&alice.token), "").await;
    assert_eq!(asked.status, 401);
    let challenge = asked.json();
    assert_eq!(
        challenge["flows"],
        json!([{ "stages": ["m.login.password"] }])
    );
    assert_eq!(challenge["params"], json!({}));
    let session = Some(&challenge["session"]);

    let wrong = json!({ "auth": password(session, "wrong") });
    let (status, body) = send(&server, &alice, "DELETE", path, wrong).await;
    assert_eq!((status, &body["errcode"]), (401, &json!("M_FORBIDDEN")));
    assert_eq!(body["session"], challenge["session"]);
    assert!(body["flows"].is_array());
    server.get(&second, "/account/whoami").await.ok();

    let right = json!({ "auth": password(session, PASSWORD) });
    assert_eq!(
        send(&server, &alice, "DELETE", path, right.clone()).await,
        (200, json!({}))
    );
    server
        .get(&second, "/account/whoami")
        .await
        .is(401, "M_UNKNOWN_TOKEN");
    // Used up.
    assert_eq!(send(&server, &alice, "DELETE", path, right).await.0, 401);
    let again = json!({ "auth": password(None, PASSWORD) });
    assert_eq!(
        send(&server, &alice, "DELETE", path, again).await,
        (200, json!({}))
    );
}

#[tokio::test]
async fn another_users_password_or_session_confirms_nothing() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let auth = json!({ "type": "m.login.password", "user": "bob", "password": PASSWORD });
    let devices = json!({ "devices": ["X"], "auth": auth });
    let (status, body) = send(&server, &alice, "POST", "/delete_devices", devices).await;
    assert_eq!((status, &body["errcode"]), (401, &json!("M_FORBIDDEN")));
    let session = &body["session"];
    let auth = json!({ "type": "m.login.password", "password": PASSWORD, "session": session });
    let devices = json!({ "devices": ["X"], "auth": auth });
    let (status, body) = send(&server, &bob, "POST", "/delete_devices", devices).await;
    assert_eq!(status, 401);
    assert_ne!(&body["session"], session);
}

#[tokio::test]
async fn delete_devices_takes_many() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    server.login("alice", "A").await;
    server.login("alice", "B").await;
    let (status, _) = send(&server, &alice, "POST", "/delete_devices", json!({})).await;
    assert_eq!(status, 400);
    let ids = json!(["A", "B", "UNKNOWN"]);
    let (status, _) = send(
        &server,
        &alice,
        "POST",
        "/delete_devices",
        json!({ "devices": ids }),
    )
    .await;
    assert_eq!(status, 401);
    let body = json!({ "devices": ids, "auth": password(None, PASSWORD) });
    assert_eq!(
        send(&server, &alice, "POST", "/delete_devices", body).await,
        (200, json!({}))
    );
    let left = server.get(&alice, "/devices").await.ok();
    assert_eq!(left["devices"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_device_in_use_is_seen_again_after_a_while() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let path = format!("/devices/{}", alice.device);
    let seen = server.get(&alice, &path).await.ok()["last_seen_ts"]
        .as_u64()
        .unwrap();
    server.clock.advance(Duration::from_secs(7200));
    server.get(&alice, &path).await.ok();
    // Noted beside the request, by a task of its own; a later write of the same user comes after it.
    tokio::task::yield_now().await;
    server.put(&alice, "m.a", "{}").await.ok();
    let now = server.get(&alice, &path).await.ok()["last_seen_ts"]
        .as_u64()
        .unwrap();
    assert_eq!(now, seen + 7_200_000);
}
