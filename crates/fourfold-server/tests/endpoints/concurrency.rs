//! Many at once: nothing is lost, nothing is seen out of order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::under_test::{UnderTest, events};

/// An operation on one type with its begin and end on a clock that all share.
#[derive(Clone, Copy)]
struct Operation {
    value: u64,
    begin: u64,
    end: u64,
}

// shows: SRV-09, AD-10
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writes_and_reads_of_one_type_have_an_order() {
    let server = Arc::new(UnderTest::start().await);
    let alice = server.register("alice").await;
    server.put(&alice, "m.x", r#"{"n":0}"#).await.ok();
    let clock = Arc::new(AtomicU64::new(1));
    let mut tasks = JoinSet::new();
    for value in 1..=50 {
        let (server, alice, clock) = (Arc::clone(&server), alice.clone(), Arc::clone(&clock));
        tasks.spawn(async move {
            let tick = || clock.fetch_add(1, Ordering::SeqCst);
            let begin = tick();
            server
                .put(&alice, "m.x", &json!({ "n": value }).to_string())
                .await
                .ok();
            let write = Operation {
                value,
                begin,
                end: tick(),
            };
            let mut reads = Vec::new();
            for _ in 0..5 {
                let begin = tick();
                let value = server.get(&alice, &alice.path("m.x")).await.ok()["n"].clone();
                reads.push(Operation {
                    value: value.as_u64().unwrap(),
                    begin,
                    end: tick(),
                });
            }
            (write, reads)
        });
    }
    let mut writes = vec![Operation {
        value: 0,
        begin: 0,
        end: 0,
    }];
    let mut reads = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let (write, more) = done.unwrap();
        writes.push(write);
        reads.extend(more);
    }
    for read in &reads {
        let write = writes
            .iter()
            .find(|write| write.value == read.value)
            .unwrap();
        assert!(write.begin < read.end, "read before it was written");
        let between = |other: &Operation| other.begin > write.end && other.end < read.begin;
        assert!(!writes.iter().any(between), "read after it was overwritten");
    }
    // Of two reads one after the other, the later never sees what was overwritten before.
    for earlier in &reads {
        for later in reads.iter().filter(|later| later.begin > earlier.end) {
            let seen = writes
                .iter()
                .find(|write| write.value == earlier.value)
                .unwrap();
            let old = writes
                .iter()
                .find(|write| write.value == later.value)
                .unwrap();
            assert!(
                old.end > seen.begin || old.value == seen.value,
                "went back in time"
            );
        }
    }
}

// shows: SRV-09
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_on_two_types_lose_nothing() {
    let server = UnderTest::start().await;
    let alice = server.register("alice").await;
    let mut since = server.sync(&alice, "").await["next_batch"]
        .as_str()
        .unwrap()
        .to_owned();
    for round in 0..1_000 {
        let content = json!({ "round": round }).to_string();
        let (one, two) = tokio::join!(
            server.put(&alice, "m.one", &content),
            server.put(&alice, "m.two", &content)
        );
        one.ok();
        two.ok();
        let sync = server.sync(&alice, &format!("since={since}")).await;
        let mut seen = events(&sync);
        seen.sort_by(|one, two| one.0.cmp(&two.0));
        let expected: Vec<(String, Value)> = ["m.one", "m.two"]
            .into_iter()
            .map(|event_type| (event_type.to_owned(), json!({ "round": round })))
            .collect();
        assert_eq!(seen, expected);
        assert_eq!(server.get(&alice, &alice.path("m.one")).await.body, content);
        since = sync["next_batch"].as_str().unwrap().to_owned();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cache_too_small_for_anyone_changes_nothing() {
    let server = Arc::new(UnderTest::with(|config| config.storage.cache_bytes = 0).await);
    let mut tasks = JoinSet::new();
    for user in 0..8 {
        let server = Arc::clone(&server);
        tasks.spawn(async move {
            let person = server.register(&format!("user{user}")).await;
            for round in 0..100 {
                let content = json!({ "round": round, "user": user }).to_string();
                server.put(&person, "m.x", &content).await.ok();
                let got = server.get(&person, &person.path("m.x")).await;
                assert_eq!(got.body, content);
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}
