//! Accounts as they are found: several keys, secrets under some of them, and all kinds of damage.

use fourfold::algorithm::curve25519_aes_sha2::MacMode;
use fourfold::passphrase::PassphraseParameters;
use fourfold::plan::PutAccountData;
use fourfold::secret_kind::KeyValue;
use fourfold::signed_json::SigningKey;
use fourfold::{
    AccountData, Algorithm, Content, DefaultKey, KeyId, NewKey, Plan, PublishedKeys, Secret,
    SecretKind, SecretName, SecretStorage, SecretStorageKey, Snapshot, TrustedPublicKey, base64,
};
use fourfold_hostile::Forger;

use crate::dice::Dice;

pub(crate) const USER: &str = "@alice:example.org";

/// What a plan does to account data, in its order.
pub(crate) fn puts(plan: &Plan) -> Vec<&PutAccountData> {
    plan.account_data().collect()
}

/// The event types that a plan writes, in its order.
pub(crate) fn event_types(plan: &Plan) -> Vec<&str> {
    plan.account_data()
        .map(|put| put.event_type.as_str())
        .collect()
}

/// The user's identity: the four seeds, and what the server publishes of them.
pub(crate) struct Identity {
    pub(crate) master: [u8; 32],
    pub(crate) self_signing: [u8; 32],
    pub(crate) user_signing: [u8; 32],
    pub(crate) backup: [u8; 32],
}

impl Identity {
    pub(crate) const ALICE: Self = Self {
        master: [1; 32],
        self_signing: [2; 32],
        user_signing: [3; 32],
        backup: [4; 32],
    };

    pub(crate) fn master_key(&self) -> SigningKey {
        SigningKey::from_seed(&self.master.into())
    }

    /// The master key in hands that sign anything.
    pub(crate) fn forger(&self) -> Forger {
        Forger::from_seed(self.master)
    }

    /// The seed or private key that a standard secret holds.
    pub(crate) fn bytes(&self, name: &SecretName) -> Option<[u8; 32]> {
        match SecretKind::of(name) {
            SecretKind::MasterKey => Some(self.master),
            SecretKind::SelfSigningKey => Some(self.self_signing),
            SecretKind::UserSigningKey => Some(self.user_signing),
            SecretKind::BackupKey => Some(self.backup),
            _ => None,
        }
    }

    pub(crate) fn secret(&self, name: &SecretName) -> Secret {
        Secret::new(base64::encode(self.bytes(name).unwrap()))
    }

    fn cross_signing_key(&self, usage: &str, seed: [u8; 32]) -> Content {
        let public = SigningKey::from_seed(&seed.into()).public_key();
        let mut keys = Content::default();
        keys.insert(public.key_id(), &public.to_base64());
        let mut key = Content::default();
        key.insert("keys", &keys);
        key.insert("usage", &[usage]);
        key.insert("user_id", USER);
        let signed = self.forger().sign(&key.to_json(), USER);
        let key = Content::from_json(&signed).unwrap();
        let mut of_user = Content::default();
        of_user.insert(USER, &key);
        of_user
    }

    pub(crate) fn published_keys(&self) -> PublishedKeys {
        let mut query = Content::default();
        for (member, usage, seed) in [
            ("master_keys", "master", self.master),
            ("self_signing_keys", "self_signing", self.self_signing),
            ("user_signing_keys", "user_signing", self.user_signing),
        ] {
            query.insert(member, &self.cross_signing_key(usage, seed));
        }
        let mut auth_data = Content::default();
        auth_data.insert("public_key", &self.backup_public_key());
        let mut backup = Content::default();
        backup.insert("algorithm", "m.megolm_backup.v1.curve25519-aes-sha2");
        backup.insert("auth_data", &auth_data);
        backup.insert("version", "1");
        Snapshot::new(
            USER,
            AccountData::default(),
            Some(query.to_json()),
            Some(backup.to_json()),
        )
        .unwrap()
        .published_keys()
    }

    fn backup_public_key(&self) -> String {
        let name = SecretName::backup_key();
        match PublishedKeys::default().judge(&name, &self.secret(&name)) {
            Ok(fourfold::Verdict::NothingToCompare { derived }) => derived,
            other => panic!("{other:?}"),
        }
    }
}

/// An account, and all private keys that there are for it.
pub(crate) struct Account {
    pub(crate) data: AccountData,
    pub(crate) keys: Vec<NewKey>,
}

impl Account {
    /// An account with nothing but these keys, described as they are.
    pub(crate) fn with_keys(keys: Vec<NewKey>) -> Self {
        let mut data = AccountData::default();
        for key in &keys {
            let description = key.description();
            data.insert(description.id().event_type(), description.content());
        }
        Self { data, keys }
    }

    pub(crate) fn storage(&self) -> SecretStorage<'_> {
        SecretStorage::new(&self.data)
    }

    pub(crate) fn key(&self, index: usize) -> &SecretStorageKey {
        self.keys[index].key().key()
    }

    pub(crate) fn id(&self, index: usize) -> &KeyId {
        self.key(index).id()
    }

    pub(crate) fn all_keys(&self) -> Vec<&SecretStorageKey> {
        (0..self.keys.len()).map(|index| self.key(index)).collect()
    }

    pub(crate) fn make_default(&mut self, index: usize) {
        let json = format!("{{\"key\":\"{}\"}}", self.id(index));
        self.data.insert_json(DefaultKey::EVENT_TYPE, json).unwrap();
    }

    /// Puts one entry there, whatever the plans would have allowed.
    pub(crate) fn insert_entry(&mut self, name: &SecretName, id: &str, entry: &Content) {
        let mut content = self
            .data
            .raw(name.as_str())
            .map(|json| Content::from_json(json).unwrap())
            .unwrap_or_default();
        let mut encrypted = content
            .object("encrypted")
            .map(Result::unwrap)
            .unwrap_or_default();
        encrypted.insert(id, entry);
        content.insert("encrypted", &encrypted);
        self.data.insert(name.as_str(), &content);
    }

    /// Encrypts a value under a key, as some client would have done.
    pub(crate) fn encrypt(
        &mut self,
        name: &SecretName,
        value: &Secret,
        index: usize,
        dice: &mut Dice,
    ) {
        let entry = entry_of(&self.keys[index], name, value, dice);
        let id = self.id(index).clone();
        self.insert_entry(name, id.as_str(), &entry);
    }
}

fn entry_of(key: &NewKey, name: &SecretName, value: &Secret, dice: &mut Dice) -> Content {
    if key.key().key().algorithm() == Algorithm::AesHmacSha2 {
        return key.key().seal(name, value, dice).unwrap();
    }
    let mode = if dice.one_in(2) {
        MacMode::Libolm
    } else {
        MacMode::Spec
    };
    TrustedPublicKey::from_proven_key(key.key())
        .unwrap()
        .seal(value, mode, dice)
        .unwrap()
}

/// What a generated account may contain.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// Keys of 2019 too.
    pub(crate) profile_2019: bool,
}

/// An account with one to four keys and up to thirty secrets.
pub(crate) fn generate(dice: &mut Dice, shape: Shape) -> Account {
    let master = Identity::ALICE.master_key();
    let count = 1 + dice.below(4);
    let mut keys: Vec<_> = (0..count).map(|_| NewKey::random(None, dice)).collect();
    if shape.profile_2019 {
        for name in ["m.default", "old"] {
            keys.push(NewKey::random_2019(name, USER, &master, dice).unwrap());
        }
    }
    let mut account = Account::with_keys(keys);
    for index in 0..account.keys.len() {
        let content = described(&account.keys[index], dice);
        let event_type = account.id(index).event_type();
        account.data.insert(event_type, &content);
    }
    match dice.below(5) {
        0 => {}
        1 => {
            let gone = r#"{"key":"gone"}"#;
            account
                .data
                .insert_json(DefaultKey::EVENT_TYPE, gone)
                .unwrap();
        }
        _ => account.make_default(dice.below(count)),
    }
    for name in names(dice) {
        add_secret(&mut account, &name, dice);
    }
    for (event_type, json) in [
        ("m.push_rules", r#"{"global":{"n":12345678901234567890}}"#),
        ("m.direct", r#"{"@bob:example.org":["!room:example.org"]}"#),
        ("org.example.array", "[1]"),
        ("org.example.null", "null"),
        ("org.example.deleted", "{}"),
        (
            "org.example.other",
            r#"{"encrypted":{"iv":"AAAA","mac":"AAAA"}}"#,
        ),
        (
            "m.secret_storage.key.unknown",
            r#"{"algorithm":"org.example.new"}"#,
        ),
    ] {
        account.data.insert_json(event_type, json).unwrap();
    }
    account
}

/// A description as some client wrote it.
fn described(key: &NewKey, dice: &mut Dice) -> Content {
    let mut content = key.description().content().clone();
    if key.key().key().algorithm() == Algorithm::Curve25519AesSha2 {
        return content;
    }
    match dice.below(4) {
        0 => {
            content.remove("iv");
            content.remove("mac");
        }
        1 => pad(&mut content, "mac"),
        2 => {
            let parameters = PassphraseParameters::random(dice);
            content.insert("passphrase", &parameters.to_content());
        }
        _ => content.insert("org.example.unknown", &[1.5]),
    }
    content
}

fn names(dice: &mut Dice) -> Vec<SecretName> {
    let custom = (0..dice.below(25)).map(|number| format!("org.example.sécret.{number}"));
    let mut names: Vec<SecretName> = custom.map(|name| SecretName::new(name).unwrap()).collect();
    for name in [
        SecretName::master_key(),
        SecretName::self_signing_key(),
        SecretName::user_signing_key(),
        SecretName::backup_key(),
        SecretName::new("org.matrix.msc3814").unwrap(),
    ] {
        if !dice.one_in(4) {
            names.push(name);
        }
    }
    names
}

fn add_secret(account: &mut Account, name: &SecretName, dice: &mut Dice) {
    let value = match Identity::ALICE.bytes(name) {
        None => Secret::new(format!("value {}", dice.below(1000))),
        // js-sdk wrote padded base64.
        Some(bytes) if dice.one_in(3) => Secret::new(base64::encode(bytes) + "="),
        // So did it write this, for the backup key only.
        Some(bytes) if SecretKind::of(name) == SecretKind::BackupKey && dice.one_in(2) => {
            Secret::new(bytes.map(|byte| byte.to_string()).join(","))
        }
        Some(bytes) => Secret::new(base64::encode(bytes)),
    };
    let first = dice.below(account.keys.len());
    for index in 0..account.keys.len() {
        if index != first && dice.one_in(2) {
            continue;
        }
        let stale = Secret::new("an older value");
        let value = if index != first && dice.one_in(8) {
            &stale
        } else {
            &value
        };
        let mut entry = entry_of(&account.keys[index], name, value, dice);
        if dice.one_in(4) {
            pad(&mut entry, "mac");
            pad(&mut entry, "ciphertext");
        }
        match dice.below(16) {
            0 => entry.insert("mac", "AAAA"),
            1 => entry.insert("ciphertext", "AAAAAAAAAAAAAAAAAAAAAA"),
            _ => {}
        }
        let id = account.id(index).clone();
        if dice.one_in(20) {
            damage(account, name, id.as_str());
        } else {
            account.insert_entry(name, id.as_str(), &entry);
        }
    }
    if dice.one_in(4) {
        let entry = Content::from_json(r#"{"x":[1.50]}"#).unwrap();
        account.insert_entry(name, "unknown key", &entry);
    }
    if dice.one_in(4) {
        let json = account.data.raw(name.as_str()).unwrap();
        let mut content = Content::from_json(json).unwrap();
        content.insert("com.beeper.metadata", &[12_345_678_901_234_567_890_u64]);
        account.data.insert(name.as_str(), &content);
    }
}

/// An entry that is not an object, or names a member twice.
fn damage(account: &mut Account, name: &SecretName, id: &str) {
    let twice = Content::from_json(r#"{"a":{"mac":1,"mac":2}}"#).unwrap();
    let twice: &serde_json::value::RawValue =
        serde_json::from_str(twice.raw("a").unwrap()).unwrap();
    let json = account.data.raw(name.as_str()).unwrap_or("{}");
    let mut content = Content::from_json(json).unwrap();
    let mut encrypted = content
        .object("encrypted")
        .map(Result::unwrap)
        .unwrap_or_default();
    encrypted.insert(id, twice);
    content.insert("encrypted", &encrypted);
    account.data.insert(name.as_str(), &content);
}

/// Adds the padding that Fourfold leaves out.
fn pad(content: &mut Content, member: &str) {
    let Some(Ok(mut text)) = content.get::<String>(member) else {
        return;
    };
    while text.len() % 4 != 0 {
        text.push('=');
    }
    content.insert(member, &text);
}

/// What a value means: two texts of one key are the same.
pub(crate) fn meaning(name: &SecretName, secret: &Secret) -> String {
    if SecretKind::of(name) == SecretKind::Other {
        return secret.expose_secret().to_owned();
    }
    KeyValue::read(name, secret).map_or_else(
        |_| secret.expose_secret().to_owned(),
        |value| value.to_secret().expose_secret().to_owned(),
    )
}
