//! A disk that fails under a running server: what cannot be made durable is never acknowledged, what
//! was acknowledged stays, reading goes on, and writing does once the disk works again.

#![cfg(target_os = "linux")]

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::connections::{Running, Wire, register};
use crate::signing::curve25519;
use crate::victim::{Victim, has};

const PATH: &str = "/user/@alice:localhost/account_data/m.x";

/// The client of one user, which knows what it was told.
struct Client {
    wire: Wire,
    token: String,
    /// The content that was acknowledged last.
    acknowledged: u64,
}

impl Client {
    async fn register(address: SocketAddr) -> Self {
        Self {
            token: register(address, "alice").await,
            wire: Wire::open(address).await,
            acknowledged: 0,
        }
    }

    async fn send(&mut self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let sent = self.wire.send(method, path, &self.token, body).await;
        let (status, _, body) = sent.unwrap();
        (status, serde_json::from_str(&body).unwrap())
    }

    /// Stores the next number with so much beside it; whether that was acknowledged.
    async fn put(&mut self, length: usize) -> bool {
        let number = self.acknowledged + 1;
        // No two alike: SQLite writes only the pages that differ.
        let filling = format!("{number:08}").repeat(length / 8);
        let content = json!({ "n": number, "x": filling }).to_string();
        let (status, body) = self.send("PUT", PATH, &content).await;
        if status == 200 {
            self.acknowledged = number;
        } else {
            refused(status, &body);
        }
        status == 200
    }

    async fn stored(&mut self) -> u64 {
        let (status, body) = self.send("GET", PATH, "").await;
        assert_eq!(status, 200, "{body}");
        body["n"].as_u64().unwrap()
    }

    /// Reads everything that a client reads, none of which needs the disk to take anything.
    async fn reads(&mut self) {
        assert_eq!(self.stored().await, self.acknowledged);
        for path in ["/sync", "/account/whoami", "/devices", "/room_keys/version"] {
            let (status, body) = self.send("GET", path, "").await;
            assert!(matches!(status, 200 | 404), "{path} {body}");
        }
        let (_, sync) = self.send("GET", "/sync", "").await;
        let events = sync["account_data"]["events"].as_array().unwrap();
        let event = events.iter().find(|event| event["type"] == "m.x").unwrap();
        assert_eq!(event["content"]["n"], self.acknowledged);
    }

    /// One write of each kind.
    async fn write_everything(&mut self) -> Vec<(u16, Value)> {
        let message = r#"{"messages":{"@alice:localhost":{"*":{"n":1}}}}"#;
        let key = json!({ "key": curve25519(1), "signatures": {} });
        let keys = json!({ "one_time_keys": { "signed_curve25519:A": key } }).to_string();
        let login = r#"{"type":"m.login.password","user":"alice","password":"p"}"#;
        let register = r#"{"username":"bob","password":"p","auth":{"type":"m.login.dummy"}}"#;
        let backup = r#"{"algorithm":"m.x","auth_data":{}}"#;
        let mut answers = Vec::new();
        for (method, path, body) in [
            ("PUT", PATH, r#"{"n":"never"}"#),
            ("PUT", "/sendToDevice/m.test/once", message),
            ("POST", "/keys/upload", &keys),
            ("POST", "/room_keys/version", backup),
            ("POST", "/login", login),
            ("POST", "/register", register),
        ] {
            answers.push(self.send(method, path, body).await);
        }
        answers
    }
}

/// What a client hears of a write that was not made durable.
#[track_caller]
fn refused(status: u16, body: &Value) {
    assert!(matches!(status, 503 | 507), "{status} {body}");
    assert_eq!(body["errcode"], "M_UNKNOWN");
    let error = body["error"].as_str().unwrap();
    assert!(
        error.contains("no room") || error.contains("unavailable"),
        "{error}"
    );
}

/// A file that may not grow is an error of writing, not the end of the process.
const WITHOUT_SIGNAL: [&str; 3] = ["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_grow_refuses_writes_and_nothing_else() {
    if !has("prlimit") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let victim = Victim::start_under(&WITHOUT_SIGNAL, &folder).await.unwrap();
    let mut alice = Client::register(victim.address).await;
    assert!(alice.put(10).await);
    victim.limit_files(Some(1));
    for (status, body) in alice.write_everything().await {
        refused(status, &body);
    }
    alice.reads().await;
    victim.limit_files(None);
    assert!(alice.put(10).await);
    // Each was refused whole, so each can be done.
    let (_, sync) = alice.send("GET", "/sync", "").await;
    assert_eq!(sync["to_device"]["events"], json!([]));
    assert_eq!(sync["device_one_time_keys_count"]["signed_curve25519"], 0);
    let answers = alice.write_everything().await;
    assert!(
        answers.iter().all(|(status, _)| *status == 200),
        "{answers:?}"
    );
    assert!(alice.put(10).await);

    // Wherever the file ends, in the middle of a page or between two.
    for limit in [0, 1, 5_000, 30_000, 100_001] {
        let log = folder.path().join("data/fourfold.sqlite3-wal");
        let length = std::fs::metadata(log).unwrap().len();
        victim.limit_files(Some(length + limit));
        let mut written = 0;
        while alice.put(20_000).await {
            written += 1;
            assert!(written < 1_000, "the file grew on");
        }
        alice.reads().await;
        victim.limit_files(None);
        assert!(alice.put(20_000).await);
    }
    let log = victim.kill();
    let running = Running::start(&folder).await;
    alice.wire = Wire::open(running.address).await;
    alice.reads().await;
    running.stop().await;

    // One line when it begins and one when it ends, however many writes were refused.
    let lines = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!(lines("ERROR"), 6, "{log}");
    assert_eq!(lines("the database accepts no writes"), 6, "{log}");
    assert_eq!(lines("the database accepts writes again"), 6, "{log}");
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_was_just_refreshed_reads_while_nothing_can_be_written() {
    if !has("prlimit") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let victim = Victim::start_under(&WITHOUT_SIGNAL, &folder).await.unwrap();
    let mut alice = Client::register(victim.address).await;
    let login = r#"{"type":"m.login.password","user":"alice","password":"p","refresh_token":true}"#;
    let (_, first) = alice.send("POST", "/login", login).await;
    let refresh = json!({ "refresh_token": first["refresh_token"] }).to_string();
    let (_, second) = alice.send("POST", "/refresh", &refresh).await;
    victim.limit_files(Some(1));
    for tokens in [&second, &first, &second] {
        alice.token = tokens["access_token"].as_str().unwrap().to_owned();
        assert_eq!(alice.send("GET", "/sync", "").await.0, 200);
    }
    victim.limit_files(None);
    // The first use that can be noted ends the pair before.
    assert_eq!(alice.send("GET", "/sync", "").await.0, 200);
    alice.token = first["access_token"].as_str().unwrap().to_owned();
    assert_eq!(alice.send("GET", "/sync", "").await.0, 401);
    victim.kill();
}

/// A server under which syncing a file to the disk fails.
async fn failing_sync(folder: &TempDir, when: &str, more: &[&str]) -> Victim {
    let trace = trace(folder);
    let mut command = vec!["strace", "-f", "-qq", "-o", trace.to_str().unwrap()];
    let inject = format!("inject=fsync,fdatasync:error=EIO{when}");
    command.extend(["-e", "trace=fsync,fdatasync", "-e", &inject]);
    command.extend(more);
    Victim::start_under(&command, folder).await.unwrap()
}

/// What was called, which tells whether anything failed.
fn trace(folder: &TempDir) -> PathBuf {
    folder.path().join("trace")
}

fn failed_syncs(folder: &TempDir) -> usize {
    let trace = std::fs::read_to_string(trace(folder)).unwrap();
    trace
        .lines()
        .filter(|line| line.contains("INJECTED"))
        .count()
}

// shows: SRV-09, SRV-21, DB-04
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn db_04_a_write_that_was_not_synced_is_not_acknowledged() {
    if !has("strace") {
        return;
    }
    let folder = TempDir::new().unwrap();
    // Of the writing thread: it has synced often before, and does so again afterwards.
    let victim = failing_sync(&folder, ":when=40..49", &[]).await;
    let mut alice = Client::register(victim.address).await;
    let mut refused = 0;
    while refused < 10 {
        assert!(alice.acknowledged < 100, "no sync failed");
        if !alice.put(10).await {
            refused += 1;
            alice.reads().await;
        }
    }
    for _ in 0..10 {
        assert!(alice.put(10).await);
    }
    let log = victim.kill();
    assert_eq!(failed_syncs(&folder), 10);
    assert!(log.contains("the database accepts no writes"), "{log}");
    assert!(log.contains("the database accepts writes again"), "{log}");
    let running = Running::start(&folder).await;
    alice.wire = Wire::open(running.address).await;
    alice.reads().await;
    running.stop().await;
}

// shows: SRV-21, DB-04
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn db_04_after_a_crash_a_write_that_was_not_synced_is_there_whole_or_not_at_all() {
    if !has("strace") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let victim = failing_sync(&folder, ":when=40+", &[]).await;
    let mut alice = Client::register(victim.address).await;
    while alice.put(10).await {
        assert!(alice.acknowledged < 100, "no sync failed");
    }
    assert!(alice.acknowledged > 0);
    victim.kill();
    let running = Running::start(&folder).await;
    alice.wire = Wire::open(running.address).await;
    let stored = alice.stored().await;
    assert!((alice.acknowledged..=alice.acknowledged + 1).contains(&stored));
    alice.acknowledged = stored;
    assert!(alice.put(10).await);
    alice.reads().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn db_04_a_file_that_cannot_be_synced_loses_nothing_that_the_log_holds() {
    if !has("strace") {
        return;
    }
    let folder = TempDir::new().unwrap();
    Running::start(&folder).await.stop().await;
    let file = folder.path().join("data/fourfold.sqlite3");
    let victim = failing_sync(&folder, "", &["-P", file.to_str().unwrap()]).await;
    let mut alice = Client::register(victim.address).await;
    // The log is folded into the file beside the writes, again and again.
    while alice.acknowledged < 60 || failed_syncs(&folder) < 2 {
        assert!(alice.acknowledged < 3_000, "nothing was folded");
        assert!(alice.put(200_000).await);
    }
    alice.reads().await;
    victim.kill();
    let running = Running::start(&folder).await;
    alice.wire = Wire::open(running.address).await;
    alice.reads().await;
    running.stop().await;
}
