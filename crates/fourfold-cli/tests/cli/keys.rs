//! Looking after keys: nothing readable is lost, whatever is asked for.

use fourfold::algorithm::curve25519_aes_sha2::MacMode;
use fourfold::plan::{self, WritingKey};
use fourfold::signed_json::SigningKey;
use fourfold::{NewKey, PublishedKeys, Secret, SecretName, SecretStorage, TrustedPublicKey};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::account_data::{Made, recovery_key, rng};
use crate::homeserver::{Homeserver, Person};
use crate::invocation::Outcome;

const NAME: &str = "org.example.wallet";
const SECRET: &str = "four folds of paper";

/// Alice with two keys, `first` being the default, and a secret under that.
fn alice(server: &Homeserver) -> (Person, String, String) {
    let alice = server.person("alice");
    alice.set_up("first");
    let first = alice.default_key();
    let second = alice.new_key("second");
    alice.put(NAME, SECRET, "first").run().succeeds();
    (alice, first, second)
}

/// The IDs of the keys that a secret is encrypted under.
fn keys_of(alice: &Person, name: &str) -> Vec<String> {
    let listed = alice.call(&["ls", "--json"]).run().json();
    let listed = listed.as_array().unwrap().clone();
    let secret = listed
        .into_iter()
        .find(|secret| secret["name"] == name)
        .unwrap();
    serde_json::from_value(secret["key_ids"].clone()).unwrap()
}

#[track_caller]
fn refuses(server: &Homeserver, code: i32, call: impl FnOnce() -> Outcome) -> Outcome {
    let before = server.other_client("alice").everything();
    let outcome = call();
    outcome.fails(code);
    assert_eq!(server.other_client("alice").everything(), before);
    outcome
}

#[test]
fn another_key_opens_nothing_until_it_is_granted() {
    let server = Homeserver::start();
    let (alice, first, second) = alice(&server);
    assert_eq!(alice.default_key(), first);
    alice
        .get(NAME, "second")
        .run()
        .fails(1)
        .says("is not encrypted under this key");
    alice
        .change(&["key", "grant", &second], &["first", "second"])
        .run()
        .succeeds();
    assert_eq!(alice.get(NAME, "second").run().succeeds(), SECRET);
    assert_eq!(keys_of(&alice, NAME).len(), 2);
    alice
        .change(&["key", "revoke", &first, NAME], &["second"])
        .run()
        .succeeds();
    assert_eq!(keys_of(&alice, NAME), [second]);
    alice.get(NAME, "first").run().fails(1);
}

#[test]
fn grant_needs_both_keys() {
    let server = Homeserver::start();
    let (alice, _, second) = alice(&server);
    let grant = |keys: &[&str]| alice.change(&["key", "grant", &second, NAME], keys).run();
    refuses(&server, 3, || grant(&["first"])).says("two keys are needed");
    refuses(&server, 3, || grant(&["second"]));
    alice
        .folder
        .write("stranger", recovery_key(&Made::with_key().1));
    refuses(&server, 3, || grant(&["first", "stranger"])).says("fits none of the 2 keys");
    refuses(&server, 2, || grant(&[])).says("cannot ask for the recovery key");
    let unknown = ["key", "grant", &second, "org.example.unknown"];
    refuses(&server, 1, || {
        alice.change(&unknown, &["first", "second"]).run()
    });
    // The stranger may be that of another client's key.
    let described = r#"{"algorithm":"org.example.new"}"#;
    let other_client = server.other_client("alice");
    other_client.put("m.secret_storage.key.new", described);
    refuses(&server, 1, || grant(&["first", "stranger"]))
        .says("the key new uses an unknown algorithm");
}

#[test]
fn the_last_copy_is_never_taken_away() {
    let server = Homeserver::start();
    let (alice, first, second) = alice(&server);
    let revoke = ["key", "revoke", &first, NAME];
    refuses(&server, 1, || alice.change(&revoke, &["second"]).run())
        .says("the secret would become unreadable");
    refuses(&server, 3, || alice.change(&revoke, &["first"]).run());
    let nothing = ["key", "revoke", &second, NAME];
    refuses(&server, 1, || alice.change(&nothing, &["first"]).run())
        .says("is not encrypted under this key");
    // Nor with the key: it holds what no other key opens.
    alice
        .change(&["key", "default", &second], &["second"])
        .run()
        .succeeds();
    let remove = ["key", "rm", &first];
    refuses(&server, 1, || alice.change(&remove, &["second"]).run())
        .says("these secrets would become unreadable: org.example.wallet")
        .says("fourfold key grant");
    alice
        .change(&["key", "grant", &second], &["first", "second"])
        .run()
        .succeeds();
    alice.change(&remove, &["second"]).run().succeeds();
    assert_eq!(keys_of(&alice, NAME), [second]);
    assert_eq!(alice.get(NAME, "second").run().succeeds(), SECRET);
}

#[test]
fn the_default_key_is_not_removed() {
    let server = Homeserver::start();
    let (alice, first, second) = alice(&server);
    // No key is asked for in vain: without a terminal, asking would be exit code 2.
    let remove = ["key", "rm", &first, "--yes"];
    refuses(&server, 1, || alice.call(&remove).run())
        .says("this is the default key")
        .says("fourfold key rotate");
    refuses(&server, 1, || {
        alice.call(&["key", "rm", "nosuchkey", "--yes"]).run()
    })
    .says("there is no such key");
    // One that opens nothing goes without proof.
    alice
        .call(&["key", "rm", &second, "--yes"])
        .run()
        .succeeds();
    let keys = alice.call(&["key", "ls", "--json"]).run().json();
    assert_eq!(keys.as_array().unwrap().len(), 1);
}

#[test]
fn the_default_key_is_changed_to_a_proven_one_only() {
    let server = Homeserver::start();
    let (alice, first, second) = alice(&server);
    let change = ["key", "default", &second];
    refuses(&server, 3, || alice.change(&change, &["first"]).run())
        .says("this is not the recovery key of the key");
    refuses(&server, 1, || {
        alice
            .change(&["key", "default", "nosuchkey"], &["first"])
            .run()
    });
    let changed = alice.change(&change, &["second"]).run();
    changed.succeeds();
    changed.says(&format!(
        "org.example.wallet is not encrypted under {}\u{2026}",
        &second[..8]
    ));
    assert_eq!(alice.default_key(), second);
    let status = alice.call(&["status"]).run().succeeds();
    assert!(
        status.contains(&format!("{}; not the default key", &first[..8])),
        "{status}"
    );
}

#[test]
fn put_encrypts_under_several_keys() {
    let server = Homeserver::start();
    let (alice, first, second) = alice(&server);
    let put = ["put", NAME, "-", "--under", &first, "--under", &second];
    let both = alice.change(&put, &["first", "second"]).stdin("for both");
    both.run().succeeds();
    assert_eq!(alice.get(NAME, "first").run().succeeds(), "for both");
    assert_eq!(alice.get(NAME, "second").run().succeeds(), "for both");
    refuses(&server, 2, || {
        alice.change(&put, &["first"]).stdin("x").run()
    })
    .says(&format!("the key {second} is missing"));
    // Who is left out keeps no old value.
    let one = alice.put(NAME, "for one", "first").run();
    one.succeeds();
    one.says(&format!("the key {second} loses access to {NAME}"));
    assert_eq!(keys_of(&alice, NAME), [first]);
}

#[test]
fn rotation_moves_every_secret() {
    let server = Homeserver::start();
    let (alice, first, _) = alice(&server);
    alice
        .put("org.example.more", "more", "first")
        .run()
        .succeeds();
    let new = alice.folder.name_of("new");
    let rotate = ["key", "rotate", "--json", "--recovery-key-out", &new];
    refuses(&server, 3, || alice.change(&rotate, &["second"]).run());
    assert!(!alice.folder.join("new").exists());
    let rotated = alice.change(&rotate, &["first"]).run().json();
    assert_eq!(rotated["old_key_id"], first);
    assert_eq!(rotated["key_id"], alice.default_key());
    assert_eq!(alice.get(NAME, "new").run().succeeds(), SECRET);
    assert_eq!(
        alice.get("org.example.more", "new").run().succeeds(),
        "more"
    );
    alice.get(NAME, "first").run().fails(3);
    let ids = alice.call(&["key", "ls"]).run().succeeds();
    assert!(!ids.contains(&first));
}

#[test]
fn a_passphrase_opens_a_new_key_too() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    let key = alice.folder.name_of("key");
    let setup = |passphrase: &str, more: &[&str]| {
        alice
            .call(&[
                "setup",
                "--storage-only",
                "--yes",
                "--recovery-key-out",
                &key,
            ])
            .arguments(["--new-passphrase-file", "-"])
            .arguments(more.iter().copied())
            .stdin(passphrase)
            .run()
    };
    for weak in [
        "",
        "password",
        "Tr0ub4dor",
        "aaaaaaaaaaaaaaaaaaaaaaaa",
        "\u{1f511}",
    ] {
        refuses(&server, 6, || setup(weak, &[])).says("too easy to guess");
        assert!(!alice.folder.join("key").exists());
    }
    refuses(&server, 6, || setup(&"ab".repeat(5000), &[]));
    setup("seven lanterns under the old bridge\n", &[]).succeeds();
    alice.put(NAME, SECRET, "key").run().succeeds();
    let get = |passphrase: &str| {
        let get = alice.call(&["get", NAME, "--passphrase-file", "-"]);
        get.stdin(passphrase).run()
    };
    assert_eq!(
        get("seven lanterns under the old bridge\r\n").succeeds(),
        SECRET
    );
    get("seven lanterns under the old bridge ").fails(3);
    // The user may insist on a weak one.
    let other = alice.folder.name_of("other");
    let insisting = alice
        .call(&["key", "new", "--yes", "--recovery-key-out", &other])
        .arguments(["--new-passphrase-file", "-", "--allow-weak-passphrase"])
        .stdin("password")
        .run();
    insisting.succeeds();
    insisting.says("fourfold: warning: the passphrase is easy to guess");
}

#[test]
fn an_account_of_2019_is_migrated() {
    let server = Homeserver::start();
    let (alice, old) = person_of_2019(&server);
    let secrets = [
        ("org.example.libolm", SECRET.to_owned()),
        ("org.example.spec", SECRET.to_owned()),
        ("m.megolm_backup.v1", fourfold::base64::encode([9; 32])),
    ];
    for (name, secret) in &secrets[..2] {
        let opened = alice.get(name, "old").run();
        assert_eq!(&opened.succeeds(), secret);
        opened.says("anyone who knows the public key of that key may have written this");
    }
    // Today's commands do not write with such a key unless told to.
    refuses(&server, 6, || {
        let id = old.key().id().as_str().to_owned();
        let put = alice.change(&["put", NAME, "-", "--key", &id], &["old"]);
        put.stdin(SECRET).run()
    })
    .says("fourfold key migrate, or --profile-2019");

    alice
        .folder
        .write("stranger", recovery_key(&Made::with_key().1));
    let new = alice.folder.name_of("new");
    let migrate = ["key", "migrate", "--recovery-key-out", &new];
    refuses(&server, 3, || alice.change(&migrate, &["stranger"]).run());
    alice.change(&migrate, &["old"]).run().succeeds();
    for (name, secret) in &secrets {
        let opened = alice.get(name, "new").run();
        assert_eq!(&opened.succeeds(), secret, "{name}");
        opened.is_silent_about("anyone");
    }
    let keys = alice.call(&["key", "ls", "--json"]).run().json();
    assert_eq!(keys.as_array().unwrap().len(), 1);
    assert_eq!(keys[0]["algorithm"], "m.secret_storage.v1.aes-hmac-sha2");
    assert_eq!(keys[0]["is_default"], true);
    refuses(&server, 1, || {
        alice.change(&["key", "migrate"], &["new"]).run()
    })
    .says("there is no key of the 2019 algorithm");
}

// The warnings of a plan are about what is there, whether or not there is something left to do.
#[test]
fn what_there_is_to_know_is_said_when_there_is_nothing_to_change_too() {
    let server = Homeserver::start();
    let (alice, _) = person_of_2019(&server);
    let second = alice.new_key("second");
    let grant = ["key", "grant", &second, "org.example.spec"];
    let grant = || alice.change(&grant, &["old", "second"]);
    let words = "org.example.spec could have been written by anybody";
    grant().run().says("plan: ").says(words).succeeds();
    let told = grant().run();
    told.says("there is nothing to change").says(words);
    told.succeeds();
    let answer = grant().arguments(["--json"]).run().json();
    assert_eq!(answer["changed"], false);
    assert!(answer["warnings"][0].as_str().unwrap().starts_with(words));
}

#[test]
fn a_passthrough_entry_of_2019_is_the_key_itself_and_only_for_the_backup() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    let other = server.other_client("alice");
    let (old, data) = account_of_2019();
    let description = old.key().id().event_type();
    other.put(&description, data.account_data.raw(&description).unwrap());
    let entry = json!({"encrypted": {old.key().id().as_str(): {"passthrough": true}}});
    other.put("m.megolm_backup.v1", &entry.to_string());
    other.put(NAME, &entry.to_string());
    alice.folder.write("old", recovery_key(&old));
    alice.get(NAME, "old").run().fails(7);
    // No published backup has that key: the homeserver may want it to be given away.
    let get = || alice.get("m.megolm_backup.v1", "old");
    get()
        .run()
        .fails(5)
        .says("it is the key of secret storage itself");
    let bytes = fourfold::recovery_key::decode(&recovery_key(&old)).unwrap();
    let value = fourfold::base64::encode(*bytes);
    let accepted = get().arguments(["--accept-changes"]).run();
    assert_eq!(accepted.succeeds(), value);

    let new = alice.folder.name_of("new");
    let migrate = ["key", "migrate", "--recovery-key-out", &new];
    let migrated = alice.change(&migrate, &["old"]).run();
    migrated.succeeds();
    migrated
        .says(&format!("{NAME} under {} is not changed", old.key().id()))
        .says("m.megolm_backup.v1 under");
    alice.get("m.megolm_backup.v1", "new").run().fails(1);

    // With the backup that has it published, it is what it says.
    let derived =
        PublishedKeys::default().judge(&SecretName::backup_key(), &Secret::new(value.as_str()));
    let Ok(fourfold::Verdict::NothingToCompare { derived }) = derived else {
        panic!("{derived:?}");
    };
    let (old_id, description) = (old.key().id().event_type(), old.description().content());
    let account: Value = json!({
        "user_id": "@old:localhost",
        "account_data": {
            "m.megolm_backup.v1": entry,
            old_id: serde_json::from_str::<Value>(&description.to_json()).unwrap(),
        },
        "backup_version": {
            "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
            "auth_data": {"public_key": derived},
            "version": "1",
        },
    });
    let file = alice.folder.write("account.json", account.to_string());
    let got = get()
        .arguments(["--json", "--snapshot", &file])
        .run()
        .json();
    assert_eq!(got["secret"], value);
    assert_eq!(got["vouched_by"], "published_key");
}

/// Alice, whose account is one of 2019, with its key in the file `old`.
fn person_of_2019(server: &Homeserver) -> (Person, NewKey) {
    let alice = server.person("alice");
    let other = server.other_client("alice");
    let (old, data) = account_of_2019();
    for event_type in data.account_data.event_types() {
        other.put(event_type, data.account_data.raw(event_type).unwrap());
    }
    alice.folder.write("old", recovery_key(&old));
    (alice, old)
}

/// What clients of 2019 left behind: both ways to compute the MAC, and the key of a backup as bytes
/// with commas.
pub(crate) fn account_of_2019() -> (NewKey, Made) {
    let mut made = Made::default();
    let master = SigningKey::from_seed(&Zeroizing::new([1; 32]));
    let user_id = "@alice:localhost";
    let key = NewKey::random_2019("m.default", user_id, &master, &mut rng()).unwrap();
    plan::create_key_2019(
        &SecretStorage::new(&made.account_data),
        &key,
        user_id,
        &master,
    )
    .unwrap()
    .apply_to(&mut made.account_data);
    let recipient = TrustedPublicKey::from_proven_key(key.key()).unwrap();
    let bytes: Vec<String> = [9_u8; 32].iter().map(ToString::to_string).collect();
    for (name, secret, mac_mode) in [
        ("org.example.libolm", SECRET, MacMode::Libolm),
        ("org.example.spec", SECRET, MacMode::Spec),
        ("org.example.backup", &bytes.join(","), MacMode::Libolm),
    ] {
        let keys = [WritingKey::Profile2019 {
            recipient: &recipient,
            mac_mode,
        }];
        let storage = SecretStorage::new(&made.account_data);
        let (name, secret) = (SecretName::new(name).unwrap(), Secret::new(secret));
        plan::store(
            &storage,
            &name,
            &secret,
            &keys,
            &PublishedKeys::default(),
            &mut rng(),
        )
        .unwrap()
        .apply_to(&mut made.account_data);
    }
    // The name of the backup's key would have been normalised when it was stored.
    let backup: Value = made.content("org.example.backup");
    made.put("m.megolm_backup.v1", &backup);
    made.account_data.remove("org.example.backup");
    (key, made)
}
