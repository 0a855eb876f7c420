//! What was acknowledged survives: a clean stop, and `kill -9` in the middle of writing.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::connections::{Running, Wire, register};
use crate::signing::curve25519;
use crate::under_test::config;
use crate::victim::Victim;

// shows: SRV-09, SRV-21
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_write_survives_a_kill() {
    let folder = TempDir::new().unwrap();
    for round in 0..3 {
        survive_a_kill(&folder, round).await;
    }
}

async fn survive_a_kill(folder: &TempDir, round: u64) {
    let victim = Victim::start(folder).await;
    let address = victim.address;
    let acknowledged = Arc::new(AtomicU64::new(0));
    let enough = Arc::new(Notify::new());
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let name = format!("user{round}x{writer}");
        let token = register(address, &name).await;
        let (acknowledged, enough) = (Arc::clone(&acknowledged), Arc::clone(&enough));
        writers.spawn(async move {
            let path = format!("/user/@{name}:localhost/account_data/m.x");
            let mut wire = Wire::open(address).await;
            let mut last = 0;
            for attempt in 1_u64.. {
                let content = format!("{{\"n\":{attempt}}}");
                match wire.send("PUT", &path, &token, &content).await {
                    Ok((200, _, _)) => last = attempt,
                    Ok((status, _, _)) => panic!("refused with {status}"),
                    Err(_) => break,
                }
                if acknowledged.fetch_add(1, Ordering::SeqCst) == 500 {
                    enough.notify_one();
                }
            }
            (path, token, last)
        });
    }
    timeout(Duration::from_secs(60), enough.notified())
        .await
        .unwrap();
    victim.kill();

    let running = Running::start(folder).await;
    let mut wire = Wire::open(running.address).await;
    while let Some(done) = writers.join_next().await {
        let (path, token, last) = done.unwrap();
        let (status, _, body) = wire.send("GET", &path, &token, "").await.unwrap();
        assert!(last > 0 && status == 200, "{path}");
        let body: Value = serde_json::from_str(&body).unwrap();
        let kept = body["n"].as_u64().unwrap();
        // The write that was under way may be there or not; what was answered must be.
        assert!(
            kept == last || kept == last + 1,
            "acknowledged {last}, kept {kept}"
        );
    }
    running.stop().await;
}

// shows: SRV-13, SRV-18, TD-07
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_is_lost_and_no_key_handed_out_twice_after_a_kill() {
    let folder = TempDir::new().unwrap();
    let victim = Victim::start(&folder).await;
    let address = victim.address;
    let token = register(address, "bob").await;
    let mut wire = Wire::open(address).await;
    let (_, _, whoami) = wire
        .send("GET", "/account/whoami", &token, "")
        .await
        .unwrap();
    let whoami: Value = serde_json::from_str(&whoami).unwrap();
    let device = whoami["device_id"].as_str().unwrap().to_owned();
    let mut keys = json!({});
    for number in 0..KEYS {
        let key = json!({ "key": curve25519(1), "signatures": {} });
        keys[format!("signed_curve25519:{number}")] = key;
    }
    let upload = json!({ "one_time_keys": keys }).to_string();
    let (status, _, body) = wire
        .send("POST", "/keys/upload", &token, &upload)
        .await
        .unwrap();
    assert_eq!(status, 200, "{body}");

    let progress = Arc::new(Progress::default());
    let mut senders = JoinSet::new();
    let mut claimers = JoinSet::new();
    for number in 0..4 {
        let other = register(address, &format!("user{number}")).await;
        let (device, progress) = (device.clone(), Arc::clone(&progress));
        senders.spawn({
            let (other, device, progress) = (other.clone(), device.clone(), Arc::clone(&progress));
            async move { send_until_the_end(address, &other, number, &device, &progress).await }
        });
        claimers
            .spawn(async move { claim_until_the_end(address, &other, &device, &progress).await });
    }
    timeout(Duration::from_secs(60), progress.enough.notified())
        .await
        .unwrap();
    victim.kill();

    let running = Running::start(&folder).await;
    let mut wire = Wire::open(running.address).await;
    let mut claimed = Vec::new();
    while let Some(of_one) = claimers.join_next().await {
        claimed.extend(of_one.unwrap());
    }
    assert!(!claimed.is_empty() && claimed.len() < usize::try_from(KEYS).unwrap());
    while let Some(key) = claim(&mut wire, &token, &device).await.unwrap() {
        claimed.push(key);
    }
    let different: HashSet<_> = claimed.iter().collect();
    assert_eq!(different.len(), claimed.len());

    let mut kept: HashMap<u64, u64> = HashMap::new();
    let mut path = "/sync".to_owned();
    loop {
        let (_, _, body) = wire.send("GET", &path, &token, "").await.unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        let events = body["to_device"]["events"].as_array().unwrap();
        if events.is_empty() {
            break;
        }
        for event in events {
            let number = |member| event["content"][member].as_u64().unwrap();
            let last = kept.entry(number("from")).or_default();
            // In order, each once.
            assert_eq!(number("n"), *last + 1);
            *last = number("n");
        }
        path = format!("/sync?since={}", body["next_batch"].as_str().unwrap());
    }
    while let Some(of_one) = senders.join_next().await {
        let (number, acknowledged) = of_one.unwrap();
        let kept = kept.get(&number).copied().unwrap_or(0);
        assert!(acknowledged > 0 && kept >= acknowledged, "{number}");
    }
    running.stop().await;
}

/// What the writers got done, and the word that it is enough.
#[derive(Default)]
struct Progress {
    messages: AtomicU64,
    claims: AtomicU64,
    enough: Notify,
}

impl Progress {
    fn count(&self, which: &AtomicU64) {
        which.fetch_add(1, Ordering::SeqCst);
        let done = |which: &AtomicU64| which.load(Ordering::SeqCst) > 40;
        if done(&self.messages) && done(&self.claims) {
            self.enough.notify_one();
        }
    }
}

/// Sends numbered messages until the server is gone; the last number that was acknowledged.
async fn send_until_the_end(
    address: SocketAddr,
    token: &str,
    from: u64,
    device: &str,
    progress: &Progress,
) -> (u64, u64) {
    let mut wire = Wire::open(address).await;
    let mut last = 0;
    for n in 1_u64.. {
        let mut body = json!({ "messages": { "@bob:localhost": {} } });
        body["messages"]["@bob:localhost"][device] = json!({ "from": from, "n": n });
        let path = format!("/sendToDevice/m.test/{n}");
        match wire.send("PUT", &path, token, &body.to_string()).await {
            Ok((200, _, _)) => last = n,
            Ok((status, _, body)) => panic!("refused with {status}: {body}"),
            Err(_) => break,
        }
        progress.count(&progress.messages);
    }
    (from, last)
}

/// Claims keys until the server is gone or has no more; their IDs.
async fn claim_until_the_end(
    address: SocketAddr,
    token: &str,
    device: &str,
    progress: &Progress,
) -> Vec<String> {
    let mut wire = Wire::open(address).await;
    let mut claimed = Vec::new();
    while let Ok(Some(key)) = claim(&mut wire, token, device).await {
        claimed.push(key);
        progress.count(&progress.claims);
    }
    claimed
}

async fn claim(wire: &mut Wire, token: &str, device: &str) -> std::io::Result<Option<String>> {
    let mut body = json!({ "one_time_keys": { "@bob:localhost": {} } });
    body["one_time_keys"]["@bob:localhost"][device] = json!("signed_curve25519");
    let (status, _, body) = wire
        .send("POST", "/keys/claim", token, &body.to_string())
        .await?;
    assert_eq!(status, 200, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    let keys = &body["one_time_keys"]["@bob:localhost"][device];
    Ok(keys
        .as_object()
        .and_then(|keys| keys.keys().next().cloned()))
}

/// As many as a device may have.
const KEYS: u64 = 500;

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let server = fourfold_server::Homeserver::open(config(&folder))
        .await
        .unwrap();
    server.create_account("alice", "password").await.unwrap();
    server.close().await;
    drop(server);
    let files: Vec<_> = std::fs::read_dir(folder.path().join("data"))
        .unwrap()
        .collect();
    // A clean stop folds the log into the file: one file and the lock.
    assert_eq!(files.len(), 2);
    let running = Running::start(&folder).await;
    let mut wire = Wire::open(running.address).await;
    let login = r#"{"type":"m.login.password","user":"alice","password":"password"}"#;
    let (status, _, _) = wire.send("POST", "/login", "", login).await.unwrap();
    assert_eq!(status, 200);
    running.stop().await;
}
