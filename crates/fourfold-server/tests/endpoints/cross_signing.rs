//! `/keys/device_signing/upload` and `/keys/signatures/upload`.

use serde_json::{Value, json};

use crate::keys::{post, publish, query};
use crate::signing::{Key, device_keys};
use crate::under_test::{PASSWORD, Person, Reply, UnderTest};

const UPLOAD: &str = "/keys/device_signing/upload";
const SIGNATURES: &str = "/keys/signatures/upload";

fn key(who: &Person, usage: &str, key: &Key, master: Option<&Key>) -> Value {
    let mut object = json!({ "user_id": who.user, "usage": [usage], "keys": {} });
    object["keys"][key.id()] = json!(key.public());
    if let Some(master) = master {
        master.sign(&mut object, &who.user, &master.id());
    }
    object
}

/// Three keys made from a number and its followers.
fn three(who: &Person, seed: u8) -> Value {
    let master = Key::new(seed);
    json!({
        "master_key": key(who, "master", &master, None),
        "self_signing_key": key(who, "self_signing", &Key::new(seed + 1), Some(&master)),
        "user_signing_key": key(who, "user_signing", &Key::new(seed + 2), Some(&master)),
    })
}

async fn upload(server: &UnderTest, who: &Person, body: &Value) -> Reply {
    post(server, who, UPLOAD, body).await
}

// shows: SRV-15, SRV-16
#[tokio::test]
async fn dk_05_a_key_is_that_of_a_device_or_of_the_identity() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let second = server.login("alice", "SECOND").await;
    publish(&server, &alice, &Key::new(11)).await;
    // The self-signing key of these is the key of the device.
    upload(&server, &alice, &three(&alice, 10))
        .await
        .is(400, "M_INVALID_PARAM");
    upload(&server, &alice, &three(&alice, 20)).await.ok();
    let keys = device_keys(&second, &Key::new(22));
    let body = json!({ "device_keys": keys });
    post(&server, &second, "/keys/upload", &body)
        .await
        .is(400, "M_INVALID_PARAM");
    publish(&server, &second, &Key::new(23)).await;
}

// shows: SRV-19, DK-05
#[tokio::test]
async fn dk_05_the_first_upload_is_free_and_a_replacement_needs_the_password() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    upload(&server, &alice, &three(&alice, 10)).await.ok();
    upload(&server, &alice, &three(&alice, 10)).await.ok();
    let own = query(&server, &alice, &[&alice]).await;
    let others = query(&server, &bob, &[&alice]).await;
    for member in ["master_keys", "self_signing_keys"] {
        assert!(own[member][&alice.user].is_object());
        assert_eq!(own[member], others[member]);
    }
    assert!(own["user_signing_keys"][&alice.user].is_object());
    assert_eq!(others["user_signing_keys"], json!({}));

    let mut next = three(&alice, 20);
    let challenge = upload(&server, &alice, &next).await;
    assert_eq!(challenge.status, 401);
    assert!(challenge.json()["flows"].is_array());
    assert_eq!(query(&server, &alice, &[&alice]).await, own);
    next["auth"] = json!({ "type": "m.login.password", "user": "alice", "password": PASSWORD });
    // A new master key without the others ends them.
    for member in ["self_signing_key", "user_signing_key"] {
        next.as_object_mut().unwrap().remove(member);
    }
    upload(&server, &alice, &next).await.ok();
    let own = query(&server, &alice, &[&alice]).await;
    assert_eq!(own["self_signing_keys"], json!({}));
    assert_eq!(own["user_signing_keys"], json!({}));
}

// shows: SRV-19, DK-05
#[tokio::test]
async fn dk_05_malformed_and_unsigned_keys_are_refused() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let good = three(&alice, 10);
    let alone = json!({ "self_signing_key": good["self_signing_key"] });
    upload(&server, &alice, &alone)
        .await
        .is(400, "M_MISSING_PARAM");
    let mut foreign = good.clone();
    foreign["self_signing_key"] = key(&alice, "self_signing", &Key::new(11), Some(&Key::new(99)));
    upload(&server, &alice, &foreign)
        .await
        .is(400, "M_INVALID_SIGNATURE");
    for (pointer, value) in [
        ("/master_key/usage", json!(["self_signing"])),
        ("/master_key/user_id", json!("@bob:localhost")),
        ("/master_key/keys", json!({ "ed25519:a": "b" })),
        ("/master_key/keys", json!({})),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        upload(&server, &alice, &bad)
            .await
            .is(400, "M_INVALID_PARAM");
    }
    let mut two = good.clone();
    two["master_key"]["keys"][Key::new(50).id()] = json!(Key::new(50).public());
    upload(&server, &alice, &two)
        .await
        .is(400, "M_INVALID_PARAM");
}

// shows: SRV-15, DK-06
#[tokio::test]
async fn dk_06_no_device_has_the_id_of_a_cross_signing_key() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    upload(&server, &alice, &three(&alice, 10)).await.ok();
    let padded = |seed: u8| format!("{}=", Key::new(seed).public());
    for device in [
        Key::new(10).public(),
        Key::new(11).public(),
        Key::new(12).public(),
        padded(10),
        padded(12),
    ] {
        let body = json!({
            "type": "m.login.password", "user": "alice", "password": PASSWORD,
            "device_id": device,
        });
        server.post("/login", body).await.is(403, "M_FORBIDDEN");
    }
    // And no cross-signing key is the ID of a device, whichever of the three it is.
    for (name, device) in [
        ("bob", Key::new(30).public()),
        ("carol", Key::new(31).public()),
        ("dave", padded(32)),
    ] {
        server.register(name).await;
        let who = server.login(name, &device).await;
        upload(&server, &who, &three(&who, 30))
            .await
            .is(403, "M_FORBIDDEN");
        let found = query(&server, &who, &[&who]).await;
        assert_eq!(found["master_keys"], json!({}));
    }
    // Renaming gives a device another name, never another ID.
    let path = format!("/devices/{}", alice.device);
    let name = json!({ "display_name": Key::new(10).public(), "device_id": Key::new(10).public() });
    let token = Some(alice.token.as_str());
    server
        .send("PUT", &path, token, name.to_string())
        .await
        .ok();
    let devices = server.get(&alice, "/devices").await.ok();
    assert_eq!(devices["devices"][0]["device_id"], alice.device);
}

// shows: DK-07
#[tokio::test]
async fn dk_07_signatures_are_merged_and_wrong_ones_are_named() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    publish(&server, &alice, &Key::new(1)).await;
    upload(&server, &alice, &three(&alice, 10)).await.ok();
    upload(&server, &bob, &three(&bob, 20)).await.ok();
    let found = query(&server, &alice, &[&alice, &bob]).await;
    let mut device = found["device_keys"][&alice.user][&alice.device].clone();
    let mut body = json!({});
    device.as_object_mut().unwrap().remove("unsigned");
    Key::new(11).sign(&mut device, &alice.user, &Key::new(11).id());
    device["unsigned"] = json!({ "device_display_name": "x" });
    body[&alice.user][&alice.device] = device.clone();
    body[&alice.user]["UNKNOWN"] = device.clone();
    let mut master = found["master_keys"][&bob.user].clone();
    Key::new(12).sign(&mut master, &alice.user, &Key::new(12).id());
    body[&bob.user][Key::new(20).public()] = master;
    let reply = post(&server, &alice, SIGNATURES, &body).await.ok();
    let failures = &reply["failures"];
    assert_eq!(failures[&alice.user]["UNKNOWN"]["errcode"], "M_NOT_FOUND");
    assert_eq!(failures[&alice.user].as_object().unwrap().len(), 1);
    assert!(failures[&bob.user].is_null());

    let found = query(&server, &alice, &[&alice, &bob]).await;
    let signatures = &found["device_keys"][&alice.user][&alice.device]["signatures"];
    assert_eq!(signatures[&alice.user].as_object().unwrap().len(), 2);
    let of_bob = &found["master_keys"][&bob.user]["signatures"];
    assert!(of_bob[&alice.user][Key::new(12).id()].is_string());
    // Whom Alice trusts is hers to know.
    let seen_by_bob = query(&server, &bob, &[&bob]).await;
    assert!(seen_by_bob["master_keys"][&bob.user]["signatures"][&alice.user].is_null());

    // The device of somebody else is not Alice's to sign, with whatever key.
    publish(&server, &bob, &Key::new(2)).await;
    let found = query(&server, &alice, &[&bob]).await;
    let mut of_bob = found["device_keys"][&bob.user][&bob.device].clone();
    let of_bob_before = of_bob.clone();
    of_bob.as_object_mut().unwrap().remove("unsigned");
    for signer in [11, 12] {
        let key = Key::new(signer);
        key.sign(&mut of_bob, &alice.user, &key.id());
    }
    let mut body = json!({});
    body[&bob.user][&bob.device] = of_bob;
    let reply = post(&server, &alice, SIGNATURES, &body).await.ok();
    assert!(reply["failures"][&bob.user][&bob.device]["errcode"].is_string());
    let found = query(&server, &bob, &[&bob]).await;
    let after = &found["device_keys"][&bob.user][&bob.device];
    assert_eq!(*after, of_bob_before);

    let mut changed = device.clone();
    changed["algorithms"] = json!([]);
    let mut forged = device.clone();
    forged["signatures"][&alice.user][Key::new(11).id()] = json!("AAAA");
    for object in [changed, forged, json!(1)] {
        let mut body = json!({});
        body[&alice.user][&alice.device] = object;
        let reply = post(&server, &alice, SIGNATURES, &body).await.ok();
        let fault = &reply["failures"][&alice.user][&alice.device];
        assert_eq!(fault["errcode"], "M_INVALID_SIGNATURE");
    }
}
