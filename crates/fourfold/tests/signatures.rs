//! Whatever a server serves, the user's keys sign only what the user meant.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may fail loudly, also outside of test functions"
)]

use fourfold::cross_signing::{ConfirmedDevice, CrossSigningKeys};
use fourfold::identity::UserKeys;
use fourfold::plan::{self, Action};
use fourfold::rand_core::UnwrapErr;
use fourfold::signed_json::{PublicKey, SigningKey};
use fourfold::{
    AccountData, BackupVersion, Content, KeyDescription, KeyId, NewKey, PublishedIdentity,
    PublishedKeys, Secret, SecretName, SecretStorage, Verdict, base64,
};
use fourfold_hostile::Forger;
use getrandom::SysRng;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const USER: &str = "@alice:example.org";
const BACKUP: [u8; 32] = [7; 32];

/// The user's identity, and the key of a server that would like to be part of it.
struct Parties {
    identity: CrossSigningKeys,
    server: PublicKey,
}

impl Parties {
    fn new() -> Self {
        Self {
            identity: CrossSigningKeys::generate(&mut UnwrapErr(SysRng)),
            server: SigningKey::from_seed(&[66; 32].into()).public_key(),
        }
    }

    /// Every member by which an object could become something that it is not.
    fn lies(&self) -> Vec<(&'static str, Value)> {
        let key = self.server;
        vec![
            ("user_id", json!(USER)),
            ("usage", json!(["self_signing"])),
            ("usage", json!(["master", "self_signing"])),
            ("keys", json!({key.key_id(): key.to_base64()})),
            (
                "keys",
                json!({"ed25519:EVIL": key.to_base64(), "curve25519:EVIL": base64::encode([9; 32])}),
            ),
            ("device_id", json!("EVIL")),
            ("algorithms", json!(["m.olm.v1.curve25519-aes-sha2"])),
            (
                "algorithm",
                json!("m.secret_storage.v1.curve25519-aes-sha2"),
            ),
            ("pubkey", json!(base64::encode([9; 32]))),
            ("public_key", json!(base64::encode([9; 32]))),
            ("key", json!(base64::encode([9; 32]))),
            ("fallback", json!(true)),
            ("name", json!("m.default")),
            ("dehydrated", json!(false)),
            ("private_key_salt", json!("salt")),
            ("private_key_iterations", json!(1)),
            ("private_key_iterations", json!({"usage": ["master"]})),
            ("org.example.unknown", json!({"keys": {}})),
            (
                "signatures",
                json!({USER: {"ed25519:LAPTOP": base64::encode([1; 64])}}),
            ),
            ("signatures", json!("none")),
            ("unsigned", json!({"usage": ["master"]})),
        ]
    }

    /// Whether any key of the user stands under an object.
    fn signed(&self, object: &Content) -> bool {
        [
            self.identity.master_key(),
            self.identity.self_signing_key(),
            self.identity.user_signing_key(),
        ]
        .iter()
        .any(|key| key.public_key().verify(object, USER).is_ok())
    }

    /// Fails unless all that verifies under the user's keys is this.
    fn check(&self, plan: &fourfold::Plan, meant: &Value) {
        for object in objects(plan) {
            let mut bare = to_value(&object);
            bare.as_object_mut().unwrap().remove("signatures");
            if self.signed(&object) {
                assert_eq!(&bare, meant);
            }
            // And whatever it is, it is not a cross-signing key.
            for member in ["master_keys", "self_signing_keys", "user_signing_keys"] {
                let body = json!({member: {USER: to_value(&object)}}).to_string();
                let read = PublishedIdentity::from_keys_query(USER, &body).unwrap();
                assert!(read.master_key().is_err(), "{object:?}");
            }
        }
    }
}

/// Every object that a plan uploads and that could carry a signature.
fn objects(plan: &fourfold::Plan) -> Vec<Content> {
    let object = |step: &plan::Step| match &step.action {
        Action::PutAccountData(put) => Some(put.content.clone()),
        Action::SignDevice(step) => Some(step.signed().clone()),
        Action::SignKeyBackup(step) => step.content().object("auth_data").and_then(Result::ok),
        _ => None,
    };
    plan.steps.iter().filter_map(object).collect()
}

fn to_value(content: &Content) -> Value {
    serde_json::from_str(&content.to_json()).unwrap()
}

fn private_key() -> Secret {
    Secret::new(base64::encode(BACKUP))
}

/// The public half of the backup's key, which is not what is tested here.
fn public_key() -> String {
    match PublishedKeys::default().judge(&SecretName::backup_key(), &private_key()) {
        Ok(Verdict::NothingToCompare { derived }) => derived,
        other => panic!("{other:?}"),
    }
}

/// Some of the lies, each replacing what was there.
fn with_lies(parties: &Parties, object: &Value, chosen: &[prop::sample::Index]) -> Value {
    let lies = parties.lies();
    let mut members: Map<String, Value> = object.as_object().unwrap().clone();
    for index in chosen {
        let (member, value) = index.get(&lies);
        members.insert((*member).to_owned(), value.clone());
    }
    Value::Object(members)
}

fn some_lies() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..6)
}

/// Whether an object is read, an honest one, and the members of other kinds.
type Reader<'a> = (&'a dyn Fn(&Value) -> bool, Value, &'a [&'a str]);

// Whoever made the user sign it: who reads it sees that it may have been meant for something else.
// shows: SHR-15
#[test]
fn an_object_with_a_member_of_another_kind_is_read_as_none() {
    let parties = Parties::new();
    let master = parties.identity.master_key().public_key();
    let [(_, seed), ..] = parties.identity.secrets();
    let user = Forger::from_seed(*base64::decode_array(seed.expose_secret()).unwrap());
    let phone = Forger::from_seed([8; 32]);
    let identity = |key: &Value| {
        let body = json!({"master_keys": {USER: key}}).to_string();
        let read = PublishedIdentity::from_keys_query(USER, &body).unwrap();
        read.master_key().is_ok()
    };
    let device = |keys: &Value| {
        let signed = phone.sign_as(&keys.to_string(), USER, "ed25519:PHONE");
        let signed: Value = serde_json::from_str(&signed).unwrap();
        let body = json!({"device_keys": {USER: {"PHONE": signed}}}).to_string();
        let read = UserKeys::from_keys_query(USER, &body).unwrap();
        read.device("PHONE").unwrap().is_ok()
    };
    let backup = |auth_data: &Value| {
        let body = json!({
            "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
            "version": "1",
            "auth_data": auth_data,
        });
        BackupVersion::from_json(&body.to_string()).is_ok()
    };
    let description = |description: &Value| {
        let signed = user.sign(&description.to_string(), USER);
        let content = Content::from_json(&signed).unwrap();
        let read = KeyDescription::new(KeyId::new("old").unwrap(), content).unwrap();
        read.verify_signature(USER, &master).is_ok()
    };
    let readers: [Reader<'_>; 4] = [
        (
            &identity,
            json!({
                "keys": {master.key_id(): master.to_base64()},
                "usage": ["master"],
                "user_id": USER,
            }),
            &[
                "algorithm",
                "algorithms",
                "device_id",
                "key",
                "pubkey",
                "public_key",
            ],
        ),
        (
            &device,
            json!({
                "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
                "device_id": "PHONE",
                "keys": {
                    "ed25519:PHONE": phone.public_key(),
                    "curve25519:PHONE": base64::encode([9; 32]),
                },
                "user_id": USER,
            }),
            &["algorithm", "key", "pubkey", "public_key", "usage"],
        ),
        (
            &backup,
            json!({"public_key": public_key()}),
            &[
                "algorithm",
                "algorithms",
                "device_id",
                "key",
                "keys",
                "pubkey",
                "usage",
                "user_id",
            ],
        ),
        (
            &description,
            json!({
                "algorithm": "m.secret_storage.v1.curve25519-aes-sha2",
                "pubkey": base64::encode([3; 32]),
            }),
            &[
                "algorithms",
                "device_id",
                "key",
                "keys",
                "public_key",
                "usage",
                "user_id",
            ],
        ),
    ];
    for (is_read, honest, foreign) in readers {
        let mut unknown = honest.clone();
        unknown["org.example.unknown"] = json!(1);
        assert!(is_read(&honest) && is_read(&unknown), "{honest}");
        for member in foreign {
            let mut lie = honest.clone();
            lie[*member] = json!("of another kind");
            assert!(!is_read(&lie), "{member} in {honest}");
        }
    }
}

proptest! {
    // shows: SHR-15
    #[test]
    fn the_master_key_signs_of_a_backup_only_its_key(chosen in some_lies()) {
        let parties = Parties::new();
        let auth_data = with_lies(&parties, &json!({"public_key": public_key()}), &chosen);
        let version = json!({
            "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
            "version": "1",
            "auth_data": auth_data,
        });
        let Ok(version) = BackupVersion::from_json(&version.to_string()) else {
            return Ok(());
        };
        let master = parties.identity.master_key();
        let Ok(plan) = plan::sign_key_backup(&version, &private_key(), USER, master) else {
            return Ok(());
        };
        let mut meant = json!({"public_key": public_key()});
        if auth_data["private_key_iterations"] == 1 && auth_data["private_key_salt"] == "salt" {
            meant["private_key_iterations"] = json!(1);
            meant["private_key_salt"] = json!("salt");
        }
        parties.check(&plan, &meant);
    }

    // shows: SHR-15
    #[test]
    fn the_self_signing_key_signs_of_a_device_only_its_keys(chosen in some_lies()) {
        let parties = Parties::new();
        let phone = Forger::from_seed([8; 32]);
        let keys = json!({"ed25519:PHONE": phone.public_key(), "curve25519:PHONE": base64::encode([9; 32])});
        let meant = json!({
            "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
            "device_id": "PHONE",
            "keys": keys,
            "user_id": USER,
        });
        // The worst case: the device itself was made to sign what the server likes.
        let lie = with_lies(&parties, &meant, &chosen);
        let signed = phone.sign_as(&lie.to_string(), USER, "ed25519:PHONE");
        let signed: Value = serde_json::from_str(&signed).unwrap();
        let body = json!({"device_keys": {USER: {"PHONE": signed}}}).to_string();
        let published = PublishedIdentity::of(USER, &parties.identity.public_keys(USER).unwrap());
        let served = UserKeys::from_keys_query(USER, &body).unwrap().with_identity(published);
        let fingerprint = PublicKey::from_base64(&phone.public_key()).unwrap();
        let Ok(device) = ConfirmedDevice::with_fingerprint(&served, "PHONE", &fingerprint) else {
            return Ok(());
        };
        let key = parties.identity.self_signing_key();
        let Ok(plan) = plan::sign_device(&served, &device, key) else {
            return Ok(());
        };
        let mut meant = meant;
        if let Some(dehydrated) = lie.get("dehydrated") {
            meant["dehydrated"] = dehydrated.clone();
        }
        if lie["algorithms"] != meant["algorithms"] {
            meant["algorithms"] = lie["algorithms"].clone();
        }
        parties.check(&plan, &meant);
    }

    // shows: SHR-15
    #[test]
    fn the_master_key_signs_of_a_description_only_what_it_had_signed(
        chosen in some_lies(),
        was_signed in any::<bool>(),
    ) {
        let parties = Parties::new();
        let [(_, seed), ..] = parties.identity.secrets();
        let forger = Forger::from_seed(*base64::decode_array(seed.expose_secret()).unwrap());
        let meant = json!({
            "algorithm": "m.secret_storage.v1.curve25519-aes-sha2",
            "pubkey": base64::encode([3; 32]),
        });
        let mut named = with_lies(&parties, &meant, &chosen);
        named["name"] = json!("m.default");
        let mut old = named.to_string();
        if was_signed {
            old = forger.sign(&old, USER);
        }
        let old = KeyDescription::new(KeyId::new("old").unwrap(), Content::from_json(&old).unwrap());
        let Ok(old) = old else {
            return Ok(());
        };
        let mut data = AccountData::default();
        data.insert(old.id().event_type(), old.content());
        let master = parties.identity.master_key();
        let new = NewKey::random_2019("m.default", USER, master, &mut UnwrapErr(SysRng)).unwrap();
        let plan = plan::create_key_2019(&SecretStorage::new(&data), &new, USER, master).unwrap();
        let made_here = new.description().content().to_json();
        for object in objects(&plan) {
            if object.to_json() == made_here || !parties.signed(&object) {
                continue;
            }
            prop_assert!(was_signed);
            let mut bare = to_value(&object);
            bare.as_object_mut().unwrap().remove("signatures");
            let mut meant = meant.clone();
            // The key itself: the user's master key had signed that.
            meant["pubkey"] = named["pubkey"].clone();
            prop_assert_eq!(bare, meant);
        }
    }
}
