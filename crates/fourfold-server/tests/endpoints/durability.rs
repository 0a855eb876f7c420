//! What was acknowledged survives: a clean stop, and `kill -9` in the middle of writing.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fourfold_server::Server;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::connections::{Running, Wire, register};
use crate::under_test::config;

const FOLDER: &str = "FOURFOLD_TEST_SERVE_FOLDER";
const REPORT: &str = "FOURFOLD_TEST_SERVE_REPORT";

/// Not a test: what the child process of the test below runs. It tells its address and serves until
/// it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the test that kills it"]
async fn serves_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let mut config = fourfold_server::Config::new("localhost", folder);
    config.bind.set_port(0);
    config.password_cost = fourfold_server::PasswordCost::minimal();
    config.rate_limits = fourfold_server::RateLimits::disabled();
    let server = Server::bind(config).await.unwrap();
    let mut report = TcpStream::connect(std::env::var(REPORT).unwrap())
        .await
        .unwrap();
    report
        .write_all(server.local_addr().to_string().as_bytes())
        .await
        .unwrap();
    drop(report);
    server.run(std::future::pending()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_write_survives_a_kill() {
    let folder = TempDir::new().unwrap();
    for round in 0..3 {
        survive_a_kill(&folder, round).await;
    }
}

async fn survive_a_kill(folder: &TempDir, round: u64) {
    let reports = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--ignored",
            "durability::serves_until_it_is_killed",
        ])
        .env(FOLDER, folder.path().join("data"))
        .env(REPORT, reports.local_addr().unwrap().to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut report, _) = timeout(Duration::from_secs(60), reports.accept())
        .await
        .unwrap()
        .unwrap();
    let mut address = String::new();
    report.read_to_string(&mut address).await.unwrap();
    let address: SocketAddr = address.parse().unwrap();

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
    child.kill().unwrap();
    child.wait().unwrap();

    let running = Running::start(folder).await;
    let mut wire = Wire::open(running.address).await;
    while let Some(done) = writers.join_next().await {
        let (path, token, last) = done.unwrap();
        let (status, _, body) = wire.send("GET", &path, &token, "").await.unwrap();
        assert!(last > 0 && status == 200, "{path}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let kept = body["n"].as_u64().unwrap();
        // The write that was under way may be there or not; what was answered must be.
        assert!(
            kept == last || kept == last + 1,
            "acknowledged {last}, kept {kept}"
        );
    }
    running.stop().await;
}

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
