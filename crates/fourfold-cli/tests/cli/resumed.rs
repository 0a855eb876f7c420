//! Changes that were interrupted: what they did is no attack, and what a homeserver does meanwhile is.

use serde_json::{Value, json};

use crate::hostile::{DEFAULT_KEY, NAME, Scene};
use crate::proxy::{Message, Turn};

const OTHER: &str = "org.example.other";

impl Scene {
    fn shown(&self, event_type: &str) -> Value {
        let content = self.server.other_client("alice").content(event_type);
        serde_json::from_str(&content.unwrap()).unwrap()
    }

    /// The write after so many fails, once; whether it arrives at the server or not.
    fn interrupt_write_after(&self, mut writes: usize, arrives: bool) {
        let mut is_done = false;
        self.proxy.lie(move |request| {
            if is_done || !request.is_write() {
                return Turn::Honest;
            }
            if writes > 0 {
                writes -= 1;
                return Turn::Honest;
            }
            is_done = true;
            let refused = || Message::error(403, "M_FORBIDDEN", "not now");
            if arrives {
                Turn::Altered(Box::new(move |_| refused()))
            } else {
                Turn::Answered(refused())
            }
        });
    }

    /// Rotates the key, which is interrupted like this. The recovery key of the new one is in `new`.
    fn rotate_interrupted(&self, writes: usize, arrives: bool) -> bool {
        let new = self.alice.folder.name_of("new");
        let _ = std::fs::remove_file(&new);
        self.interrupt_write_after(writes, arrives);
        let rotate = ["key", "rotate", "--recovery-key-out", &new];
        let outcome = self.alice.change(&rotate, &["key"]).run();
        self.proxy.be_honest();
        if outcome.stderr.contains("not now") {
            outcome.fails(4);
            return true;
        }
        outcome.succeeds();
        false
    }

    fn keep_new_key(&self) {
        let folder = &self.alice.folder;
        std::fs::rename(folder.join("new"), folder.join("key")).unwrap();
    }
}

// shows: KEY-06, KEY-08, STO-05, STO-07
#[test]
fn nothing_is_resumed_at_a_homeserver_that_went_back() {
    let scene = Scene::new();
    let alice = &scene.alice;
    let other = alice.new_key("other");
    let old = scene.shown(NAME);
    alice.put(NAME, "new", "key").run().succeeds();
    let event_type = format!("m.secret_storage.key.{}", alice.default_key());
    let mut weakened = scene.shown(&event_type);
    weakened["algorithm"] = json!("m.secret_storage.v1.curve25519-aes-sha2");
    let mut replaced = scene.shown(&event_type);
    replaced["mac"] = json!(fourfold::base64::encode([7; 32]));
    scene.interrupt_write_after(0, false);
    alice.put(OTHER, "x", "key").run().fails(4);
    let writes = scene.writes();
    for (event_type, lie) in [
        (NAME, Some(old.clone())),
        (NAME, None),
        (event_type.as_str(), Some(weakened)),
        (event_type.as_str(), Some(replaced)),
        (DEFAULT_KEY, Some(json!({"key": other}))),
        (DEFAULT_KEY, None),
    ] {
        scene.show(event_type, lie);
        for command in [["resume"].as_slice(), &["setup", "--yes"]] {
            let refused = alice.call(command).run();
            refused.fails(5).says("--accept-changes");
        }
    }
    assert_eq!(scene.writes(), writes);
    // It is still there to be gone on with.
    scene.show(NAME, Some(old));
    let resume = ["resume", "--accept-changes"];
    alice.call(&resume).run().says("done: ").succeeds();
    scene.proxy.be_honest();
    assert_eq!(alice.get(OTHER, "key").run().succeeds(), "x");
}

// shows: STO-07, STO-10
#[test]
fn what_an_interrupted_change_has_done_is_no_attack() {
    for arrives in [false, true] {
        for looks in [false, true] {
            let scene = Scene::new();
            let alice = &scene.alice;
            for writes in 0.. {
                let is_interrupted = scene.rotate_interrupted(writes, arrives);
                if is_interrupted {
                    if looks {
                        let listed = alice.call(&["ls"]).run();
                        listed.is_silent_about("warning").succeeds();
                    }
                    let resumed = alice.call(&["resume"]).run();
                    resumed.is_silent_about("warning").succeeds();
                }
                scene.keep_new_key();
                let got = alice.get(NAME, "key").run();
                assert_eq!(
                    got.is_silent_about("warning").succeeds(),
                    "four folds of paper"
                );
                if !is_interrupted {
                    assert!(writes >= 4, "{writes}");
                    break;
                }
            }
        }
    }
}

// shows: STO-07, STO-10
#[test]
fn what_was_given_up_is_no_attack_either() {
    let scene = Scene::new();
    let alice = &scene.alice;
    for writes in 0.. {
        let before = alice.default_key();
        let is_interrupted = scene.rotate_interrupted(writes, true);
        if is_interrupted {
            alice.call(&["resume", "--abandon"]).run().succeeds();
        }
        if alice.default_key() != before {
            scene.keep_new_key();
        }
        let put = alice.put(NAME, "after", "key").run();
        put.is_silent_about("warning").succeeds();
        if !is_interrupted {
            assert!(writes >= 4, "{writes}");
            break;
        }
    }
}

// shows: STO-07
#[test]
fn what_an_interrupted_change_wrote_and_was_seen_is_not_taken_back() {
    let scene = Scene::new();
    let alice = &scene.alice;
    // Up to the new default key, and not on.
    let mut number = 0..;
    let default = loop {
        let default = scene.shown(DEFAULT_KEY);
        assert!(scene.rotate_interrupted(number.next().unwrap(), true));
        if scene.shown(DEFAULT_KEY) != default {
            break default;
        }
        alice.call(&["resume"]).run().succeeds();
        scene.keep_new_key();
    };
    alice.call(&["ls"]).run().succeeds();
    scene.show(DEFAULT_KEY, Some(default));
    let writes = scene.writes();
    alice
        .call(&["resume"])
        .run()
        .fails(5)
        .says("--accept-changes");
    assert_eq!(scene.writes(), writes);
}
