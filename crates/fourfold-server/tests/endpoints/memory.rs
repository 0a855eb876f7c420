//! What the memory of a server with its default limits comes to, whatever is asked of it.

use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::connections::Wire;
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

/// Four hashes at a time take 19 MiB each; the rest of the server is a small part of it.
const MOST_MIB: u64 = 130;
