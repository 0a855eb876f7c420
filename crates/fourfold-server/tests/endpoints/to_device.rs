//! `/sendToDevice` and the inbox that `/sync` shows.

use serde_json::{Value, json};

use crate::under_test::{PASSWORD, Person, Reply, UnderTest, config, waits};

pub(crate) async fn send(
    server: &UnderTest,
    who: &Person,
    transaction: &str,
    to: &Person,
    device: &str,
    content: Value,
) -> Reply {
    let mut messages = json!({});
    messages[&to.user][device] = content;
    send_all(server, who, &format!("m.test/{transaction}"), messages).await
}

async fn send_all(server: &UnderTest, who: &Person, path: &str, messages: Value) -> Reply {
    let path = format!("/sendToDevice/{path}");
    let body = json!({ "messages": messages }).to_string();
    server.send("PUT", &path, Some(&who.token), body).await
}

/// The messages of a sync without `since`, which acknowledges nothing.
async fn inbox(server: &UnderTest, who: &Person) -> Vec<Value> {
    let sync = server.sync(who, "").await;
    messages(&sync)
}

pub(crate) fn messages(sync: &Value) -> Vec<Value> {
    sync["to_device"]["events"].as_array().unwrap().clone()
}

fn numbers(sync: &Value) -> Vec<u64> {
    let messages = messages(sync);
    let number = |event: &Value| event["content"]["n"].as_u64().unwrap();
    messages.iter().map(number).collect()
}

fn token(sync: &Value) -> String {
    sync["next_batch"].as_str().unwrap().to_owned()
}

// shows: SRV-12, TD-01
#[tokio::test]
async fn td_01_the_sender_is_who_holds_the_token() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let mut body = json!({ "sender": "@eve:localhost", "messages": {} });
    let content = json!({ "sender": "@eve:localhost", "n": 12_345_678_901_234_567_890_u64 });
    body["messages"][&bob.user][&bob.device] = content.clone();
    let path = "/sendToDevice/m.%22odd%22%2Ftype/t1";
    let reply = server
        .send("PUT", path, Some(&alice.token), body.to_string())
        .await;
    assert_eq!(reply.ok(), json!({}));
    let expected = json!({
        "type": "m.\"odd\"/type", "sender": alice.user, "content": content,
    });
    assert_eq!(inbox(&server, &bob).await, [expected]);
}

// shows: TD-02
#[tokio::test]
async fn td_02_only_devices_that_exist_get_messages() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let second = server.login("alice", "SECOND").await;
    let bob = server.register("bob").await;
    let messages = json!({
        "@nobody:localhost": { "*": {}, "X": {} },
        "@x:elsewhere": { "X": {} },
        &bob.user: { "UNKNOWN": {} },
        // Both the wildcard and the device by its name: two messages.
        &alice.user: { "*": { "n": 1 }, "SECOND": { "n": 2 } },
    });
    let reply = send_all(&server, &alice, "m.test/1", messages).await;
    assert_eq!(reply.ok(), json!({}));
    assert_eq!(numbers(&server.sync(&alice, "").await), [1]);
    assert_eq!(numbers(&server.sync(&second, "").await), [1, 2]);
    assert!(inbox(&server, &bob).await.is_empty());

    let mut many = json!({});
    for number in 0..10_000 {
        many[format!("D{number}")] = json!({});
    }
    let reply = send_all(&server, &alice, "m.test/2", json!({ &bob.user: many })).await;
    reply.is(413, "M_TOO_LARGE");
}

// shows: SRV-10, TD-03
#[tokio::test]
async fn td_03_shapes_and_sizes_are_checked() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    for content in [json!([]), json!("text"), json!(null), json!(1)] {
        send(&server, &alice, "1", &alice, "*", content)
            .await
            .is(400, "M_BAD_JSON");
    }
    for (body, errcode) in [
        ("{}", "M_MISSING_PARAM"),
        (r#"{"messages":[]}"#, "M_BAD_JSON"),
        (r#"{"messages":{"@a:localhost":[]}}"#, "M_BAD_JSON"),
        (
            r#"{"messages":{"@a:localhost":{"D":{"a":1,"a":2}}}}"#,
            "M_BAD_JSON",
        ),
        ("{", "M_NOT_JSON"),
    ] {
        let reply = server
            .send("PUT", "/sendToDevice/m.test/1", Some(&alice.token), body)
            .await;
        reply.is(400, errcode);
    }
    let content = |length: usize| json!({ "x": "x".repeat(length - r#"{"x":""}"#.len()) });
    send(&server, &alice, "1", &alice, "*", content(65_537))
        .await
        .is(413, "M_TOO_LARGE");
    assert!(inbox(&server, &alice).await.is_empty());
    // A request that was refused did not use its transaction up.
    send(&server, &alice, "1", &alice, "*", content(65_536))
        .await
        .ok();
    assert_eq!(inbox(&server, &alice).await.len(), 1);
    let path = format!("/sendToDevice/{}/1", "t".repeat(256));
    let reply = server
        .send("PUT", &path, Some(&alice.token), r#"{"messages":{}}"#)
        .await;
    assert_eq!(reply.status, 400);
}

// shows: SRV-14, TD-04
#[tokio::test]
async fn td_04_a_transaction_happens_once_for_a_device_and_a_type() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let second = server.login("alice", "SECOND").await;
    let bob = server.register("bob").await;
    let one = async |who: &Person, path: &str, n: u64| {
        let messages = json!({ &bob.user: { "*": { "n": n } } });
        send_all(&server, who, path, messages).await.ok();
    };
    // Once, again, again with other content, and at the same time.
    one(&alice, "m.test/1", 1).await;
    one(&alice, "m.test/1", 1).await;
    one(&alice, "m.test/1", 2).await;
    assert_eq!(numbers(&server.sync(&bob, "").await), [1]);
    tokio::join!(
        one(&alice, "m.test/2", 3),
        one(&alice, "m.test/2", 3),
        one(&alice, "m.test/2", 3)
    );
    assert_eq!(numbers(&server.sync(&bob, "").await), [1, 3]);
    // Another device, another type, and a boundary elsewhere are other transactions.
    one(&second, "m.test/1", 4).await;
    one(&alice, "m.tes/t1", 5).await;
    one(&alice, "m.other/1", 6).await;
    assert_eq!(numbers(&server.sync(&bob, "").await), [1, 3, 4, 5, 6]);
}

// shows: SRV-14, TD-04
#[tokio::test]
async fn td_04_a_transaction_is_remembered_after_a_restart() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    send(&server, &alice, "1", &alice, "*", json!({ "n": 1 }))
        .await
        .ok();
    server.homeserver.close().await;
    let UnderTest {
        homeserver,
        folder,
        clock,
        ..
    } = server;
    drop(homeserver);
    let homeserver = fourfold_server::Homeserver::open(config(&folder))
        .await
        .unwrap();
    let server = UnderTest {
        router: homeserver.router(),
        homeserver,
        clock,
        folder,
    };
    send(&server, &alice, "1", &alice, "*", json!({ "n": 1 }))
        .await
        .ok();
    send(&server, &alice, "2", &alice, "*", json!({ "n": 2 }))
        .await
        .ok();
    assert_eq!(numbers(&server.sync(&alice, "").await), [1, 2]);
}

// shows: SRV-13, TD-05
#[tokio::test]
async fn td_05_only_a_token_of_the_device_itself_acknowledges() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let second = server.login("alice", "SECOND").await;
    let bob = server.register("bob").await;
    send(&server, &bob, "1", &alice, "*", json!({ "n": 1 }))
        .await
        .ok();
    let of_second = token(&server.sync(&second, "").await);
    let of_bob = token(&server.sync(&bob, "").await);
    // The token of another device of the same user is understood and acknowledges nothing.
    let sync = server.sync(&alice, &format!("since={of_second}")).await;
    assert_eq!(numbers(&sync), [1]);
    assert_eq!(numbers(&server.sync(&alice, "").await), [1]);
    let garbage = ["x", "-1", "ff2_9_9_0_A", "9999999999", &of_bob];
    for since in garbage {
        let reply = server.get(&alice, &format!("/sync?since={since}")).await;
        reply.is(400, "M_INVALID_PARAM");
    }
    assert_eq!(numbers(&server.sync(&alice, "").await), [1]);
    assert_eq!(numbers(&server.sync(&second, "").await), [1]);
    // What was issued for the other, with what follows from it, is one's own.
    let own = token(&server.sync(&alice, &format!("since={of_second}")).await);
    let sync = server.sync(&alice, &format!("since={own}")).await;
    assert_eq!(numbers(&sync), [0_u64; 0]);
    assert_eq!(numbers(&server.sync(&second, "").await), [1]);
}

// shows: SRV-13, TD-06
#[tokio::test]
async fn td_06_a_backlog_comes_in_batches_in_order_and_again_until_acknowledged() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let start = token(&server.sync(&alice, "").await);
    for n in 0..250 {
        send(
            &server,
            &alice,
            &n.to_string(),
            &alice,
            "*",
            json!({ "n": n }),
        )
        .await
        .ok();
    }
    let query = |since: &str| format!("timeout=60000&since={since}");
    let mut since = start;
    let mut seen = Vec::new();
    for length in [100, 100, 50] {
        let first = server.sync(&alice, &query(&since)).await;
        // Not acknowledged, so the same again.
        let again = server.sync(&alice, &query(&since)).await;
        assert_eq!(messages(&first), messages(&again));
        assert_eq!(messages(&first).len(), length);
        seen.extend(numbers(&first));
        since = token(&first);
    }
    assert_eq!(seen, (0..250).collect::<Vec<_>>());
    let path = format!("/sync?{}", query(&since));
    let mut poll = Box::pin(server.get(&alice, &path));
    waits(&mut poll).await;
    // Account data in between does not bring old messages back.
    server.put(&alice, "m.x", "{}").await.ok();
    assert!(messages(&poll.await.ok()).is_empty());
    assert!(inbox(&server, &alice).await.is_empty());
}

#[tokio::test]
async fn td_06_a_backlog_of_large_messages_is_cut_by_size() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    for n in 0..40 {
        let content = json!({ "n": n, "x": "x".repeat(60_000) });
        send(&server, &alice, &n.to_string(), &alice, "*", content)
            .await
            .ok();
    }
    let mut sync = server.sync(&alice, "").await;
    let mut seen = Vec::new();
    while !messages(&sync).is_empty() {
        assert!(sync.to_string().len() < 1_200_000);
        seen.extend(numbers(&sync));
        sync = server
            .sync(&alice, &format!("since={}", token(&sync)))
            .await;
    }
    assert_eq!(seen, (0..40).collect::<Vec<_>>());
}

// shows: TD-09
#[tokio::test]
async fn td_09_a_deleted_device_leaves_no_messages() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let second = server.login("alice", "SECOND").await;
    send(&server, &alice, "1", &alice, "SECOND", json!({ "n": 1 }))
        .await
        .ok();
    let old = token(&server.sync(&second, "").await);
    server
        .send("POST", "/logout", Some(&second.token), "")
        .await
        .ok();
    let again = server.login("alice", "SECOND").await;
    assert!(inbox(&server, &again).await.is_empty());
    send(&server, &alice, "2", &alice, "SECOND", json!({ "n": 2 }))
        .await
        .ok();
    // A token of the device that was has no power over the one that is.
    let sync = server.sync(&again, &format!("since={old}")).await;
    assert_eq!(numbers(&sync), [2]);
    // Its transactions went with it.
    send(&server, &again, "1", &alice, "SECOND", json!({ "n": 3 }))
        .await
        .ok();
    assert_eq!(numbers(&server.sync(&again, "").await), [2, 3]);
}

#[tokio::test]
async fn a_login_on_the_same_device_keeps_the_inbox() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    send(&server, &alice, "1", &alice, "*", json!({ "n": 1 }))
        .await
        .ok();
    let body = json!({
        "type": "m.login.password", "user": "alice", "password": PASSWORD,
        "device_id": alice.device,
    });
    let again = Person::from(server.post("/login", body).await);
    assert_eq!(numbers(&server.sync(&again, "").await), [1]);
}

#[tokio::test]
async fn a_message_wakes_the_poll_of_its_device_alone() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let second = server.login("alice", "SECOND").await;
    let bob = server.register("bob").await;
    // Known before anything is sent: a poll from later would wait for what comes after it.
    let mut paths = Vec::new();
    for who in [&alice, &second, &bob] {
        let since = token(&server.sync(who, "").await);
        paths.push(format!("/sync?timeout=60000&since={since}"));
    }
    let mut own = Box::pin(server.get(&alice, &paths[0]));
    let mut other = Box::pin(server.get(&second, &paths[1]));
    let mut stranger = Box::pin(server.get(&bob, &paths[2]));
    waits(&mut own).await;
    waits(&mut other).await;
    waits(&mut stranger).await;
    send(&server, &bob, "1", &alice, &alice.device, json!({ "n": 1 }))
        .await
        .ok();
    assert_eq!(numbers(&own.await.ok()), [1]);
    waits(&mut other).await;
    waits(&mut stranger).await;
}
