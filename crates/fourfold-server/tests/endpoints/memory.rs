//! What the memory of a server with its default limits comes to, whatever is asked of it.

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::connections::{Running, Wire, register, request};
use crate::victim::Victim;

// shows: SRV-05, SRV-11
#[tokio::test]
async fn hashing_passwords_keeps_no_more_memory_than_it_works_in() {
    let folder = TempDir::new().unwrap();
    let victim = Victim::start_as_shipped(&folder).await;
    let address = victim.address;
    let mut asked = JoinSet::new();
    for number in 0..28 {
        asked.spawn(async move {
            let body =
                format!(r#"{{"type":"m.login.password","user":"nobody{number}","password":"x"}}"#);
            let mut wire = Wire::open(address).await;
            let (status, _, body) = wire.send("POST", "/login", "", &body).await.unwrap();
            assert_eq!(status, 403, "{body}");
        });
    }
    while let Some(done) = asked.join_next().await {
        done.unwrap();
    }
    // Not more from one address than its rate allows.
    for number in 0..200_u8 {
        asked.spawn(async move {
            let body = format!(
                r#"{{"username":"user{number}","password":"p","auth":{{"type":"m.login.dummy"}}}}"#
            );
            let mut wire = Wire::open_from([127, 0, 0, 1 + number / 25], address).await;
            let (status, _, body) = wire.send("POST", "/register", "", &body).await.unwrap();
            assert_eq!(status, 200, "{body}");
        });
    }
    while let Some(done) = asked.join_next().await {
        done.unwrap();
    }
    let memory = victim.memory();
    assert!(memory < MOST_MIB, "{memory} MiB");
    victim.kill();
}

/// Asks again and again for something large, on one connection each, and reads nothing but the
/// status.
async fn leave_unread(victim: &Victim, path: &str, token: &str, times: usize) -> Vec<(u16, Wire)> {
    let mut asked = Vec::new();
    for _ in 0..times {
        let mut wire = Wire::open(victim.address).await;
        let request = request("GET", path, token, "");
        wire.write(&request).await.unwrap();
        asked.push(wire);
    }
    let mut unread = Vec::new();
    for mut wire in asked {
        unread.push((wire.status().await, wire));
    }
    unread
}

/// Someone else comes and goes as if nobody did anything, until the memory grows no more.
async fn others_go_on(victim: &Victim, token: &str) {
    loop {
        let before = victim.memory();
        for _ in 0..20 {
            come_and_go(victim, token).await;
        }
        let memory = victim.memory();
        assert!(memory < MOST_MIB, "{memory} MiB");
        if memory <= before {
            return;
        }
    }
}

async fn come_and_go(victim: &Victim, token: &str) {
    let mut wire = Wire::open(victim.address).await;
    let path = "/user/@bob:localhost/account_data/m.x";
    let content = format!("{{\"a\":\"{}\"}}", "x".repeat(100_000));
    let (status, _, body) = wire.send("PUT", path, token, &content).await.unwrap();
    assert_eq!(status, 200, "{body}");
    for path in [path, "/sync"] {
        let (status, _, body) = wire.send("GET", path, token, "").await.unwrap();
        assert_eq!(status, 200, "{body}");
        assert!(body.contains(&content));
    }
}

// shows: SRV-10, SRV-11
#[tokio::test]
async fn syncs_that_nobody_reads_hold_little() {
    let folder = TempDir::new().unwrap();
    let server = Running::start(&folder).await;
    let (alice, bob) = people(server.address).await;
    let mut wire = Wire::open(server.address).await;
    let content = format!("{{\"a\":\"{}\"}}", "x".repeat(1024 * 1024 - 8));
    for number in 0..31 {
        let path = format!("/user/@alice:localhost/account_data/m.{number}");
        let (status, _, body) = wire.send("PUT", &path, &alice, &content).await.unwrap();
        assert_eq!(status, 200, "{body}");
    }
    server.stop().await;

    let victim = Victim::start_as_shipped(&folder).await;
    let unread = leave_unread(&victim, "/sync", &alice, 100).await;
    let count = |wanted: u16| {
        unread
            .iter()
            .filter(|(status, _)| *status == wanted)
            .count()
    };
    // An answer holds one content of the account, and not all of it.
    let (answered, refused) = (count(200), count(429));
    assert_eq!(answered + refused, 100);
    assert!((16..=32).contains(&answered), "{answered}");
    others_go_on(&victim, &bob).await;
    drop(unread);
    // What was left unread is forgotten with its connection.
    loop {
        let mut wire = Wire::open(victim.address).await;
        let sync = request("GET", "/sync", &alice, "");
        wire.write(&sync).await.unwrap();
        if wire.status().await == 200 {
            assert!(wire.chunks().await.len() > 31 * 1024 * 1024);
            break;
        }
    }
    victim.kill();
}

// shows: SRV-10, SRV-11
#[tokio::test]
async fn key_backups_that_nobody_reads_hold_little() {
    let folder = TempDir::new().unwrap();
    let server = Running::start(&folder).await;
    let (alice, bob) = people(server.address).await;
    let mut wire = Wire::open(server.address).await;
    let version = r#"{"algorithm":"m.test","auth_data":{}}"#;
    let made = wire
        .send("POST", "/room_keys/version", &alice, version)
        .await;
    assert_eq!(made.unwrap().0, 200);
    let mut expected = json!({});
    for upload in 0..8 {
        let room = format!("!{upload}:a");
        let mut sessions = serde_json::Map::new();
        for number in 0..40 {
            let key = json!({
                "first_message_index": number, "forwarded_count": 0, "is_verified": false,
                "session_data": { "ciphertext": "x".repeat(100_000) },
            });
            sessions.insert(number.to_string(), key);
        }
        expected[&room] = json!({ "sessions": sessions });
        let body = json!({ "rooms": { room: { "sessions": sessions } } }).to_string();
        let put = wire
            .send("PUT", "/room_keys/keys?version=1", &alice, &body)
            .await;
        assert_eq!(put.unwrap().0, 200);
    }
    server.stop().await;

    let victim = Victim::start_as_shipped(&folder).await;
    let unread = leave_unread(&victim, "/room_keys/keys?version=1", &alice, 25).await;
    assert!(unread.iter().all(|(status, _)| *status == 200));
    others_go_on(&victim, &bob).await;
    drop(unread);
    // Who reads gets all of it.
    let mut wire = Wire::open(victim.address).await;
    wire.write(&request("GET", "/room_keys/keys?version=1", &alice, ""))
        .await
        .unwrap();
    let backup: Value = serde_json::from_str(&wire.chunks().await).unwrap();
    assert_eq!(backup["rooms"], expected);
    victim.kill();
}

/// The tokens of two people.
async fn people(address: std::net::SocketAddr) -> (String, String) {
    (
        register(address, "alice").await,
        register(address, "bob").await,
    )
}

/// Four hashes at a time take 19 MiB each, and what one of these accounts stores 32 MiB; the rest of
/// the server is a small part of it.
const MOST_MIB: u64 = 130;
