//! What a server finds in its data folder: it starts, or says why not, and never panics.

use std::path::PathBuf;

use fourfold_server::{Homeserver, StartError};
use tempfile::TempDir;

use crate::connections::{Running, Wire, register};
use crate::under_test::config;
#[cfg(target_os = "linux")]
use crate::victim::has;
use crate::victim::{Victim, chain};

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("data/fourfold.sqlite3")
}

/// A folder in which a server has run and stopped.
async fn used() -> TempDir {
    let folder = TempDir::new().unwrap();
    let server = Homeserver::open(config(&folder)).await.unwrap();
    server.create_account("alice", "password").await.unwrap();
    server.close().await;
    folder
}

async fn refusal(folder: &TempDir) -> String {
    let refused = Homeserver::open(config(folder)).await;
    let error = refused.map(drop).unwrap_err();
    assert!(
        matches!(
            error,
            StartError::Database(_) | StartError::DataFolder { .. }
        ),
        "{error:?}"
    );
    chain(&error)
}

#[tokio::test]
async fn db_01_a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let folder = used().await;
    let sound = std::fs::read(file(&folder)).unwrap();
    for bytes in [
        b"not a database, but long enough to be taken for one".repeat(200),
        sound[..50].to_vec(),
        sound[..5_000].to_vec(),
    ] {
        std::fs::write(file(&folder), &bytes).unwrap();
        let text = refusal(&folder).await;
        assert!(text.contains("the database cannot be opened: "), "{text}");
        assert_eq!(std::fs::read(file(&folder)).unwrap(), bytes);
    }
    std::fs::write(file(&folder), &sound).unwrap();
    let server = Homeserver::open(config(&folder)).await.unwrap();
    server.close().await;
}

#[tokio::test]
async fn db_01_a_folder_that_is_none_or_has_a_folder_for_a_file_is_refused() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("data"), "a file").unwrap();
    assert!(refusal(&folder).await.contains("data"));
    let folder = TempDir::new().unwrap();
    std::fs::create_dir_all(file(&folder)).unwrap();
    refusal(&folder).await;
    let folder = TempDir::new().unwrap();
    std::fs::create_dir_all(folder.path().join("data/lock")).unwrap();
    refusal(&folder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn db_01_without_its_log_a_server_starts_where_the_file_ends() {
    let folder = used().await;
    let victim = Victim::start(&folder).await;
    register(victim.address, "bob").await;
    victim.kill();
    for suffix in ["-wal", "-shm"] {
        let path = format!("{}{suffix}", file(&folder).display());
        std::fs::remove_file(path).unwrap();
    }
    let running = Running::start(&folder).await;
    let mut wire = Wire::open(running.address).await;
    let login = r#"{"type":"m.login.password","user":"alice","password":"password"}"#;
    let (status, _, _) = wire.send("POST", "/login", "", login).await.unwrap();
    assert_eq!(status, 200);
    // What only the log held is gone, and can be made again.
    register(running.address, "bob").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn db_01_a_log_that_is_damaged_costs_what_comes_after_the_damage() {
    let folder = used().await;
    let victim = Victim::start(&folder).await;
    register(victim.address, "bob").await;
    victim.kill();
    let log = PathBuf::from(format!("{}-wal", file(&folder).display()));
    let mut bytes = std::fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let running = Running::start(&folder).await;
    let mut wire = Wire::open(running.address).await;
    let login = r#"{"type":"m.login.password","user":"alice","password":"password"}"#;
    let (status, _, _) = wire.send("POST", "/login", "", login).await.unwrap();
    assert_eq!(status, 200);
    running.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn db_01_a_file_that_may_only_be_read_is_refused() {
    let folder = used().await;
    let path = file(&folder);
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).unwrap();
    // Root may write everywhere, unless it gives that up.
    let ordinary = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    let wrapper: &[&str] = if may_write(&path) { &ordinary } else { &[] };
    if !wrapper.is_empty() && !has("setpriv") {
        return;
    }
    let refused = Victim::start_under(wrapper, &folder).await;
    let text = refused.map(|victim| victim.kill()).unwrap_err();
    assert!(text.contains("readonly"), "{text}");
}

#[cfg(target_os = "linux")]
fn may_write(path: &std::path::Path) -> bool {
    std::fs::OpenOptions::new().append(true).open(path).is_ok()
}
