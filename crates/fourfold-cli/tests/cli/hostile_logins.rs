//! A homeserver that lies about who has logged in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::homeserver::{Homeserver, PASSWORD, Person};
use crate::invocation::Invocation;
use crate::proxy::{Message, Proxy, Turn};

const ALICE: &str = "@alice:localhost";
const BOB: &str = "@bob:localhost";

/// A machine on which bob is logged in at a server of his own, and a server that lies to alice.
struct Scene {
    evil: Homeserver,
    proxy: Proxy,
    machine: Person,
    _honest: Homeserver,
}

impl Scene {
    fn new() -> Self {
        let honest = Homeserver::start();
        let machine = honest.person("bob");
        let evil = Homeserver::start();
        evil.register("alice");
        Self {
            proxy: Proxy::to(&evil.address),
            evil,
            machine,
            _honest: honest,
        }
    }

    fn log_in(&self, name: &str) -> Invocation {
        let log_in = ["login", name, "--homeserver", &self.proxy.address];
        let log_in = self.machine.call(&log_in);
        log_in.arguments(["--password-file", "-"]).stdin(PASSWORD)
    }

    /// Answers to such requests get these members.
    fn lie(&self, path: &'static str, members: Value) {
        self.proxy.lie(move |request| {
            if !request.head.contains(path) {
                return Turn::Honest;
            }
            let members = members.clone();
            Turn::Altered(Box::new(move |answer| {
                answer.with_json(|body| {
                    let members = members.as_object().unwrap().clone();
                    body.as_object_mut().unwrap().extend(members);
                })
            }))
        });
    }

    /// What the server that lies was asked, since so much was seen.
    fn asked(&self, since: usize) -> Vec<String> {
        let asked = self.proxy.asked().into_iter().skip(since);
        asked
            .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
            .collect()
    }

    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = crate::canary::files(&self.machine.state()).into_iter();
        files
            .filter(|path| !path.to_string_lossy().contains(".sqlite-"))
            .map(|path| {
                let content = std::fs::read(&path).unwrap();
                (path, content)
            })
            .collect()
    }

    /// How many devices of alice the server has, one more of which asks.
    fn devices(&self) -> usize {
        let other = self.evil.other_client("alice");
        let devices = other.devices();
        other.log_out();
        devices
    }
}

const LOGIN: &str = "POST /_matrix/client/v3/login";
const LOGOUT: &str = "POST /_matrix/client/v3/logout";

#[test]
fn an_answer_about_somebody_else_touches_no_session_but_its_own() {
    let scene = Scene::new();
    let files = scene.files();
    let devices = scene.devices();
    for user_id in [
        BOB,
        "@alice:elsewhere",
        "@ALICE:localhost",
        "@bob:elsewhere",
    ] {
        scene.lie("/login ", serde_json::json!({"user_id": user_id}));
        for name in ["alice", ALICE] {
            let before = scene.asked(0).len();
            scene
                .log_in(name)
                .run()
                .fails(1)
                .says(&format!("this session belongs to {user_id}, not to {name}"));
            // What the server has made is ended there.
            assert_eq!(scene.asked(before), [LOGIN, LOGOUT]);
        }
    }
    assert_eq!(scene.files(), files);
    assert_eq!(scene.devices(), devices);
    let who = scene.machine.call(&["whoami", "--json"]).run().json();
    assert_eq!(who["user_id"], BOB);
}

#[test]
fn a_token_of_somebody_else_is_neither_kept_nor_ended() {
    let scene = Scene::new();
    let files = scene.files();
    let token = scene.evil.other_client("alice").access_token();
    scene.lie("/whoami ", serde_json::json!({"user_id": BOB}));
    for name in ["alice", ALICE] {
        let before = scene.asked(0).len();
        let log_in = ["login", name, "--homeserver", &scene.proxy.address];
        let log_in = scene.machine.call(&log_in);
        let log_in = log_in.arguments(["--access-token-file", "-"]);
        log_in.stdin(token.as_str()).run().fails(1).says(BOB);
        assert_eq!(
            scene.asked(before),
            ["GET /_matrix/client/v3/account/whoami"]
        );
    }
    assert_eq!(scene.files(), files);
}

#[test]
fn a_name_alone_needs_a_server_of_that_name() {
    let scene = Scene::new();
    let files = scene.files();
    scene
        .log_in("alice")
        .run()
        .fails(1)
        .says("this session belongs to @alice:localhost, not to alice")
        .says("write the whole ID");
    let before = scene.asked(0).len();
    for name in ["alice@localhost", "@alice", "alice:localhost", ""] {
        scene.log_in(name).run().fails(2);
    }
    let nowhere = scene.machine.call(&["login", "alice"]);
    nowhere.run().fails(2).says("write the whole ID");
    assert_eq!(scene.asked(before), [""; 0]);
    assert_eq!(scene.files(), files);
    scene.log_in(ALICE).run().succeeds();
}

#[test]
fn a_session_of_another_device_than_was_asked_for_is_ended() {
    let scene = Scene::new();
    let files = scene.files();
    for (device_id, said) in [("OTHER", "OTHER"), ("\u{1b}]0;owned\u{7}", "/login")] {
        scene.lie("/login ", serde_json::json!({"device_id": device_id}));
        let before = scene.asked(0).len();
        let log_in = scene.log_in(ALICE).arguments(["--device-id", "LAPTOP"]);
        let outcome = log_in.run();
        outcome.fails(4).says(said).is_silent_about("\u{1b}");
        assert_eq!(scene.asked(before), [LOGIN, LOGOUT]);
    }
    assert_eq!(scene.files(), files);
}

#[test]
fn a_server_that_says_the_session_is_somebody_elses_is_not_believed() {
    let scene = Scene::new();
    scene.log_in(ALICE).run().succeeds();
    let whoami = ["whoami", "--account", ALICE];
    scene.machine.call(&whoami).run().succeeds();
    for lie in [
        serde_json::json!({"user_id": BOB}),
        serde_json::json!({"device_id": "OTHER"}),
    ] {
        scene.lie("/whoami ", lie);
        scene.machine.call(&whoami).run().fails(4).says("another");
    }
}

#[test]
fn what_one_homeserver_says_ends_no_session_at_another() {
    let scene = Scene::new();
    scene.log_in(ALICE).run().succeeds();
    let devices = scene.devices();
    let files = scene.files();
    let before = scene.asked(0).len();
    // The same server under another address: that they are one is what it says.
    let again = ["login", ALICE, "--homeserver", &scene.evil.address];
    let again = || {
        let again = scene.machine.call(&again);
        again.arguments(["--password-file", "-"]).stdin(PASSWORD)
    };
    let refused = again().run();
    refused
        .fails(1)
        .says(&scene.proxy.address)
        .says("fourfold logout --account @alice:localhost");
    assert_eq!(scene.asked(before), [""; 0]);
    assert_eq!(scene.devices(), devices);
    assert_eq!(scene.files(), files);
    // The way that it names.
    let log_out = ["logout", "--account", ALICE];
    scene.machine.call(&log_out).run().succeeds();
    again().run().succeeds();
    assert_eq!(scene.devices(), devices);
}

#[test]
fn a_whole_user_id_leads_no_session_to_another_server() {
    let scene = Scene::new();
    let honest = Homeserver::start();
    honest.register("alice");
    let way = Proxy::to(&honest.address);
    let at_honest = || {
        let log_in = ["login", ALICE, "--homeserver", &way.address];
        let log_in = scene.machine.call(&log_in);
        log_in.arguments(["--password-file", "-"]).stdin(PASSWORD)
    };
    at_honest().run().succeeds();
    let files = scene.files();
    let before = (scene.asked(0).len(), way.asked().len());
    let token = scene.evil.other_client("alice").access_token();
    let evil = ["login", ALICE, "--homeserver", &scene.proxy.address];
    for refused in [
        scene.log_in(ALICE),
        scene.log_in("@ALICE:localhost"),
        scene.log_in(ALICE).arguments(["--device-id", "LAPTOP"]),
        // Nobody is asked for the password.
        scene.machine.call(&evil),
        scene
            .machine
            .call(&evil)
            .arguments(["--access-token-file", "-"])
            .stdin(token.as_str()),
    ] {
        let refused = refused.run();
        refused.fails(1).says(&way.address).says("fourfold logout");
    }
    // Neither the one that lies nor the honest one heard of it, and nothing changed here.
    assert_eq!((scene.asked(0).len(), way.asked().len()), before);
    assert_eq!(scene.files(), files);
    let who = ["whoami", "--account", ALICE];
    scene.machine.call(&who).run().succeeds();
    // To name the server of the account is no log-in elsewhere.
    at_honest().run().is_silent_about("warning").succeeds();
}

#[test]
fn a_server_that_moved_is_followed_when_the_user_says_so() {
    let gone = Homeserver::start();
    let alice = gone.person("alice");
    alice.set_up("key");
    let device = alice.call(&["whoami", "--json"]).run().json()["device_id"].clone();
    drop(gone);
    let server = Homeserver::start();
    server.register("alice");
    let moved = Person {
        address: server.address.clone(),
        ..alice
    };
    let refused = moved.log_in().run();
    refused
        .fails(1)
        .says("this machine has a session of @alice:localhost at http://")
        .says("--force forgets it");
    moved.call(&["logout"]).run().fails(4).says("--force");
    moved
        .call(&["logout", "--force"])
        .run()
        .says(&format!("its device {} is still", device.as_str().unwrap()))
        .succeeds();
    // What this machine has seen counts there too.
    let log_in = moved.log_in().run();
    log_in.says("disappeared").succeeds();
    moved.call(&["whoami"]).run().succeeds();
}

// The ID of a device says nothing about where it is logged in.
#[test]
fn a_session_at_another_homeserver_is_left_alone_also_when_its_device_has_the_same_id() {
    let scene = Scene::new();
    let device = ["--device-id", "LAPTOP"];
    scene.log_in(ALICE).arguments(device).run().succeeds();
    let before = scene.asked(0).len();
    let again = ["login", ALICE, "--homeserver", &scene.evil.address];
    let again = scene.machine.call(&again).arguments(device);
    again
        .arguments(["--password-file", "-"])
        .stdin(PASSWORD)
        .run()
        .fails(1)
        .says("log out there first")
        .says(&scene.proxy.address);
    assert_eq!(scene.asked(before), [""; 0]);
}

#[test]
fn a_session_that_does_not_work_ends_no_other() {
    let scene = Scene::new();
    scene.log_in(ALICE).run().succeeds();
    let devices = scene.devices();
    scene.proxy.lie(|request| {
        if request.is_sync() {
            Turn::Answered(Message::error(403, "M_FORBIDDEN", "not for you"))
        } else {
            Turn::Honest
        }
    });
    let before = scene.asked(0).len();
    let said = "the earlier session of this machine could not be ended";
    scene.log_in(ALICE).run().says(said).succeeds();
    assert!(!scene.asked(before).iter().any(|line| line == LOGOUT));
    assert_eq!(scene.devices(), devices + 1);
}

#[test]
fn a_session_that_cannot_be_kept_is_ended() {
    let scene = Scene::new();
    scene.log_in(ALICE).run().succeeds();
    let devices = scene.devices();
    let path = scene.machine.state().join("%40alice%3Alocalhost.lock");
    let lock = std::fs::File::open(&path).unwrap();
    lock.lock().unwrap();
    // Known before, nothing is sent.
    let before = scene.asked(0).len();
    scene.log_in(ALICE).run().fails(5).says("in use");
    assert_eq!(scene.asked(before), [""; 0]);
    drop(lock);
    // Somebody takes it while the homeserver answers.
    let lock = Arc::new(Mutex::new(None));
    let taken = Arc::clone(&lock);
    scene.proxy.lie(move |request| {
        if request.is_login() {
            let lock = std::fs::File::open(&path).unwrap();
            lock.lock().unwrap();
            *taken.lock().unwrap() = Some(lock);
        }
        Turn::Honest
    });
    scene.log_in(ALICE).run().fails(5).says("in use");
    assert_eq!(scene.asked(before), [LOGIN, LOGOUT]);
    assert_eq!(scene.devices(), devices);
    *lock.lock().unwrap() = None;
    let who = scene.machine.call(&["whoami", "--account", ALICE]);
    who.run().succeeds();
}

#[test]
fn an_answer_that_is_no_session_is_refused() {
    let scene = Scene::new();
    let files = scene.files();
    for body in ["{}", "[]", r#"{"user_id":"@alice:localhost"}"#] {
        scene.proxy.lie(move |request| {
            if request.is_login() {
                Turn::Answered(Message::answer(200, "application/json", body))
            } else {
                Turn::Honest
            }
        });
        scene.log_in(ALICE).run().fails(4);
    }
    assert_eq!(scene.files(), files);
}
