//! A homeserver that goes back, describes keys in another way or moves the default key: nothing is
//! opened and nothing is written before the user accepts it.

use fourfold::signed_json::SigningKey;
use fourfold_hostile::Victim;
use serde_json::{Value, json};

use crate::account_data::recovery_key;
use crate::homeserver::{Homeserver, Person};
use crate::hostile::{DEFAULT_KEY, NAME, Scene, replace};
use crate::keys::account_of_2019;
use crate::liar::{BACKUP, Liar};
use crate::proxy::{Proxy, Turn};

/// An entry as it is stored under the one key of a secret.
fn entry(content: &mut Value) -> &mut Value {
    let entries = content["encrypted"].as_object_mut().unwrap();
    entries.values_mut().next().unwrap()
}

impl Scene {
    fn stored(&self, event_type: &str) -> Value {
        let content = self.server.other_client("alice").content(event_type);
        serde_json::from_str(&content.unwrap()).unwrap()
    }

    /// The homeserver kept this.
    fn keeps(&self, event_type: &str, content: Value) {
        self.proxy.aim_at(Victim {
            kept: (event_type.to_owned(), content),
            ..Victim::default()
        });
    }

    /// Every command that opens or writes is refused, and writes nothing.
    #[track_caller]
    fn refuses_everything(&self, says: &str) {
        let (alice, writes) = (&self.alice, self.writes());
        let key = alice.folder.name_of("key");
        let id = "any";
        let fingerprint = SigningKey::from_seed(&[1; 32].into()).public_key();
        let fingerprint = fingerprint.to_base64();
        let new = alice.folder.name_of("new");
        for command in [
            ["get", NAME].as_slice(),
            &["kit", "--out", &new],
            &["key", "check"],
            &["unlock"],
            &["put", NAME, "-", "--yes"],
            &["key", "default", id, "--yes"],
            &["key", "grant", id, "--yes"],
            &["key", "revoke", id, NAME, "--yes"],
            &["key", "rm", id, "--yes"],
            &["key", "rotate", "--yes", "--recovery-key-out", &new],
            &["key", "migrate", "--yes", "--recovery-key-out", &new],
            &["setup", "--yes"],
            &["device", "verify"],
            &[
                "device",
                "sign",
                "X",
                "--fingerprint",
                &fingerprint,
                "--yes",
            ],
        ] {
            let call = alice.call(command);
            let call = call.arguments(["--recovery-key-file", &key]).stdin("new");
            let outcome = call.run();
            if command == ["unlock"] && outcome.stderr.contains("no agent is running") {
                continue;
            }
            outcome.fails(5).says(says).says("--accept-changes");
        }
        for command in [
            ["rm", NAME, "--yes"].as_slice(),
            &["key", "new", "--yes", "--recovery-key-out", &new],
            &[
                "setup",
                "--storage-only",
                "--yes",
                "--recovery-key-out",
                &new,
            ],
        ] {
            alice.call(command).run().fails(5).says(says);
        }
        assert!(!alice.folder.join("new").exists());
        assert_eq!(self.writes(), writes);
    }
}

// shows: STO-07
#[test]
fn an_old_entry_is_refused_however_it_is_written() {
    let scene = Scene::new();
    let old = scene.stored(NAME);
    scene.alice.put(NAME, "new", "key").run().succeeds();
    scene.keeps(NAME, old.clone());
    for lie in [
        "earlier-content",
        "earlier-content-with-an-unknown-member",
        "earlier-content-padded",
        "earlier-content-beside-an-unknown-member",
    ] {
        scene.proxy.play(lie);
        let get = scene.alice.get(NAME, "key").run();
        get.fails(5).says("was rolled back to an earlier value");
        scene.alice.put(NAME, "newer", "key").run().fails(5);
    }
    // A file that holds it is no better, on this machine.
    let mut snapshot: Value = json!({"user_id": "@alice:localhost", "account_data": {}});
    let server = scene.server.other_client("alice").snapshot();
    snapshot["account_data"] = serde_json::from_str(&server.account_data.to_json()).unwrap();
    snapshot["account_data"][NAME] = old;
    let file = scene.alice.folder.write("old.json", snapshot.to_string());
    let get = || {
        scene
            .alice
            .get(NAME, "key")
            .arguments(["--snapshot", &file])
    };
    get()
        .run()
        .fails(5)
        .says("was rolled back to an earlier value");
    let accepted = get().arguments(["--accept-changes"]).run();
    assert_eq!(accepted.succeeds(), "four folds of paper");
    get().run().fails(5);
    let elsewhere = scene.alice.folder.name_of("elsewhere");
    let key = scene.alice.folder.name_of("key");
    crate::invocation::fourfold(["get", NAME, "--snapshot", &file, "--state", &elsewhere])
        .arguments(["--recovery-key-file", &key])
        .run()
        .succeeds();
    // Accepting is an explicit act, and then it is as the homeserver says.
    let accepted = scene.alice.get(NAME, "key").arguments(["--accept-changes"]);
    let accepted = accepted.run();
    accepted.says("was rolled back to an earlier value");
    assert_eq!(accepted.succeeds(), "four folds of paper");
    scene.alice.get(NAME, "key").run().succeeds();
}

// shows: STO-07
#[test]
fn forged_readings_push_nothing_out_that_was_written_here() {
    let scene = Scene::new();
    let old = scene.stored(NAME);
    scene.alice.put(NAME, "new", "key").run().succeeds();
    for number in 0..20_u8 {
        let mut forged = old.clone();
        entry(&mut forged)["mac"] = json!(fourfold::base64::encode([number; 32]));
        entry(&mut forged)["ciphertext"] = json!(fourfold::base64::encode([number; 9]));
        scene.show(NAME, Some(forged));
        scene.alice.call(&["ls"]).run().succeeds();
    }
    scene.show(NAME, Some(old));
    let get = scene.alice.get(NAME, "key").run();
    get.fails(5).says("was rolled back to an earlier value");
}

// shows: STO-07
#[test]
fn forged_readings_push_nothing_out_that_was_merely_listed() {
    let scene = Scene::new();
    let alice = &scene.alice;
    // Another machine of hers stores, and this one looks at it.
    let name = "org.example.elsewhere";
    let phone = Person::at(&scene.server.address, "alice");
    phone.log_in().run().succeeds();
    phone.folder.write("key", alice.folder.read("key"));
    phone.put(name, "old", "key").run().succeeds();
    alice.call(&["ls"]).run().succeeds();
    let old = scene.stored(name);
    phone.put(name, "new", "key").run().succeeds();
    alice.call(&["ls"]).run().succeeds();
    let new = scene.stored(name);
    let mut other_iv = new.clone();
    entry(&mut other_iv)["iv"] = json!(fourfold::base64::encode([7; 16]));
    let mut is_refused = false;
    for number in 0..36_u8 {
        let mut forged = old.clone();
        entry(&mut forged)["mac"] = json!(fourfold::base64::encode([number; 32]));
        entry(&mut forged)["ciphertext"] = json!(fourfold::base64::encode([number; 9]));
        scene.show(name, Some(forged));
        let listed = alice.call(&["ls"]).run();
        listed.succeeds();
        is_refused = listed
            .stderr
            .contains("more often than this machine can remember");
    }
    assert!(is_refused);
    alice
        .get(name, "key")
        .run()
        .fails(5)
        .says("--accept-changes");
    for (replay, says) in [
        (&old, "was rolled back to an earlier value"),
        (&other_iv, "has a different IV than before"),
    ] {
        scene.show(name, Some(replay.clone()));
        alice.get(name, "key").run().fails(5).says(says);
    }
    // Others are opened as ever.
    alice.get(NAME, "key").run().succeeds();
    // The way out, for whose other machine stores it that often.
    scene.proxy.be_honest();
    for value in ["newer", "newest"] {
        phone.put(name, value, "key").run().succeeds();
        let get = alice.get(name, "key");
        let get = get.arguments(["--accept-changes"]).run();
        assert_eq!(get.succeeds(), value);
    }
    phone.put(name, "last", "key").run().succeeds();
    assert_eq!(alice.get(name, "key").run().succeeds(), "last");
}

// shows: STO-07
#[test]
fn a_change_elsewhere_is_told_once() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    alice.set_up("key");
    let phone = Person::at(&server.address, "alice");
    phone.log_in().run().succeeds();
    phone.folder.write("key", alice.folder.read("key"));
    phone.put(NAME, "first", "key").run().succeeds();
    alice.call(&["ls"]).run().succeeds();
    let told = "fourfold: note: org.example.wallet was changed elsewhere";

    phone.put(NAME, "second", "key").run().succeeds();
    let get = alice.get(NAME, "key").run();
    assert_eq!(get.says(told).succeeds(), "second");
    alice.get(NAME, "key").run().is_silent_about("elsewhere");
    // What was written here was not changed elsewhere.
    alice.put(NAME, "third", "key").run().succeeds();
    alice.call(&["ls"]).run().is_silent_about("elsewhere");

    phone.put(NAME, "fourth", "key").run().succeeds();
    let outcome = alice.call(&["status", "--json"]).run();
    let changes = outcome.json()["changes"].clone();
    let change = json!({
        "change": "secret_changed",
        "name": NAME,
        "is_suspicious": false,
        "message": "org.example.wallet was changed elsewhere",
    });
    assert_eq!(changes, json!([change]));
    let line = outcome.stderr.lines().next().unwrap();
    assert_eq!(serde_json::from_str::<Value>(line).unwrap(), change);
    assert_eq!(alice.status()["changes"], json!([]));

    // Through the agent too.
    let _agent = alice.agent(&[]);
    alice.unlock("key").run().succeeds();
    phone.put(NAME, "fifth", "key").run().succeeds();
    let got = alice.call(&["get", NAME, "--json"]).run().json();
    assert_eq!(got["secret"], "fifth");
    assert_eq!(got["changes"], json!([change]));
    phone.put(NAME, "sixth", "key").run().succeeds();
    let get = alice.call(&["get", NAME]).run();
    assert_eq!(get.says(told).succeeds(), "sixth");
    alice
        .call(&["get", NAME])
        .run()
        .is_silent_about("elsewhere");
}

// shows: KEY-06, KEY-08
#[test]
fn a_key_that_is_described_in_another_way_is_not_used() {
    let scene = Scene::new();
    let alice = &scene.alice;
    // A key with a passphrase, so that there is something to weaken.
    let passphrase = alice
        .folder
        .write("passphrase", "seven lanterns under the old bridge\n");
    let new = alice.folder.name_of("with-passphrase");
    let rotate = ["key", "rotate", "--recovery-key-out", &new];
    let rotate = alice.change(&rotate, &["key"]);
    rotate
        .arguments(["--new-passphrase-file", &passphrase])
        .run()
        .succeeds();
    std::fs::rename(&new, alice.folder.join("key")).unwrap();
    for (lie, says) in [
        ("fewer-iterations", "iterations"),
        ("another-salt", "a different salt"),
        ("algorithm-of-2019", "another algorithm"),
        ("other-check-data", "different check data"),
    ] {
        scene.proxy.play(lie);
        scene.refuses_everything(says);
        // Nor is the passphrase turned into anything.
        let get = ["get", NAME, "--passphrase-file", &passphrase];
        alice.call(&get).run().fails(5);
        // Looking is no opening.
        alice.call(&["key", "ls"]).run().says(says).succeeds();
    }
    scene.proxy.be_honest();
    assert_eq!(
        alice.get(NAME, "key").run().succeeds(),
        "four folds of paper"
    );
}

// shows: KEY-08, STO-05
#[test]
fn a_default_key_that_was_moved_is_not_used() {
    let scene = Scene::new();
    let other = scene.alice.new_key("other");
    scene.proxy.aim_at(Victim {
        other_key: other.clone(),
        ..Victim::default()
    });
    scene.proxy.play("moved-default-key");
    let says = "the default key changed from";
    scene.refuses_everything(says);
    // The way out, for who has moved it.
    let put = scene.alice.put(NAME, "under the other", "other");
    scene.proxy.be_honest();
    scene
        .server
        .other_client("alice")
        .put(DEFAULT_KEY, &json!({"key": other}).to_string());
    put.arguments(["--accept-changes"]).run().succeeds();
    assert_eq!(
        scene.alice.get(NAME, "other").run().succeeds(),
        "under the other"
    );
}

// Whoever encrypts to a key of 2019 encrypts to what its description says.
// shows: KEY-01, KEY-06
#[test]
fn a_key_of_2019_with_a_public_key_of_the_server_is_not_used() {
    let server = Homeserver::start();
    let proxy = Proxy::to(&server.address);
    let alice = server.person_through(&proxy, "alice");
    let other = server.other_client("alice");
    let (old, data) = account_of_2019();
    for event_type in data.account_data.event_types() {
        other.put(event_type, data.account_data.raw(event_type).unwrap());
    }
    let put = |machine: &Person| {
        machine.folder.write("old", recovery_key(&old));
        let id = old.key().id().as_str();
        let put = ["put", NAME, "-", "--profile-2019", "--key", id];
        machine.change(&put, &["old"]).stdin("new").run()
    };
    put(&alice).succeeds();
    let before = other.everything();
    proxy.aim_at(Victim {
        user_id: alice.user_id.clone(),
        ..Victim::default()
    });
    proxy.play("public-key-of-2019");
    put(&alice).fails(5).says("a different public key");
    // The key that is typed does not fit it either.
    let fresh = Person::at(&proxy.address, "alice");
    fresh.log_in().run().succeeds();
    put(&fresh).fails(3);
    assert_eq!(other.everything(), before);
}

// shows: KEY-06, KEY-08, STO-07
#[test]
fn the_agent_opens_and_writes_nothing_either() {
    let scene = Scene::new();
    let alice = &scene.alice;
    let old = scene.stored(NAME);
    scene.proxy.aim_at(Victim {
        other_key: alice.new_key("other"),
        kept: (NAME.to_owned(), old),
        ..Victim::default()
    });
    alice.put(NAME, "new", "key").run().succeeds();
    let _agent = alice.agent(&[]);
    alice.unlock("key").run().succeeds();
    let writes = scene.writes();
    for lie in ["earlier-content", "algorithm-of-2019", "moved-default-key"] {
        scene.proxy.play(lie);
        let get = alice.call(&["get", NAME]).run();
        get.fails(5).says("--accept-changes");
        let put = ["put", NAME, "-", "--yes"];
        alice.call(&put).stdin("x").run().fails(5);
        if lie != "earlier-content" {
            alice.unlock("key").run().fails(5);
        }
    }
    assert_eq!(scene.writes(), writes);
    scene.proxy.play("earlier-content");
    let accepted = alice.call(&["get", NAME, "--accept-changes"]).run();
    assert_eq!(accepted.succeeds(), "four folds of paper");
    alice.call(&["get", NAME]).run().succeeds();
}

// The command that has the key looked first, and the agent that is to keep it looks again.
// shows: KEY-06
#[test]
fn the_agent_keeps_no_key_of_an_account_that_changed_meanwhile() {
    let scene = Scene::new();
    let alice = &scene.alice;
    let _agent = alice.agent(&[]);
    let event_type = format!("m.secret_storage.key.{}", alice.default_key());
    let mut weakened = scene.stored(&event_type);
    weakened["algorithm"] = json!("m.secret_storage.v1.aes-hmac-sha2.weak");
    let mut looks = 0;
    scene.proxy.lie(move |request| {
        if !request.is_sync() || !request.first_line().contains("timeout=0") {
            return Turn::Honest;
        }
        looks += 1;
        if looks == 1 {
            return Turn::Honest;
        }
        let (event_type, weakened) = (event_type.clone(), weakened.clone());
        Turn::Altered(Box::new(move |answer| {
            answer.with_json(|sync| replace(sync, &event_type, Some(weakened)))
        }))
    });
    let unlock = alice.unlock("key").run();
    unlock.fails(5).says("another algorithm");
}

// shows: KEY-06, STO-07
#[test]
fn nothing_is_shared_of_an_account_that_went_back() {
    let liar = Liar::new();
    let mut phone = liar.phone();
    let _agent = liar.agent(&[(BACKUP, "allow")]);
    liar.laptop.unlock("key").run().succeeds();
    liar.is_answered(&mut phone, "honest");
    let sent = liar.sent().len();
    liar.play("other-check-data-and-iv");
    let laptop = liar.to_laptop(&phone);
    phone.ask(&laptop, "dishonest", BACKUP);
    liar.settle(&mut phone);
    assert_eq!(liar.sent().len(), sent);
    liar.be_honest();
}
