//! `/keys/upload`, `/keys/query`, `/keys/claim` and `/keys/changes`.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::signing::{Key, curve25519, device_keys, one_time_keys};
use crate::under_test::{Person, Reply, UnderTest, waits};

pub(crate) async fn post(server: &UnderTest, who: &Person, path: &str, body: &Value) -> Reply {
    server
        .send("POST", path, Some(&who.token), body.to_string())
        .await
}

async fn upload(server: &UnderTest, who: &Person, body: Value) -> Reply {
    post(server, who, "/keys/upload", &body).await
}

pub(crate) async fn publish(server: &UnderTest, who: &Person, key: &Key) {
    let keys = device_keys(who, key);
    upload(server, who, json!({ "device_keys": keys }))
        .await
        .ok();
}

pub(crate) async fn query(server: &UnderTest, who: &Person, users: &[&Person]) -> Value {
    let mut wanted = json!({});
    for user in users {
        wanted[&user.user] = json!([]);
    }
    let body = json!({ "device_keys": wanted });
    post(server, who, "/keys/query", &body).await.ok()
}

async fn claim(server: &UnderTest, who: &Person, whose: &Person) -> Value {
    let mut wanted = json!({});
    wanted[&whose.user][&whose.device] = json!("signed_curve25519");
    let body = json!({ "one_time_keys": wanted });
    let reply = post(server, who, "/keys/claim", &body).await.ok();
    assert_eq!(reply["failures"], json!({}));
    reply["one_time_keys"][&whose.user][&whose.device].clone()
}

#[tokio::test]
async fn what_was_uploaded_is_found_with_the_name_of_the_device() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let key = Key::new(1);
    let keys = device_keys(&alice, &key);
    let reply = upload(&server, &alice, json!({ "device_keys": keys })).await;
    assert_eq!(
        reply.ok(),
        json!({ "one_time_key_counts": { "signed_curve25519": 0 } })
    );
    let path = format!("/devices/{}", alice.device);
    let name = r#"{"display_name":"my \"phone\""}"#;
    server
        .send("PUT", &path, Some(&alice.token), name)
        .await
        .ok();
    let found = query(&server, &bob, &[&alice, &bob]).await;
    let mut expected = keys.clone();
    expected["unsigned"] = json!({ "device_display_name": "my \"phone\"" });
    assert_eq!(found["device_keys"][&alice.user][&alice.device], expected);
    // A user without keys is there and empty; a user who does not exist is not there.
    assert_eq!(found["device_keys"][&bob.user], json!({}));
    let body = json!({ "device_keys": { "@nobody:localhost": [], "@x:elsewhere": [] } });
    let found = post(&server, &bob, "/keys/query", &body).await.ok();
    assert_eq!(found["device_keys"], json!({}));
    assert!(found["failures"]["elsewhere"].is_object());
    // Only the devices that are asked for.
    let mut body = json!({ "device_keys": {} });
    body["device_keys"][&alice.user] = json!(["OTHER"]);
    let found = post(&server, &bob, "/keys/query", &body).await.ok();
    assert_eq!(found["device_keys"][&alice.user], json!({}));
}

/// Whoever publishes the key of another device would be sent what is meant for that one, or keep it
/// from being sent.
// shows: SRV-16
#[tokio::test]
async fn dk_01_identity_keys_of_another_device_of_the_user_are_refused() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let second = server.login("alice", "SECOND").await;
    let bob = server.register("bob").await;
    let (first_key, second_key) = (Key::new(1), Key::new(2));
    publish(&server, &alice, &first_key).await;
    let ed25519 = format!("ed25519:{}", second.device);
    let curve25519 = format!("curve25519:{}", second.device);
    let padded = format!("{}=", first_key.curve25519());
    for key in [&first_key.curve25519(), &padded, &first_key.public()] {
        let mut keys = device_keys(&second, &second_key);
        keys["keys"][&curve25519] = json!(key);
        keys.as_object_mut().unwrap().remove("signatures");
        second_key.sign(&mut keys, &second.user, &ed25519);
        let reply = upload(&server, &second, json!({ "device_keys": keys })).await;
        reply.is(400, "M_INVALID_PARAM");
    }
    let mut keys = device_keys(&second, &first_key);
    keys["keys"][&curve25519] = json!(second_key.curve25519());
    keys.as_object_mut().unwrap().remove("signatures");
    first_key.sign(&mut keys, &second.user, &ed25519);
    let reply = upload(&server, &second, json!({ "device_keys": keys })).await;
    reply.is(400, "M_INVALID_PARAM");
    let found = query(&server, &bob, &[&alice]).await;
    let devices = found["device_keys"][&alice.user].as_object().unwrap();
    assert_eq!(devices.len(), 1);
    // Its own keys again, keys of its own, and what another user may happen to have.
    publish(&server, &alice, &first_key).await;
    publish(&server, &second, &second_key).await;
    publish(&server, &bob, &first_key).await;
    // A device that is gone has left its keys.
    server
        .send("POST", "/logout", Some(&second.token), "")
        .await
        .ok();
    let third = server.login("alice", "THIRD").await;
    publish(&server, &third, &second_key).await;
}

// shows: SRV-16, DK-01
#[tokio::test]
async fn dk_01_keys_of_others_and_without_a_valid_signature_are_refused() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let key = Key::new(1);
    let id = format!("ed25519:{}", alice.device);
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut keys = device_keys(&alice, &key);
        change(&mut keys);
        keys.as_object_mut().unwrap().remove("signatures");
        key.sign(&mut keys, &alice.user, &id);
        keys
    };
    let mut unsigned = device_keys(&alice, &key);
    unsigned.as_object_mut().unwrap().remove("signatures");
    let mut forged = unsigned.clone();
    Key::new(2).sign(&mut forged, &alice.user, &id);
    let mut altered = device_keys(&alice, &key);
    altered["algorithms"] = json!([]);
    for keys in [
        changed(&|keys| keys["user_id"] = json!("@bob:localhost")),
        changed(&|keys| keys["device_id"] = json!("OTHER")),
        changed(&|keys| keys["keys"] = json!({})),
        changed(&|keys| keys["keys"][&id] = json!("short")),
        changed(&|keys| keys["keys"]["ed25519:OTHER"] = json!(curve25519(1))),
        changed(&|keys| keys["algorithms"] = json!("none")),
        unsigned,
        forged,
        altered,
        json!(null),
        json!([]),
        json!("keys"),
    ] {
        let reply = upload(&server, &alice, json!({ "device_keys": keys })).await;
        assert_eq!(reply.status, 400, "{keys}");
    }
    let keys = device_keys(&alice, &key).to_string();
    for (from, to) in [
        ("\"algorithms\"", "\"float\":1.5,\"algorithms\""),
        ("\"algorithms\"", "\"user_id\":\"x\",\"algorithms\""),
    ] {
        let body = format!("{{\"device_keys\":{}}}", keys.replacen(from, to, 1));
        let reply = server.send("POST", "/keys/upload", Some(&alice.token), body);
        assert_eq!(reply.await.status, 400, "{to}");
    }
    let found = query(&server, &alice, &[&alice]).await;
    assert_eq!(found["device_keys"][&alice.user], json!({}));
}

// shows: SRV-17, DK-02
#[tokio::test]
async fn dk_02_identity_keys_never_change() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    publish(&server, &alice, &Key::new(1)).await;
    publish(&server, &alice, &Key::new(1)).await;
    let other = device_keys(&alice, &Key::new(2));
    upload(&server, &alice, json!({ "device_keys": other }))
        .await
        .is(400, "M_INVALID_PARAM");
    let mut more = device_keys(&alice, &Key::new(1));
    more["algorithms"] = json!(["new"]);
    more.as_object_mut().unwrap().remove("signatures");
    let id = format!("ed25519:{}", alice.device);
    Key::new(1).sign(&mut more, &alice.user, &id);
    upload(&server, &alice, json!({ "device_keys": more }))
        .await
        .ok();
    let found = query(&server, &alice, &[&alice]).await;
    let found = &found["device_keys"][&alice.user][&alice.device];
    assert_eq!(found["algorithms"], json!(["new"]));
}

// shows: SRV-10, SRV-18, DK-03
#[tokio::test]
async fn dk_03_one_time_keys_are_checked_and_counted() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let key = Key::new(1);
    let first = one_time_keys(&alice, &key, 0..3);
    let body = json!({ "one_time_keys": first });
    let counts = upload(&server, &alice, body.clone()).await.ok();
    let three = json!({ "one_time_key_counts": { "signed_curve25519": 3 } });
    assert_eq!(counts, three);
    assert_eq!(upload(&server, &alice, body).await.ok(), three);
    let overlapping = json!({ "one_time_keys": one_time_keys(&alice, &key, 1..4) });
    let counts = upload(&server, &alice, overlapping).await.ok();
    assert_eq!(counts["one_time_key_counts"]["signed_curve25519"], 4);

    let mut other = one_time_keys(&alice, &key, 9..10);
    let value = other["signed_curve25519:AAAA09"].take();
    let refused = [
        ("signed_curve25519:AAAA00", value.clone()),
        ("signed_curve25519:a:b", value.clone()),
        ("signed_curve25519:", value.clone()),
        ("signed_curve25519", value.clone()),
        ("unknown:AAAA09", value.clone()),
        ("signed_curve25519:X", json!({ "key": "short" })),
        ("signed_curve25519:X", json!("text")),
    ];
    for (id, value) in refused {
        let mut keys = one_time_keys(&alice, &key, 10..11);
        keys[id] = value;
        let reply = upload(&server, &alice, json!({ "one_time_keys": keys })).await;
        assert_eq!(reply.status, 400, "{id}");
    }
    let mut many = json!({});
    for number in 0..600 {
        many[format!("signed_curve25519:B{number}")] = value.clone();
    }
    upload(&server, &alice, json!({ "one_time_keys": many }))
        .await
        .is(413, "M_TOO_LARGE");
    let sync = server.sync(&alice, "").await;
    assert_eq!(
        sync["device_one_time_keys_count"],
        json!({ "signed_curve25519": 4 })
    );
}

// shows: SRV-18
#[tokio::test]
async fn keys_are_claimed_in_the_order_of_their_upload_and_then_the_fallback() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let key = Key::new(1);
    publish(&server, &alice, &key).await;
    let (last, first) = (
        one_time_keys(&alice, &key, 0..1),
        one_time_keys(&alice, &key, 5..6),
    );
    for keys in [&first, &last] {
        upload(&server, &alice, json!({ "one_time_keys": keys }))
            .await
            .ok();
    }
    let mut fallback = one_time_keys(&alice, &key, 8..9);
    fallback["signed_curve25519:AAAA08"]["fallback"] = json!(true);
    let body = json!({ "org.matrix.msc2732.fallback_keys": fallback });
    upload(&server, &alice, body.clone()).await.ok();
    let unused = server.sync(&alice, "").await;
    assert_eq!(
        unused["device_unused_fallback_key_types"],
        json!(["signed_curve25519"])
    );
    assert_eq!(claim(&server, &bob, &alice).await, first);
    assert_eq!(claim(&server, &bob, &alice).await, last);
    assert_eq!(claim(&server, &bob, &alice).await, fallback);
    assert_eq!(claim(&server, &bob, &alice).await, fallback);
    let used = server.sync(&alice, "").await;
    assert_eq!(used["device_unused_fallback_key_types"], json!([]));
    assert_eq!(
        used["device_one_time_keys_count"],
        json!({ "signed_curve25519": 0 })
    );
    // The same fallback key stays used; another one is new.
    upload(&server, &alice, body).await.ok();
    let used = server.sync(&alice, "").await;
    assert_eq!(used["device_unused_fallback_key_types"], json!([]));
    let fresh = one_time_keys(&alice, &key, 9..10);
    upload(&server, &alice, json!({ "fallback_keys": fresh }))
        .await
        .ok();
    assert_eq!(claim(&server, &bob, &alice).await, fresh);
    // Nothing to claim: absent.
    assert_eq!(claim(&server, &alice, &bob).await, json!(null));
}

// shows: SRV-18, DK-04
#[tokio::test]
async fn dk_04_a_hundred_claims_of_fifty_keys_get_each_once_and_then_none() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let key = Key::new(1);
    publish(&server, &alice, &key).await;
    let keys = json!({ "one_time_keys": one_time_keys(&alice, &key, 0..50) });
    upload(&server, &alice, keys).await.ok();
    let claims = async || {
        let mut claimed = Vec::new();
        for _ in 0..25 {
            claimed.push(claim(&server, &alice, &alice).await);
        }
        claimed
    };
    let (one, two, three, four) = tokio::join!(claims(), claims(), claims(), claims());
    let mut claimed = [one, two, three, four].concat();
    claimed.retain(|key| !key.is_null());
    assert_eq!(claimed.len(), 50);
    let ids = claimed.iter().map(|key| {
        let key = key.as_object().unwrap();
        assert_eq!(key.len(), 1);
        key.keys().next().unwrap()
    });
    assert_eq!(ids.collect::<HashSet<_>>().len(), 50);
}

#[tokio::test]
async fn uploading_device_keys_moves_the_list_and_one_time_keys_do_not() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let key = Key::new(1);
    let since = server.sync(&alice, "").await["next_batch"].clone();
    let since = since.as_str().unwrap();
    let path = format!("/sync?timeout=60000&since={since}");
    let mut poll = Box::pin(server.get(&alice, &path));
    waits(&mut poll).await;
    let keys = json!({ "one_time_keys": one_time_keys(&alice, &key, 0..1) });
    upload(&server, &alice, keys).await.ok();
    waits(&mut poll).await;
    publish(&server, &alice, &key).await;
    let sync = poll.await.ok();
    assert_eq!(sync["device_lists"]["changed"], json!([alice.user]));
    let now = sync["next_batch"].as_str().unwrap();
    let changes = server
        .get(&alice, &format!("/keys/changes?from={since}&to={now}"))
        .await;
    assert_eq!(changes.ok(), json!({ "changed": [alice.user], "left": [] }));
    let changes = server
        .get(&alice, &format!("/keys/changes?from={now}&to={now}"))
        .await;
    assert_eq!(changes.ok(), json!({ "changed": [], "left": [] }));
    for query in ["", "?from=x&to=y", &format!("?from={since}")] {
        let path = format!("/keys/changes{query}");
        assert_eq!(server.get(&alice, &path).await.status, 400);
    }
    // The same keys again change nothing.
    publish(&server, &alice, &key).await;
    let path = format!("/sync?timeout=60000&since={now}");
    let mut poll = Box::pin(server.get(&alice, &path));
    waits(&mut poll).await;
}

// shows: DK-08
#[tokio::test]
async fn dk_08_queries_have_a_limit_and_a_shape() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let mut many = json!({});
    for number in 0..5_000 {
        many[format!("@{number}:localhost")] = json!([]);
    }
    post(
        &server,
        &alice,
        "/keys/query",
        &json!({ "device_keys": many }),
    )
    .await
    .is(413, "M_TOO_LARGE");
    for wanted in [
        json!({ "@a:localhost": {} }),
        json!({ "@a:localhost": [{ "deep": [[[]]] }] }),
        json!({ "@a:localhost": [1] }),
        json!({ "@a:localhost": null }),
        json!([]),
        json!(null),
    ] {
        let body = json!({ "device_keys": wanted });
        let reply = post(&server, &alice, "/keys/query", &body).await;
        reply.is(400, "M_BAD_JSON");
    }
    for body in [json!({}), json!({ "one_time_keys": [] })] {
        let reply = post(&server, &alice, "/keys/claim", &body).await;
        reply.is(400, "M_BAD_JSON");
    }
}

#[tokio::test]
async fn a_deleted_device_leaves_no_keys() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let second = server.login("alice", "SECOND").await;
    let key = Key::new(1);
    publish(&server, &second, &key).await;
    let keys = json!({
        "one_time_keys": one_time_keys(&second, &key, 0..2),
        "fallback_keys": one_time_keys(&second, &key, 2..3),
    });
    upload(&server, &second, keys).await.ok();
    server
        .send("POST", "/logout", Some(&second.token), "")
        .await
        .ok();
    let again = server.login("alice", "SECOND").await;
    let found = query(&server, &alice, &[&alice]).await;
    assert_eq!(found["device_keys"][&alice.user], json!({}));
    assert_eq!(claim(&server, &alice, &again).await, json!(null));
    // A new device under the old name may have other keys.
    publish(&server, &again, &Key::new(2)).await;
}
