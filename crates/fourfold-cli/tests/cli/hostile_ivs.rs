//! A homeserver that changes IVs, which no MAC covers.

use fourfold::{Algorithm, Content, KeyId, SecretName, SecretStorageKey, base64};
use serde_json::{Value, json};

use crate::homeserver::Person;
use crate::hostile::{NAME, Scene};
use crate::invocation::Outcome;

/// Four characters, so that other ones come out of some other IV.
const SHORT: &str = "1234";

impl Scene {
    fn content(&self, name: &str) -> Value {
        let content = self.server.other_client("alice").content(name);
        serde_json::from_str(&content.unwrap()).unwrap()
    }

    /// The same with another member of the entry.
    fn with(&self, name: &str, member: &str, bytes: &[u8]) -> Value {
        let mut content = self.content(name);
        let entries = content["encrypted"].as_object_mut().unwrap();
        let entry = entries.values_mut().next().unwrap();
        entry[member] = json!(base64::encode(bytes));
        content
    }

    /// An IV that opens the secret to another text.
    fn other_text(&self, name: &str) -> Value {
        let recovery_key = self.alice.folder.read("key");
        let bytes = fourfold::recovery_key::decode(recovery_key.trim()).unwrap();
        let id = KeyId::new(self.alice.default_key()).unwrap();
        let key = SecretStorageKey::from_bytes(id.clone(), Algorithm::AesHmacSha2, bytes);
        let content = self.content(name);
        let entry = content["encrypted"][id.as_str()].clone();
        let secret_name = SecretName::new(name).unwrap();
        let found = (0_u32..1_000_000).find_map(|number| {
            let mut iv = [0; 16];
            iv[..4].copy_from_slice(&number.to_be_bytes());
            let mut entry = entry.clone();
            entry["iv"] = json!(base64::encode(iv));
            let entry = Content::from_json(&entry.to_string()).unwrap();
            key.open(&secret_name, &entry).is_ok().then_some(iv)
        });
        self.with(name, "iv", &found.unwrap())
    }

    /// A machine of hers that remembers nothing, and has the key.
    fn fresh_machine(&self) -> Person {
        let machine = Person::at(&self.proxy.address, "alice");
        machine.log_in().run().succeeds();
        machine.folder.write("key", self.alice.folder.read("key"));
        machine
    }
}

// shows: LIB-10
#[test]
fn what_vouches_for_a_secret_is_told() {
    let scene = Scene::new();
    scene.alice.put(NAME, SHORT, "key").run().succeeds();
    let vouched = |machine: &Person| {
        let got = machine.get(NAME, "key").arguments(["--json"]).run().json();
        (
            got["vouched_by"].clone(),
            got["is_iv_authenticated"].clone(),
        )
    };
    assert_eq!(vouched(&scene.alice), (json!("written_here"), json!(true)));
    let phone = scene.fresh_machine();
    let first = phone.get(NAME, "key").run();
    first.says("only its MAC vouches for it").succeeds();
    assert_eq!(vouched(&phone), (json!("opened_before"), json!(false)));

    // Where nothing is remembered, a changed IV goes through, and is not called authentic.
    let changed = scene.other_text(NAME);
    scene.show(NAME, Some(changed));
    let garbled = scene.fresh_machine();
    assert_eq!(vouched(&garbled), (json!("mac_only"), json!(false)));
    // Where the entry is remembered, written or opened or merely seen, it does not.
    for machine in [&scene.alice, &phone] {
        let get = machine.get(NAME, "key").run();
        get.fails(5).says("has a different IV than before");
        machine.put(NAME, "new", "key").run().fails(5);
        let accepted = machine.get(NAME, "key").arguments(["--accept-changes"]);
        assert_ne!(accepted.run().succeeds(), SHORT);
        machine.get(NAME, "key").run().succeeds();
    }
}

// shows: LIB-10
#[test]
fn the_agent_tells_what_vouches_for_a_secret() {
    let scene = Scene::new();
    scene.alice.put(NAME, SHORT, "key").run().succeeds();
    let phone = scene.fresh_machine();
    let changed = scene.other_text(NAME);
    for (machine, expected) in [(&scene.alice, "written_here"), (&phone, "mac_only")] {
        scene.proxy.be_honest();
        let _agent = machine.agent(&[]);
        machine.unlock("key").run().succeeds();
        let got = machine.call(&["get", NAME, "--json"]).run().json();
        assert_eq!(got["vouched_by"], expected);
        scene.show(NAME, Some(changed.clone()));
        let get = machine.call(&["get", NAME]).run();
        get.fails(5).says("has a different IV than before");
    }
}

// shows: LIB-12
#[test]
fn a_bad_mac_and_garbage_under_a_good_one_look_the_same_to_the_homeserver() {
    let scene = Scene::new();
    let backup = "m.megolm_backup.v1";
    let value = base64::encode([7; 32]);
    scene.alice.put(backup, &value, "key").run().succeeds();
    // What opens to bytes that are no text, or to a text that is not a key; and what does not open.
    let lies = [
        scene.with(backup, "iv", &[1; 16]),
        scene.with(backup, "mac", &[1; 32]),
    ];
    let asked = |call: &dyn Fn() -> Outcome| -> Vec<String> {
        let before = scene.proxy.asked().len();
        call();
        let asked = scene.proxy.asked().split_off(before);
        let path = |line: &String| line.split(['?', ' ']).take(2).collect::<Vec<_>>().join(" ");
        let mut asked: Vec<_> = asked.iter().map(path).collect();
        // What makes up a snapshot is asked for all at once.
        asked.sort();
        asked
    };
    let logs: Vec<_> = lies
        .iter()
        .map(|lie| {
            scene.show(backup, Some(lie.clone()));
            let machine = scene.fresh_machine();
            let get = asked(&|| {
                let outcome = machine.get(backup, "key").run();
                outcome.fails(7).is_silent_about(&value);
                outcome
            });
            let verify = asked(&|| {
                let key = machine.folder.name_of("key");
                let verify = ["device", "verify", "--recovery-key-file", &key];
                machine.call(&verify).run()
            });
            let _agent = machine.agent(&[]);
            machine.unlock("key").run().succeeds();
            let through_agent = asked(&|| {
                let outcome = machine.call(&["get", backup]).run();
                outcome.fails(7);
                outcome
            });
            scene.proxy.be_honest();
            (get, verify, through_agent)
        })
        .collect();
    assert!(!logs[0].0.is_empty());
    assert_eq!(logs[0], logs[1]);
}
