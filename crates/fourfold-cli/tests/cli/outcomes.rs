//! Why a secret does not open: every reason has its own words and its exit code.

use fourfold::passphrase::{Bounds, Passphrase};
use fourfold::plan::{self, WritingKey};
use fourfold::{KeyId, NewKey, PublishedKeys, Secret, SecretName, SecretStorage, SecretStorageKey};
use serde_json::{Value, json};

use crate::account_data::{Made, description_of, recovery_key, rng};
use crate::invocation::{Folder, Outcome, fourfold};

const NAME: &str = "org.example.wallet";
const SECRET: &str = "four folds of paper";
const PASSPHRASE: &str = "seven lanterns under the old bridge";

/// `get NAME` from an account, with this as the recovery key on standard input.
fn get(made: &Made, recovery_key: &str) -> Outcome {
    get_with(made, &["--recovery-key-file", "-"], recovery_key)
}

fn get_with(made: &Made, arguments: &[&str], stdin: &str) -> Outcome {
    let folder = Folder::new();
    let snapshot = made.write(&folder);
    fourfold(["get", NAME, "--snapshot", &snapshot])
        .arguments(arguments.iter().copied())
        .stdin(stdin)
        .run()
}

fn account() -> (Made, NewKey) {
    let (mut made, key) = Made::with_key();
    made.store(NAME, SECRET, &[&key]);
    (made, key)
}

#[test]
fn no_such_secret() {
    let (made, key) = Made::with_key();
    get(&made, &recovery_key(&key))
        .fails(1)
        .says("fourfold: error: there is no secret org.example.wallet\n")
        .says("fourfold: hint: fourfold ls lists the names\n");
}

#[test]
fn a_deleted_secret() {
    for content in [json!({}), json!({"encrypted": {}})] {
        let (mut made, key) = account();
        made.put(NAME, &content);
        get(&made, &recovery_key(&key))
            .fails(1)
            .says("there is no secret org.example.wallet (it was deleted)\n");
    }
}

#[test]
fn something_that_is_not_a_secret() {
    let (mut made, key) = account();
    made.put(NAME, &json!({"enabled": true}));
    get(&made, &recovery_key(&key))
        .fails(1)
        .says("the account data org.example.wallet is not a secret\n");
}

#[test]
fn nothing_is_asked_for_when_there_is_nothing_to_open() {
    let (made, _) = Made::with_key();
    // Without a key and without a terminal: the missing key would be exit code 2.
    get_with(&made, &[], "").fails(1);
}

#[test]
fn not_encrypted_under_this_key_but_under_others_which_are_named() {
    let (mut made, default) = Made::with_key();
    let other = made.other_key();
    made.store(NAME, SECRET, &[&other]);
    get(&made, &recovery_key(&default)).fails(1).says(&format!(
        "org.example.wallet is not encrypted under this key, {} (the default key), but under {}\n",
        default.key().id(),
        other.key().id(),
    ));
    assert_eq!(get(&made, &recovery_key(&other)).succeeds(), SECRET);
}

#[test]
fn a_wrong_key() {
    let (made, key) = account();
    let stranger = Made::with_key().1;
    let outcome = get(&made, &recovery_key(&stranger));
    outcome.fails(3).says(&format!(
        "this is not the recovery key of the key {}\n",
        key.key().id()
    ));
}

#[test]
fn a_key_of_an_unknown_algorithm() {
    let (mut made, key) = account();
    made.edit(&description_of(&key), |content| {
        content["algorithm"] = json!("org.example.new");
    });
    let id = key.key().id().as_str();
    let words = format!("the key {id} uses an unknown algorithm\n");
    for arguments in [
        &["--recovery-key-file", "-"][..],
        &["--recovery-key-file", "-", "--key", id],
    ] {
        let outcome = get_with(&made, arguments, &recovery_key(&key));
        outcome.fails(1).says(&words).says("fourfold key ls");
    }
}

// shows: KEY-10
#[test]
fn a_typing_error_is_located() {
    let (made, key) = account();
    let right = recovery_key(&key);
    let typed = |from: usize, text: &str| format!("{}{text}{}", &right[..from], &right[from + 1..]);

    get(&made, &typed(7, "0"))
        .fails(3)
        .says("character 7 (group 2) is '0'")
        .says("small o?");
    get(&made, &typed(40, "I"))
        .fails(3)
        .says("character 33 (group 9) is 'I'");
    get(&made, &right[5..])
        .fails(3)
        .says("this one has 44; one group is missing");
    let swapped = if &right[40..41] == "2" { "3" } else { "2" };
    get(&made, &typed(40, swapped))
        .fails(3)
        .says("the recovery key contains a typing error")
        .is_silent_about(&right[10..20]);
    get(&made, "").fails(3).says("the recovery key is empty");
    get(&made, &"x".repeat(100_000))
        .fails(3)
        .is_silent_about("xxxx");
}

#[test]
fn a_recovery_key_may_be_pasted_from_anywhere() {
    let (made, key) = account();
    let right = recovery_key(&key);
    for pasted in [
        right.replace(' ', ""),
        right.replace(' ', "\r\n"),
        right.replace(' ', "\u{a0}"),
        right.replace(' ', "\t"),
        right.replace(' ', "\u{2003}\u{200b}"),
        format!("\u{feff}{right}\r\n\r\n"),
        format!("  {right}  "),
    ] {
        assert_eq!(get(&made, &pasted).succeeds(), SECRET, "{pasted:?}");
    }
    // Upper and lower case differ.
    get(&made, &right.to_lowercase()).fails(3);
}

#[test]
fn a_question_for_a_passphrase_is_only_put_when_there_is_one() {
    let mut made = Made::default();
    let key = made.key_of_passphrase(PASSPHRASE);
    made.store(NAME, SECRET, &[&key]);
    let asking = "cannot ask for the recovery key or passphrase: there is no terminal";
    get_with(&made, &[], "").fails(2).says(asking);
    let asking = "cannot ask for the recovery key: there is no terminal";
    get_with(&account().0, &[], "").fails(2).says(asking);
}

// shows: KEY-13
#[test]
fn exactly_one_line_ending_is_taken_off_a_passphrase() {
    let mut made = Made::default();
    let key = made.key_of_passphrase(PASSPHRASE);
    made.store(NAME, SECRET, &[&key]);
    let get = |text: &str| get_with(&made, &["--passphrase-file", "-"], text);
    for right in ["", "\n", "\r\n"] {
        assert_eq!(
            get(&format!("{PASSPHRASE}{right}")).succeeds(),
            SECRET,
            "{right:?}"
        );
    }
    for wrong in ["\n\n", " ", " \n", "\r", "\n\r"] {
        get(&format!("{PASSPHRASE}{wrong}"))
            .fails(3)
            .says("this is not the passphrase of the key");
    }
}

// shows: KEY-13
#[test]
fn composed_and_decomposed_letters_are_different_passphrases() {
    let mut made = Made::default();
    let key = made.key_of_passphrase("caf\u{e9} at the corner of the street");
    made.store(NAME, SECRET, &[&key]);
    let arguments = ["--passphrase-file", "-"];
    get_with(&made, &arguments, "caf\u{e9} at the corner of the street").succeeds();
    get_with(&made, &arguments, "cafe\u{301} at the corner of the street").fails(3);
}

// shows: KEY-05, KEY-07
#[test]
fn a_derivation_that_the_server_made_cheap_is_refused() {
    let mut made = Made::default();
    let key = made.key_of_passphrase(PASSPHRASE);
    made.store(NAME, SECRET, &[&key]);
    made.edit(&description_of(&key), |description| {
        description["passphrase"]["iterations"] = json!(1);
        description.as_object_mut().unwrap().remove("mac");
    });
    let file = ["--passphrase-file", "-"];
    get_with(&made, &file, PASSPHRASE)
        .fails(6)
        .says("asks for only 1 iterations")
        .says("--allow-weak-kdf");
    // What was really encrypted under such a key can be read when the user insists.
    let weak = weak_account();
    let opened = get_with(
        &weak,
        &["--passphrase-file", "-", "--allow-weak-kdf"],
        PASSPHRASE,
    );
    assert_eq!(opened.succeeds(), SECRET);
    get_with(&weak, &file, PASSPHRASE).fails(6);
}

/// An account whose key some client derived with 1000 iterations.
fn weak_account() -> Made {
    let mut made = Made::default();
    made.put("m.secret_storage.default_key", &json!({"key": "weak"}));
    made.put(
        "m.secret_storage.key.weak",
        &json!({
            "algorithm": "m.secret_storage.v1.aes-hmac-sha2",
            "iv": "AAECAwQFBgcICQoLDA0ODw",
            "mac": "xFzSYKhR6pxFN1dsT2AjWfnQRRweIfPgP135XYrAB4A",
            "passphrase": {
                "algorithm": "m.pbkdf2",
                "iterations": 1000,
                "salt": "0123456789abcdef"
            }
        }),
    );
    let storage = SecretStorage::new(&made.account_data);
    let description = storage.key(&KeyId::new("weak").unwrap()).unwrap();
    let passphrase = Passphrase::new(PASSPHRASE);
    let weak = SecretStorageKey::from_passphrase(
        &description,
        &passphrase,
        &mut Bounds::allow_weak().budget(),
    );
    // Its recovery key may write.
    let recovery_key = weak.unwrap().expose_recovery_key();
    let key = SecretStorageKey::from_recovery_key(&description, &recovery_key).unwrap();
    let proven = storage.prove(key).unwrap();
    let (name, secret) = (SecretName::new(NAME).unwrap(), Secret::new(SECRET));
    let (keys, published_keys) = ([WritingKey::Proven(&proven)], PublishedKeys::default());
    plan::store(&storage, &name, &secret, &keys, &published_keys, &mut rng())
        .unwrap()
        .apply_to(&mut made.account_data);
    made
}

// shows: KEY-04
#[test]
fn a_recovery_key_is_never_taken_for_a_passphrase() {
    // The server offers a passphrase and no check data: the bait for KDF'ing what is typed.
    let mut made = Made::default();
    let key = made.key_of_passphrase(PASSPHRASE);
    made.store(NAME, SECRET, &[&key]);
    made.edit(&description_of(&key), |description| {
        let description = description.as_object_mut().unwrap();
        description.remove("mac");
        description.remove("iv");
    });
    let typed = recovery_key(&key);
    let outcome = get_with(&made, &["--passphrase-file", "-"], &typed);
    assert_eq!(outcome.succeeds(), SECRET);
}

#[test]
fn a_damaged_entry_under_the_right_key() {
    let (mut made, key) = account();
    let id = key.key().id().as_str();
    made.edit(NAME, |content| {
        content["encrypted"][id]["ciphertext"] = json!("AAAAAAAAAAAAAAAA");
    });
    get(&made, &recovery_key(&key)).fails(7).says(&format!(
        "the key {id} (the default key) is right, but org.example.wallet is damaged"
    ));
}

#[test]
fn damaged_account_data() {
    let (mut made, key) = account();
    made.put(NAME, &json!({"encrypted": "yes"}));
    get(&made, &recovery_key(&key))
        .fails(7)
        .says("damaged \"encrypted\"");
    let (mut made, key) = account();
    made.edit(NAME, |content| {
        content["encrypted"][key.key().id().as_str()] = json!({"ciphertext": 7});
    });
    get(&made, &recovery_key(&key)).fails(7);
}

#[test]
fn a_snapshot_that_is_none() {
    let folder = Folder::new();
    let file = folder.write("snapshot.json", "<html>");
    fourfold(["get", NAME, "--snapshot", &file])
        .run()
        .fails(7)
        .says("is not a snapshot");
    let missing = folder.name_of("missing");
    fourfold(["ls", "--snapshot", &missing])
        .run()
        .fails(2)
        .says(&missing);
}

// shows: LIB-09
#[test]
fn a_secret_that_belongs_to_another_published_key() {
    let (mut made, key) = Made::with_key();
    let secret = fourfold::base64::encode([7; 32]);
    made.store("m.megolm_backup.v1", &secret, &[&key]);
    made.backup_version = Some(json!({
        "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
        "auth_data": {"public_key": "mNHygT1U3pbynaQA9NmvD2HL6L6/XsyGhglYV5sbNlA"},
        "version": "2"
    }));
    let own = fourfold::backup::BackupKey::read(&Secret::new(secret.as_str())).unwrap();
    let public_key = own.public_key();
    let folder = Folder::new();
    let snapshot = made.write(&folder);
    let outcome = fourfold(["get", "m.megolm_backup.v1", "--snapshot", &snapshot])
        .arguments(["--recovery-key-file", "-"])
        .stdin(recovery_key(&key))
        .run();
    // It opens the version that it belongs to, and is the user's: both public keys are told.
    assert_eq!(outcome.succeeds(), secret);
    outcome
        .says("warning: this is the private key of another version of the key backup")
        .says("mNHygT1U3pbynaQA9NmvD2HL6L6/XsyGhglYV5sbNlA")
        .says(&public_key);
}

#[test]
fn a_key_whose_description_is_gone_still_opens() {
    let (mut made, key) = account();
    let id = key.key().id().as_str().to_owned();
    made.put(&description_of(&key), &json!({}));
    let text = recovery_key(&key);
    assert_eq!(get(&made, &text).succeeds(), SECRET);
    let chosen = get_with(&made, &["--recovery-key-file", "-", "--key", &id], &text);
    assert_eq!(chosen.succeeds(), SECRET);
    let other = made.default_key();
    let not_chosen = [
        "--recovery-key-file",
        "-",
        "--key",
        other.key().id().as_str(),
    ];
    get_with(&made, &not_chosen, &text).fails(3);
}

#[test]
fn only_the_chosen_key_is_used() {
    let (mut made, key) = account();
    let other = made.other_key();
    made.store(NAME, SECRET, &[&key, &other]);
    let with = |id: &str, offered: &NewKey| {
        let arguments = ["--recovery-key-file", "-", "--key", id];
        get_with(&made, &arguments, &recovery_key(offered))
    };
    assert_eq!(with(other.key().id().as_str(), &other).succeeds(), SECRET);
    with(key.key().id().as_str(), &other).fails(3);
    with("nosuchkey", &key).fails(1).says("nosuchkey");
}

#[test]
fn errors_can_be_read_by_programs() {
    let (made, _) = account();
    let stranger = Made::with_key().1;
    let arguments = ["--recovery-key-file", "-", "--json"];
    let outcome = get_with(&made, &arguments, &recovery_key(&stranger));
    let error: Value = serde_json::from_str(&outcome.fails(3).stderr).unwrap();
    assert_eq!(error["error"], "wrong_key");
    assert_eq!(error["exit_code"], 3);
    assert!(error["message"].is_string() && error["hint"].is_string());
}

// shows: LIB-19, CL-07
#[test]
fn names_that_others_chose_cannot_command_the_terminal() {
    let (mut made, key) = account();
    made.edit(&description_of(&key), |description| {
        description["name"] = json!("\u{1b}]0;owned\u{7}\u{202e}x\r\n");
    });
    made.put(
        "org.example.\u{202e}reversed",
        &json!({"encrypted": {"\u{200b}": {}}}),
    );
    let folder = Folder::new();
    let snapshot = made.write(&folder);
    for command in [
        ["status"].as_slice(),
        &["ls"],
        &["ls", "-l"],
        &["key", "ls"],
    ] {
        let outcome = fourfold(command).arguments(["--snapshot", &snapshot]).run();
        let shown = outcome.succeeds() + &outcome.stderr;
        assert!(
            !shown.contains(['\u{1b}', '\u{7}', '\r', '\u{202e}', '\u{200b}']),
            "{shown:?}"
        );
    }
    let opened = get(&made, &recovery_key(&key));
    assert!(
        !opened.stderr.contains(['\u{1b}', '\u{202e}']),
        "{:?}",
        opened.stderr
    );
    let odd = fourfold(["get", "org.example.\u{202e}x", "--snapshot", &snapshot]).run();
    assert!(!odd.fails(1).stderr.contains('\u{202e}'));
}
