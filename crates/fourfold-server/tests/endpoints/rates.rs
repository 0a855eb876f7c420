//! Rates: who asks too often waits, and nobody else.

use std::time::Duration;

use fourfold_server::{Rate, RateLimits};
use serde_json::json;

use crate::under_test::{Person, Reply, UnderTest};

// shows: SRV-11
#[tokio::test]
async fn rates_answer_429_with_the_time_to_wait() {
    let once = Some(Rate {
        per_second: 0.1,
        burst: 1,
    });
    let server = UnderTest::with(|config| {
        config.rate_limits.login.per_user = once;
        config.rate_limits.confirmation_per_user = once;
        config.rate_limits.strangers.bad_tokens_per_address = once;
    })
    .await;
    let alice = server.register("alice").await;
    let login = |name: &str| {
        server.post(
            "/login",
            json!({ "type": "m.login.password", "user": name, "password": "wrong" }),
        )
    };
    login("alice").await.is(403, "M_FORBIDDEN");
    let refused = login("alice").await;
    refused.is(429, "M_LIMIT_EXCEEDED");
    assert_eq!(refused.headers["retry-after"], "10");
    assert_eq!(refused.json()["retry_after_ms"], 10_000);
    login("bob").await.is(403, "M_FORBIDDEN");
    login("@alice:localhost").await.is(429, "M_LIMIT_EXCEEDED");
    server.clock.advance(Duration::from_secs(10));
    login("alice").await.is(403, "M_FORBIDDEN");

    let auth = json!({ "type": "m.login.password", "password": "wrong" });
    let body = json!({ "devices": [], "auth": auth }).to_string();
    let token = Some(alice.token.as_str());
    let first = server
        .send("POST", "/delete_devices", token, body.clone())
        .await;
    assert_eq!(first.status, 401);
    server
        .send("POST", "/delete_devices", token, body)
        .await
        .is(429, "M_LIMIT_EXCEEDED");

    server
        .send("GET", "/sync", Some("ff_bad"), "")
        .await
        .is(401, "M_UNKNOWN_TOKEN");
    server
        .send("GET", "/sync", Some("ff_bad"), "")
        .await
        .is(429, "M_LIMIT_EXCEEDED");
    server.get(&alice, "/devices").await.ok();
}

/// Under the limits of a server as it comes.
// shows: SRV-11
#[tokio::test]
async fn names_that_nobody_can_have_are_nowhere_kept() {
    let server = UnderTest::with(|config| config.rate_limits = RateLimits::default()).await;
    let login = async |name: &str| {
        let user = json!({ "type": "m.id.user", "user": name });
        let body = json!({ "type": "m.login.password", "identifier": user, "password": "x" });
        server.post("/login", body).await
    };
    // Each another name, all of them together limited as one: none has become a key.
    for number in 0..10 {
        let name = match number % 4 {
            0 => format!("{number}{}", "x".repeat(15_000)),
            1 => format!("NOBODY{number}"),
            2 => format!("@{number}:elsewhere"),
            _ => format!("a\u{9b}{number}"),
        };
        login(&name).await.is(403, "M_FORBIDDEN");
    }
    login(&"y".repeat(246)).await.is(429, "M_LIMIT_EXCEEDED");
    // One that somebody may have is limited by itself.
    login(&"y".repeat(200)).await.is(403, "M_FORBIDDEN");
    login("alice").await.is(403, "M_FORBIDDEN");
}

fn rate(per_second: f64, burst: u32) -> Option<Rate> {
    Some(Rate { per_second, burst })
}

// shows: SRV-11
#[tokio::test]
async fn a_busy_device_leaves_the_others_of_its_user_their_share() {
    let server = UnderTest::with(|config| {
        config.rate_limits.requests_per_device = rate(1.0, 3);
        config.rate_limits.requests_per_user = rate(1.0, 5);
    })
    .await;
    let alice = server.register("alice").await;
    let second = server.login("alice", "SECOND").await;
    for _ in 0..3 {
        server.get(&alice, "/devices").await.ok();
    }
    // What its device is refused costs the user nothing.
    for _ in 0..10 {
        let refused = server.get(&alice, "/devices").await;
        refused.is(429, "M_LIMIT_EXCEEDED");
        assert_eq!(refused.headers["retry-after"], "1");
    }
    for _ in 0..2 {
        server.get(&second, "/devices").await.ok();
    }
    // And all devices together are limited too.
    let refused = server.get(&second, "/devices").await;
    refused.is(429, "M_LIMIT_EXCEEDED");
}

#[tokio::test]
async fn a_large_body_counts_as_several_requests() {
    let server = UnderTest::with(|config| {
        config.rate_limits.requests_per_user = rate(1.0, 10);
    })
    .await;
    let alice = server.register("alice").await;
    let content = json!({ "x": "x".repeat(1024 * 1024 - 100) }).to_string();
    server.put(&alice, "m.x", &content).await.ok();
    let refused = server.get(&alice, "/devices").await;
    refused.is(429, "M_LIMIT_EXCEEDED");
    // One and fifteen of ten were taken, and the next needs one.
    assert_eq!(refused.headers["retry-after"], "7");
    server.clock.advance(Duration::from_secs(7));
    server.get(&alice, "/devices").await.ok();
}

#[tokio::test]
async fn an_address_without_a_session_is_limited_and_sessions_are_not() {
    let server = UnderTest::with(|config| {
        config.network.trust_forwarded_for = true;
        config.rate_limits.strangers.anonymous_per_address = rate(1.0, 3);
    })
    .await;
    let ask = async |address: &str, path: &str, token: Option<&str>| {
        let from = [("x-forwarded-for", address)];
        server.send_with("GET", path, token, &from, "").await
    };
    let alice = server.register("alice").await;
    let versions = "/_matrix/client/versions";
    ask("2001:db8::1", versions, None).await.ok();
    ask("2001:db8::2", "/login", None).await.ok();
    let missing = ask("2001:db8::3", "/devices", None).await;
    missing.is(401, "M_MISSING_TOKEN");
    for path in [versions, "/login", "/devices"] {
        let refused = ask("2001:db8::4", path, None).await;
        refused.is(429, "M_LIMIT_EXCEEDED");
    }
    ask("2001:db8:1::1", versions, None).await.ok();
    let token = Some(alice.token.as_str());
    ask("2001:db8::1", "/devices", token).await.ok();
}

/// Sends one message to each of the devices named, and one to every device for a `*`.
async fn message(server: &UnderTest, who: &Person, n: u64, to: &Person, devices: &[&str]) -> Reply {
    let mut body = json!({ "messages": {} });
    for device in devices {
        body["messages"][&to.user][device] = json!({ "n": n });
    }
    let path = format!("/sendToDevice/m.test/{n}");
    let token = Some(who.token.as_str());
    server.send("PUT", &path, token, body.to_string()).await
}

#[tokio::test]
async fn messages_are_limited_by_their_copies() {
    let server = UnderTest::with(|config| {
        config.rate_limits.messages_per_user = rate(1.0, 10);
    })
    .await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    for device in ["B", "C", "D", "E"] {
        server.login("bob", device).await;
    }
    message(&server, &alice, 1, &bob, &["B", "C", "D"])
        .await
        .ok();
    message(&server, &alice, 2, &bob, &["*"]).await.ok();
    // Eight are gone. Repeat the passphrase delivers nothing and counts as one.
    message(&server, &alice, 2, &bob, &["*"]).await.ok();
    message(&server, &alice, 3, &bob, &["*"]).await.ok();
    let refused = message(&server, &alice, 4, &bob, &["B"]).await;
    refused.is(429, "M_LIMIT_EXCEEDED");
    assert_eq!(refused.headers["retry-after"], "5");
    // Everything else goes on, for Alice too.
    server.get(&alice, "/devices").await.ok();
    message(&server, &bob, 1, &alice, &["*"]).await.ok();
    server.clock.advance(Duration::from_secs(5));
    message(&server, &alice, 4, &bob, &["B"]).await.ok();
}

// shows: SRV-11, TD-08
#[tokio::test]
async fn td_08_a_flood_from_many_senders_takes_bounded_room_and_its_victim_is_served() {
    let server = UnderTest::with(|config| {
        config.rate_limits.messages_per_user = rate(1.0, 6);
        config.storage.quotas.inbox.all.bytes = 2_000_000;
    })
    .await;
    let alice = server.register("alice").await;
    let content = json!({ "x": "x".repeat(60_000) });
    let mut accepted = 0;
    for sender in 0..40 {
        let eve = server.register(&format!("eve{sender}")).await;
        for n in 0..7 {
            let mut body = json!({ "messages": {} });
            body["messages"][&alice.user][&alice.device] = content.clone();
            let path = format!("/sendToDevice/m.test/{n}");
            let token = Some(eve.token.as_str());
            let reply = server.send("PUT", &path, token, body.to_string()).await;
            match reply.status {
                200 => accepted += 1,
                _ => reply.is(429, "M_LIMIT_EXCEEDED"),
            }
        }
    }
    assert_eq!(accepted, 33);
    // 14 MB were sent, 2 MB may wait. The log is folded into the file at 4 MiB.
    let files = std::fs::read_dir(server.folder.path().join("data")).unwrap();
    let bytes: u64 = files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert!(bytes < 9_000_000, "{bytes}");
    let mut seen = 0;
    let mut query = String::new();
    loop {
        let sync = server.sync(&alice, &query).await;
        let events = sync["to_device"]["events"].as_array().unwrap().len();
        if events == 0 {
            break;
        }
        seen += events;
        query = format!("since={}", sync["next_batch"].as_str().unwrap());
    }
    assert_eq!(seen, 33);
    server.put(&alice, "m.x", "{}").await.ok();
}

// shows: SRV-11
#[tokio::test]
async fn a_busy_user_is_slowed_down_alone() {
    let server = UnderTest::with(|config| {
        config.rate_limits.requests_per_user = Some(Rate {
            per_second: 1.0,
            burst: 5,
        });
        config.rate_limits.registration_per_address = Some(Rate {
            per_second: 1.0,
            burst: 2,
        });
    })
    .await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    for _ in 0..5 {
        server.get(&alice, "/devices").await.ok();
    }
    server
        .get(&alice, "/devices")
        .await
        .is(429, "M_LIMIT_EXCEEDED");
    server.get(&bob, "/devices").await.ok();
    server
        .post("/register", json!({}))
        .await
        .is(429, "M_LIMIT_EXCEEDED");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_held_back_and_nothing_else() {
    let server = UnderTest::with(|config| {
        config.rate_limits.requests_per_user = Some(Rate {
            per_second: 0.1,
            burst: 1,
        });
        config.rate_limits.refusal_delay = Duration::from_millis(250);
    })
    .await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let times = async |who: &Person| {
        let begun = tokio::time::Instant::now();
        let status = server.get(who, "/devices").await.status;
        (status, begun.elapsed().as_millis())
    };
    assert_eq!(times(&alice).await, (200, 0));
    assert_eq!(times(&alice).await, (429, 250));
    assert_eq!(times(&bob).await, (200, 0));
    let begun = tokio::time::Instant::now();
    let password = "x".repeat(20_000);
    let refused = server.post("/login", json!({ "password": password })).await;
    refused.is(413, "M_TOO_LARGE");
    assert_eq!(begun.elapsed().as_millis(), 250);
}
