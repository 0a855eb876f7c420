//! The key backup: its versions, their private keys, and what works while it does not.

mod broken;
mod commands;
mod room_keys;

use std::sync::{Arc, Mutex};

use fourfold::NewKeyBackup;
use serde_json::{Value, json};

use crate::account_data::rng;
use crate::homeserver::Homeserver;
use crate::invocation::Invocation;
use crate::key_endpoints::{Scene, sealed};
use crate::liar::BACKUP;
use crate::peer::Peer;
use crate::proxy::{Message, Turn};

/// A user who is set up, with another client of theirs.
struct Account<'s> {
    scene: Scene<'s>,
    other: Peer,
}

impl<'s> Account<'s> {
    fn new(server: &'s Homeserver, name: &str) -> Self {
        let scene = Scene::new(server, name);
        scene.set_up().run().succeeds();
        let other = Peer::log_in(&server.address, name);
        Self { scene, other }
    }

    /// The current version, as it is.
    fn current(&self) -> Value {
        self.version("")
    }

    /// One version, as it is.
    fn version(&self, version: &str) -> Value {
        let path = format!("room_keys/version{version}");
        self.other.call("GET", &path, &json!({}))
    }

    /// The other client makes a version, and keeps its private key to itself.
    fn make_elsewhere(&self) -> NewKeyBackup {
        let backup = NewKeyBackup::random(&mut rng());
        let made: Value = serde_json::from_str(&backup.to_content().to_json()).unwrap();
        self.other.call("POST", "room_keys/version", &made);
        backup
    }

    /// `fourfold backup …`, with the recovery key.
    fn backup(&self, arguments: &[&str]) -> Invocation {
        let key = self.scene.alice.folder.name_of("key");
        self.bare(arguments)
            .arguments(["--recovery-key-file", &key])
    }

    /// The same without it.
    fn bare(&self, arguments: &[&str]) -> Invocation {
        sealed(&self.scene.alice, &[&["backup"], arguments].concat())
    }

    /// A value of secret storage.
    fn get(&self, name: &str) -> String {
        self.scene.alice.get(name, "key").run().succeeds()
    }

    fn status(&self) -> Value {
        self.backup(&["status", "--json"]).run().json()
    }

    /// Requests for the current version are answered like this from now on.
    fn answer_version(&self, answer: Message) {
        let answer = Arc::new(Mutex::new(answer));
        self.scene.proxy.lie(move |request| {
            if request
                .first_line()
                .contains("GET /_matrix/client/v3/room_keys/version ")
            {
                Turn::Answered(answer.lock().unwrap().clone())
            } else {
                Turn::Honest
            }
        });
    }
}
