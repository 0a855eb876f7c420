//! The identity and the devices of a user at the embedded server, without anybody in between.

use fourfold::signed_json::PublicKey;
use serde_json::json;

use crate::homeserver::{Homeserver, PASSWORD, Person};
use crate::key_endpoints::sealed;

fn device_id(person: &Person) -> String {
    let who = person.call(&["whoami", "--json"]).run().json();
    who["device_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_second_machine_is_verified_with_nothing_but_the_recovery_key() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    let key = alice.folder.name_of("key");
    let set_up = sealed(&alice, &["setup", "--yes", "--json"]);
    let done = set_up.arguments(["--recovery-key-out", &key]).run().json();
    assert_eq!(done["is_device_signed"], true);
    assert_eq!(done["missing"], json!([]));

    let machine = Person::at(&server.address, "alice");
    machine.log_in().run().succeeds();
    let verify = sealed(&machine, &["device", "verify", "--json"]);
    let verified = verify.arguments(["--recovery-key-file", &key]).run().json();
    assert_eq!(verified["is_signature_accepted"], true);
    assert_eq!(verified["is_device_signed"], true);
    assert_eq!(verified["pinned_master_key"], done["master_key"]);
    for person in [&alice, &machine] {
        let devices = person.call(&["device", "ls", "--json"]).run().json();
        let devices = devices.as_array().unwrap();
        assert_eq!(devices.len(), 2);
        for device in devices {
            assert_eq!(device["is_verified"], true, "{device}");
        }
    }
    let backup = alice.get("m.megolm_backup.v1", "key");
    let backup = backup.arguments(["--json"]).run().json();
    assert_eq!(backup["matches_published_key"], true);

    let password = alice.folder.write("password", PASSWORD);
    let id = device_id(&machine);
    let remove = sealed(&alice, &["device", "rm", &id, "--yes"]);
    remove
        .arguments(["--password-file", &password])
        .run()
        .succeeds();
    machine.call(&["whoami"]).run().fails(4);
}

#[test]
fn an_identity_is_replaced_with_the_password() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    let key = alice.folder.name_of("key");
    let set_up = |more: &[&str]| {
        let set_up = sealed(&alice, &["setup", "--yes", "--json"]);
        set_up.arguments(more.iter().copied()).run()
    };
    let first = set_up(&["--recovery-key-out", &key]).json();
    let wrong = alice.folder.write("wrong", "another password");
    let right = alice.folder.write("password", PASSWORD);
    let reset = |password: &str| {
        let key = ["--recovery-key-file", &key, "--reset-identity"];
        set_up(&[&key[..], &["--password-file", password]].concat())
    };
    assert_eq!(reset(&wrong).status.code(), Some(1));
    let second = reset(&right).json();
    assert_ne!(first["master_key"], second["master_key"]);
    // The backup stays, and the new identity vouches for it.
    assert_eq!(first["backup_version"], second["backup_version"]);
    let backup = server.other_client("alice").key_backup();
    let master = PublicKey::from_base64(second["master_key"].as_str().unwrap()).unwrap();
    master.verify(backup.auth_data(), &alice.user_id).unwrap();
    let again = set_up(&["--recovery-key-file", &key]).json();
    assert_eq!(again["master_key"], second["master_key"]);
    assert_eq!(again["changed"], false);
}
