//! `backup check`: room keys as other clients upload them.

use vodozemac::Curve25519PublicKey;
use vodozemac::pk_encryption::PkEncryption;

use super::*;

const PLAINTEXT: &str = r#"{"algorithm":"m.megolm.v1.aes-sha2","session_key":"parrot","sender_key":"k","forwarding_curve25519_key_chain":[],"sender_claimed_keys":{}}"#;

/// Uploads room keys that are encrypted to this public key, as matrix-sdk does.
fn upload(account: &Account<'_>, version: &str, public_key: &str, room: &str, number: usize) {
    let key = Curve25519PublicKey::from_base64(public_key).unwrap();
    let encryption = PkEncryption::from_key(key);
    for session in 0..number {
        let message = encryption.encrypt(PLAINTEXT.as_bytes()).unwrap();
        let encode = |bytes: &[u8]| fourfold::base64::encode(bytes);
        let body = json!({
            "first_message_index": 0,
            "forwarded_count": 0,
            "is_verified": true,
            "session_data": {
                "ephemeral": message.ephemeral_key.to_base64(),
                "ciphertext": encode(&message.ciphertext),
                "mac": encode(&message.mac),
            },
        });
        let path = format!("room_keys/keys/{room}/s{session}?version={version}");
        let answer = account.other.call("PUT", &path, &body);
        assert!(answer["count"].is_u64(), "{answer}");
    }
}

#[test]
fn room_keys_of_other_clients_are_opened_and_never_shown() {
    let server = Homeserver::start();
    let account = Account::new(&server, "alice");
    account.backup(&["check"]).run().says("is empty").succeeds();
    let current = account.current();
    let public_key = current["auth_data"]["public_key"].as_str().unwrap();
    upload(&account, "1", public_key, "!a:x", 3);
    let told = account.backup(&["check", "--json", "-vvv"]).run();
    let answer = told.json();
    assert_eq!(
        (&answer["tried"], &answer["opened"]),
        (&json!(3), &json!(3))
    );
    assert_eq!(answer["reasons"], json!([]));
    told.is_silent_about("parrot");
    assert_eq!(account.status()["count"], 3);
    let answer = account
        .backup(&["check", "--json", "--sample", "2"])
        .run()
        .json();
    assert_eq!(answer["tried"], 2);
    account.backup(&["check", "--sample", "0"]).run().fails(2);

    // A device encrypted to another key.
    let other = NewKeyBackup::random(&mut rng());
    upload(&account, "1", &other.public_key(), "!b:x", 2);
    let told = account.backup(&["check", "--json"]).run();
    assert_eq!(told.status.code(), Some(7), "{}", told.stderr);
    let answer: Value = serde_json::from_str(&told.text()).unwrap();
    assert_eq!(
        (&answer["tried"], &answer["opened"]),
        (&json!(5), &json!(3))
    );
    assert_eq!(answer["reasons"][0]["times"], 2);
    let told = account.backup(&["check"]).run();
    told.fails(7)
        .says("3 of 5")
        .says("fourfold backup new")
        .is_silent_about("parrot");

    // The doctor looks too, when it has the key.
    let key = account.scene.alice.folder.name_of("key");
    let doctor = |arguments: &[&str]| {
        let told = sealed(&account.scene.alice, &["doctor", "--json"])
            .arguments(arguments.to_vec())
            .run();
        let report: Value = serde_json::from_str(&told.text()).unwrap();
        let findings = report["findings"].as_array().unwrap().clone();
        findings
            .into_iter()
            .find(|one| one["code"] == "backup-keys-do-not-open")
    };
    let found = doctor(&["--recovery-key-file", &key]).unwrap();
    assert_eq!(
        (&found["detail"]["tried"], &found["detail"]["opened"]),
        (&json!(5), &json!(3))
    );
    assert!(doctor(&[]).is_none());

    // What is lost with a version is said before it is deleted.
    let told = account.backup(&["rm", "--dry-run", "--in-use"]).run();
    told.says("5 room keys are deleted for good")
        .says("its private key is at hand");
    // A new version beside it, and the way back.
    account
        .backup(&["new", "--yes"])
        .run()
        .says("5 room keys")
        .succeeds();
    assert!(doctor(&["--recovery-key-file", &key]).is_none());
}
