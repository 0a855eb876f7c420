//! Inboxes without room: who is refused, who is not, and that nobody is told otherwise.

use std::time::Duration;

use fourfold_server::RateLimits;
use serde_json::{Value, json};

use crate::to_device::{messages, send};
use crate::under_test::{Person, UnderTest};

fn numbers(sync: &Value) -> Vec<u64> {
    let number = |event: &Value| event["content"]["n"].as_u64().unwrap();
    messages(sync).iter().map(number).collect()
}

/// All that waits for a device, taken in.
async fn takes_in(server: &UnderTest, who: &Person) -> Vec<Value> {
    let (mut all, mut since) = (Vec::new(), String::new());
    loop {
        let sync = server.sync(who, &since).await;
        let more = messages(&sync);
        if more.is_empty() {
            return all;
        }
        all.extend(more);
        since = format!("since={}", sync["next_batch"].as_str().unwrap());
    }
}

/// One message after another, with time for the rates between: how many were taken, and refused.
async fn floods(server: &UnderTest, who: &Person, to: &Person, requests: usize) -> [usize; 2] {
    let mut answers = [0; 2];
    for n in 0..requests {
        let transaction = format!("flood{n}");
        let reply = send(server, who, &transaction, to, &to.device, json!({ "n": n })).await;
        match reply.status {
            200 => answers[0] += 1,
            _ => {
                reply.is(429, "M_LIMIT_EXCEEDED");
                assert!(reply.headers.contains_key("retry-after"));
                answers[1] += 1;
            }
        }
        server.clock.advance(Duration::from_millis(10));
    }
    answers
}

/// Under the limits of a server as it comes.
// shows: SRV-11, SRV-12
#[tokio::test]
async fn td_08_strangers_never_take_the_room_of_the_own_devices() {
    let server = UnderTest::with(|config| config.rate_limits = RateLimits::default()).await;
    let alice = server.register("alice").await;
    let second = server.login("alice", "SECOND").await;
    let bob = server.register("bob").await;
    // One stranger gets so many messages in, and is told of each that did not.
    let eve = server.register("eve").await;
    assert_eq!(floods(&server, &eve, &alice, 520).await, [500, 20]);
    // That concerns neither another sender nor another device.
    send(&server, &bob, "b", &alice, &alice.device, json!({ "n": 1 }))
        .await
        .ok();
    send(&server, &eve, "e", &alice, "SECOND", json!({ "n": 2 }))
        .await
        .ok();
    assert_eq!(numbers(&server.sync(&second, "").await), [2]);
    // Many strangers fill what all of them have.
    let mut taken = 501;
    for stranger in 0..7 {
        let stranger = server.register(&format!("stranger{stranger}")).await;
        taken += floods(&server, &stranger, &alice, 501).await[0];
    }
    assert_eq!(taken, 4_000);
    let reply = send(&server, &bob, "late", &alice, "*", json!({ "n": 3 })).await;
    reply.is(429, "M_LIMIT_EXCEEDED");
    // The own devices, and what bob sent to the device that has room.
    for n in 0..50 {
        let content = json!({ "n": n });
        send(
            &server,
            &second,
            &n.to_string(),
            &alice,
            &alice.device,
            content,
        )
        .await
        .ok();
    }
    assert_eq!(numbers(&server.sync(&second, "").await), [2, 3]);
    let all = takes_in(&server, &alice).await;
    assert_eq!(all.len(), 4_050);
    let own = |event: &&Value| event["sender"] == *alice.user;
    assert_eq!(all.iter().filter(own).count(), 50);
    // Once they were taken in there is room again, also for who was refused.
    let again = send(&server, &eve, "again", &alice, "*", json!({ "n": 4 })).await;
    again.ok();
}

// shows: SRV-14
#[tokio::test]
async fn td_08_what_was_refused_comes_with_the_same_request_and_nothing_twice() {
    let server = UnderTest::with(|config| config.storage.quotas.inbox.of_sender.messages = 2).await;
    let alice = server.register("alice").await;
    let second = server.login("alice", "SECOND").await;
    let eve = server.register("eve").await;
    for n in 0..2 {
        send(
            &server,
            &eve,
            &format!("{n}"),
            &alice,
            "SECOND",
            json!({ "n": n }),
        )
        .await
        .ok();
    }
    let all = async || send(&server, &eve, "all", &alice, "*", json!({ "n": 9 })).await;
    for _ in 0..3 {
        all().await.is(429, "M_LIMIT_EXCEEDED");
    }
    assert_eq!(numbers(&server.sync(&alice, "").await), [9]);
    assert_eq!(takes_in(&server, &second).await.len(), 2);
    all().await.ok();
    all().await.ok();
    assert_eq!(numbers(&server.sync(&alice, "").await), [9]);
    assert_eq!(numbers(&server.sync(&second, "").await), [9]);
    // Of a request of which nothing was delivered nothing is remembered.
    send(&server, &eve, "more", &alice, "*", json!({ "n": 10 }))
        .await
        .ok();
    let none = async || send(&server, &eve, "none", &alice, "*", json!({ "n": 11 })).await;
    none().await.is(429, "M_LIMIT_EXCEEDED");
    takes_in(&server, &alice).await;
    takes_in(&server, &second).await;
    none().await.ok();
    assert_eq!(numbers(&server.sync(&alice, "").await), [11]);
    assert_eq!(numbers(&server.sync(&second, "").await), [11]);
}

#[tokio::test]
async fn td_08_an_own_inbox_that_is_full_is_told_with_507() {
    let server = UnderTest::with(|config| {
        config.storage.quotas.inbox.all.messages = 5;
        config.storage.quotas.inbox.all.bytes = 2_000;
    })
    .await;
    let alice = server.register("alice").await;
    let second = server.login("alice", "SECOND").await;
    for n in 0..5 {
        send(
            &server,
            &alice,
            &n.to_string(),
            &alice,
            "SECOND",
            json!({ "n": n }),
        )
        .await
        .ok();
    }
    let reply = send(&server, &alice, "all", &alice, "*", json!({ "n": 99 })).await;
    reply.is(507, "M_RESOURCE_LIMIT_EXCEEDED");
    // The other device is not concerned.
    assert_eq!(numbers(&server.sync(&alice, "").await), [99]);
    let sync = server.sync(&second, "").await;
    assert_eq!(numbers(&sync), [0, 1, 2, 3, 4]);
    let since = sync["next_batch"].as_str().unwrap();
    server.sync(&second, &format!("since={since}")).await;
    let large = json!({ "n": 1, "x": "x".repeat(2_000) });
    send(&server, &alice, "large", &alice, "SECOND", large)
        .await
        .is(507, "M_RESOURCE_LIMIT_EXCEEDED");
    send(
        &server,
        &alice,
        "again",
        &alice,
        "SECOND",
        json!({ "n": 100 }),
    )
    .await
    .ok();
    assert_eq!(numbers(&server.sync(&second, "").await), [100]);
}
