//! What is made, kept and refused when an account is set up or completed.

use ed25519_dalek::Signer as _;
use fourfold_hostile::Forger;

use super::*;
use crate::backup::{BackupKey, ShownVersion, former};
use crate::cross_signing::{CrossSigningKeys, IdentityAtRisk, IdentityWish};
use crate::identity::{PinnedBy, Trust, UserKeys};
use crate::plan::Action;
use crate::signed_json;
use crate::storage::NoWritingKey;
use crate::testing::{rng, rng_from};
use crate::{
    AccountData, BackupVersion, Content, NewKey, NewKeyBackup, PublishedIdentity, SecretStorage,
    base64,
};

const USER: &str = "@alice:example.org";
const DEVICE: &str = "D";
const SEED: [u8; 32] = [5; 32];

/// What a server shows, and what this machine remembers.
struct Account {
    account_data: AccountData,
    published: UserKeys,
    current_backup: CurrentBackup,
    trust: Option<Trust>,
    made_here: Vec<(SecretName, Secret)>,
    log_ins: Option<crate::identity::LoggedInDevices>,
    wishes: Wishes,
}

impl Account {
    fn new() -> Self {
        let body = format!(r#"{{"device_keys":{{"{USER}":{{}}}}}}"#);
        Self {
            account_data: AccountData::default(),
            published: UserKeys::from_keys_query(USER, &body).unwrap(),
            current_backup: CurrentBackup::Missing,
            trust: None,
            made_here: Vec::new(),
            log_ins: None,
            wishes: Wishes::default(),
        }
    }

    fn known(&self) -> KnownAccount<'_> {
        KnownAccount {
            account_data: &self.account_data,
            published: &self.published,
            current_backup: &self.current_backup,
            older_backups: &[],
            trust: self.trust.as_ref(),
            remembered_backup: None,
            made_here: &self.made_here,
            log_ins: self.log_ins.as_ref(),
            wishes: self.wishes,
        }
    }

    fn bootstrap(&self, key: &BootstrapKey, random: u64) -> Result<Bootstrap, Failed> {
        let sign = |object: &mut Signable| {
            let key = ed25519_dalek::SigningKey::from_bytes(&SEED);
            let id = format!("ed25519:{DEVICE}");
            signed_json::sign_with(object, USER, &id, |message| {
                key.sign(message.as_bytes()).to_bytes()
            })
            .map_err(Failed::from)
        };
        let rng = &mut rng_from(random);
        Bootstrap::new(&self.known(), key, &device(), sign, rng)
    }

    fn refused(&self, key: &BootstrapKey) -> BootstrapError {
        match self.bootstrap(key, 1000).unwrap_err() {
            Failed::Refused(error) => error,
            Failed::Unsignable(error) => panic!("{error}"),
        }
    }

    /// Carries out what is said of account data, and publishes the identity.
    fn carry_out(&mut self, bootstrap: &Bootstrap, identity: &CrossSigningKeys) {
        bootstrap.plan().apply_to(&mut self.account_data);
        self.publish(identity);
    }

    fn publish(&mut self, identity: &CrossSigningKeys) {
        let public = identity.public_keys(USER).unwrap();
        let identity = PublishedIdentity::of(USER, &public);
        self.published = self.published.clone().with_identity(identity);
    }
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a test may be wasteful")]
enum Failed {
    Refused(BootstrapError),
    Unsignable(SignatureError),
}

impl From<BootstrapError> for Failed {
    fn from(error: BootstrapError) -> Self {
        Self::Refused(error)
    }
}

impl From<SignatureError> for Failed {
    fn from(error: SignatureError) -> Self {
        Self::Unsignable(error)
    }
}

fn device() -> ConfirmedDevice {
    let forger = Forger::from_seed(SEED);
    let public = SigningKey::from_seed(&SEED.into()).public_key();
    let mut keys = Content::default();
    keys.insert(format!("curve25519:{DEVICE}"), &base64::encode(SEED));
    keys.insert(format!("ed25519:{DEVICE}"), &public.to_base64());
    let mut content = Content::default();
    content.insert("algorithms", &["m.olm.v1.curve25519-aes-sha2"]);
    content.insert("device_id", DEVICE);
    content.insert("keys", &keys);
    content.insert("user_id", USER);
    let signed = forger.sign_as(&content.to_json(), USER, &format!("ed25519:{DEVICE}"));
    ConfirmedDevice::own(&Content::from_json(&signed).unwrap()).unwrap()
}

fn new_key() -> BootstrapKey {
    BootstrapKey::New(NewKey::random(None, &mut rng()))
}

fn existing(key: BootstrapKey) -> BootstrapKey {
    match key {
        BootstrapKey::New(new) => BootstrapKey::Existing(new.into_key()),
        existing => existing,
    }
}

fn identity(number: u64) -> CrossSigningKeys {
    CrossSigningKeys::generate(&mut rng_from(number))
}

fn of(bootstrap: &Bootstrap) -> CrossSigningKeys {
    complete(&bootstrap.secrets()).unwrap()
}

fn backup(number: u64) -> (NewKeyBackup, BackupVersion) {
    let new = NewKeyBackup::random(&mut rng_from(number));
    let mut answer = new.to_content();
    answer.insert("version", "1");
    let version = BackupVersion::from_json(&answer.to_json()).unwrap();
    (new, version)
}

fn shown(backup: &NewKeyBackup, version: &str) -> CurrentBackup {
    let mut answer = backup.to_content();
    answer.insert("version", version);
    CurrentBackup::Shown(Box::new(ShownVersion::from_json(&answer.to_json())))
}

#[test]
fn a_new_account_gets_everything_in_an_order_that_keeps_it_usable() {
    let account = Account::new();
    let bootstrap = account.bootstrap(&new_key(), 1000).unwrap();
    let done: Vec<_> = bootstrap
        .plan()
        .steps
        .iter()
        .map(|step| match &step.action {
            Action::PutAccountData(put) if put.event_type.starts_with("m.secret_storage.key") => {
                "key"
            }
            Action::PutAccountData(put) if put.event_type == "m.secret_storage.default_key" => {
                "default"
            }
            Action::PutAccountData(put) if put.event_type == "m.key_backup" => "wish",
            Action::PutAccountData(_) => "secret",
            Action::PublishDevice(_) => "device",
            Action::PublishIdentity(_) => "identity",
            Action::SignDevice(_) => "signature",
            Action::CreateKeyBackup(_) => "backup",
            _ => "other",
        })
        .collect();
    assert_eq!(
        done.join(" "),
        "key device identity signature backup secret secret secret secret wish default"
    );
    assert!(bootstrap.is_complete());
    // Nobody knew another one.
    assert!(!bootstrap.replaces_identity() && !bootstrap.replaces_pin());
}

#[test]
fn what_an_interrupted_attempt_has_made_is_published_and_not_made_anew() {
    let mut account = Account::new();
    let key = new_key();
    let first = account.bootstrap(&key, 1000).unwrap();
    account.made_here = first.secrets();
    let second = account.bootstrap(&key, 2000).unwrap();
    let master = |bootstrap: &Bootstrap| of(bootstrap).master_key().public_key();
    assert_eq!(master(&first), master(&second));
    // It was agreed to before: a pin of another one gives way.
    assert!(second.replaces_pin());
}

// The user replaces a backup: the private key of the former version stays at hand.
// shows: STO-08
#[test]
fn the_private_key_of_a_replaced_backup_is_kept_under_its_own_name() {
    let mut account = Account::new();
    let key = new_key();
    let first = account.bootstrap(&key, 1000).unwrap();
    account.carry_out(&first, &of(&first));
    let secret = |bootstrap: &Bootstrap| {
        let mut secrets = bootstrap.secrets().into_iter();
        let name = SecretName::backup_key();
        secrets.find(|(of, _)| *of == name).unwrap().1
    };
    let old = BackupKey::read(&secret(&first)).unwrap();
    // Somebody made another version. That the own key is one of version 1 is known, or not.
    let (other, _) = backup(3000);
    account.current_backup = shown(&other, "2");
    account.wishes.backup = true;
    let key = existing(key);
    let second = account.bootstrap(&key, 2000).unwrap();
    let mut after = account.account_data.clone();
    second.plan().apply_to(&mut after);
    let storage = SecretStorage::new(&after);
    let kept: Vec<_> = crate::backup::stored_copies(&storage, &[key.proven().key()]);
    assert_eq!(kept.len(), 2);
    assert!(kept[0].key.secret().is_same(&secret(&second)));
    assert!(kept[1].key.secret().is_same(&old.secret()));
    // Before anything is replaced.
    let first_put = second.plan().account_data().next().unwrap();
    assert!(former::is_name(
        &SecretName::new(first_put.event_type.clone()).unwrap()
    ));
    let steps = &second.plan().steps;
    let place = |event_type: &str| {
        steps.iter().position(|step| {
            matches!(&step.action, Action::PutAccountData(put) if put.event_type == event_type)
        })
    };
    let created = steps
        .iter()
        .position(|step| matches!(step.action, Action::CreateKeyBackup(_)));
    assert!(place(&first_put.event_type) < created && created < place("m.megolm_backup.v1"));
}

#[test]
fn what_is_there_stays() {
    let mut account = Account::new();
    let key = new_key();
    let first = account.bootstrap(&key, 1000).unwrap();
    account.carry_out(&first, &of(&first));
    let (kept, _) = backup(1000);
    // The server has another backup, of which no private key is known.
    account.current_backup = shown(&kept, "1");
    let key = existing(key);
    let second = account.bootstrap(&key, 2000).unwrap();
    let actions = &second.plan().steps;
    let is_made = |step: &crate::plan::Step| {
        matches!(
            step.action,
            Action::PublishIdentity(_) | Action::CreateKeyBackup(_) | Action::PutAccountData(_)
        )
    };
    assert!(!actions.iter().any(is_made), "{actions:?}");
    assert!(!second.is_complete(), "the backup is not the user's");
}

// shows: SHR-10
#[test]
fn an_identity_that_is_pinned_is_not_replaced_before_the_user_says_so() {
    let mut account = Account::new();
    let (ours, others) = (identity(1), identity(2));
    let mut trust = Trust::new(USER, DEVICE);
    trust.pin(ours.master_key().public_key(), PinnedBy::PrivateKey);
    account.trust = Some(trust);
    let key = new_key();
    let pinned = ours.master_key().public_key();
    let hidden = IdentityAtRisk::Hidden { pinned };
    assert_eq!(account.refused(&key), hidden.into());
    account.publish(&others);
    let published = others.master_key().public_key();
    let changed = IdentityAtRisk::Changed { pinned, published };
    assert_eq!(account.refused(&key), changed.into());
    account.wishes.identity = IdentityWish::Replace;
    let bootstrap = account.bootstrap(&key, 3000).unwrap();
    assert!(bootstrap.replaces_identity() && bootstrap.replaces_pin());
    let made = of(&bootstrap).master_key().public_key();
    assert!(made != pinned && made != published);
}

#[test]
fn an_identity_whose_private_keys_are_nowhere_is_not_made_anew() {
    let mut account = Account::new();
    account.publish(&identity(1));
    assert_eq!(account.refused(&new_key()), BootstrapError::NoPrivateKeys);
    // Those of another one are none of it.
    account.made_here = identity(2).secrets().into();
    assert_eq!(account.refused(&new_key()), BootstrapError::NoPrivateKeys);
}

#[test]
fn a_backup_that_the_user_does_not_want_is_not_made() {
    let mut account = Account::new();
    account.account_data = AccountData::from_json(r#"{"m.key_backup":{"enabled":false}}"#).unwrap();
    let bootstrap = account.bootstrap(&new_key(), 1000).unwrap();
    assert_eq!(bootstrap.secrets().len(), 3);
    assert!(bootstrap.is_complete());
    let warnings = &bootstrap.plan().warnings;
    assert!(warnings.iter().any(|it| it.contains("turned it off")));
}

#[test]
fn the_backup_that_is_there_in_the_end_is_judged_by_its_key() {
    let account = Account::new();
    let key = new_key();
    let bootstrap = account.bootstrap(&key, 1000).unwrap();
    let state = |version: &Content| {
        let mut version = version.clone();
        version.insert("version", "1");
        let account_data = account.account_data.clone();
        let shown = Snapshot::new(USER, account_data, None, Some(version.to_json())).unwrap();
        bootstrap.backup_state(&shown, None, key.proven())
    };
    assert!(matches!(
        state(&backup(7).0.to_content()),
        BackupState::Unknown(_)
    ));
    let steps = bootstrap.plan().steps.iter();
    let own = steps.filter_map(|step| match &step.action {
        Action::CreateKeyBackup(create) => Some(create.content()),
        _ => None,
    });
    let states: Vec<_> = own.map(state).collect();
    // The server shows no identity that could have signed it.
    assert_eq!(states, [BackupState::Unsigned]);
}

#[test]
fn the_key_that_everything_goes_under_is_the_default_one() {
    let mut account_data = AccountData::default();
    let decide = |account_data: &AccountData| KeyChoice::decide(&SecretStorage::new(account_data));
    assert!(matches!(decide(&account_data), Ok(KeyChoice::Create)));
    // A set-up that was interrupted: a key, and no default.
    let (first, second) = (
        NewKey::random(None, &mut rng_from(1)),
        NewKey::random(None, &mut rng_from(100)),
    );
    for new in [&first, &second] {
        let plan = crate::plan::create_key(&SecretStorage::new(&account_data), new);
        plan.apply_to(&mut account_data);
    }
    let Ok(KeyChoice::Unlock(keys)) = decide(&account_data) else {
        panic!("there are keys");
    };
    assert_eq!(keys.len(), 2);
    let storage = SecretStorage::new(&account_data);
    let plan = crate::plan::change_default(&storage, second.key()).unwrap();
    plan.apply_to(&mut account_data);
    let Ok(KeyChoice::Unlock(keys)) = decide(&account_data) else {
        panic!("there is a default");
    };
    let ids: Vec<_> = keys.iter().map(crate::KeyDescription::id).collect();
    assert_eq!(ids, [second.key().id()]);
    // A damaged default key does not make way for another one.
    let damaged = Content::from_json(r#"{"algorithm":1}"#).unwrap();
    account_data.insert(second.key().id().event_type(), &damaged);
    assert!(matches!(
        decide(&account_data),
        Err(NoWritingKey::Damaged { .. })
    ));
}

/// The keys of another device, which the identity signed.
fn signed_device(id: &str, identity: &CrossSigningKeys) -> serde_json::Value {
    let forger = Forger::from_seed([9; 32]);
    let public = SigningKey::from_seed(&[9; 32].into()).public_key();
    let keys = serde_json::json!({
        "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
        "device_id": id,
        "keys": {
            format!("curve25519:{id}"): base64::encode([8; 32]),
            format!("ed25519:{id}"): public.to_base64(),
        },
        "user_id": USER,
    });
    let own = forger.sign_as(&keys.to_string(), USER, &format!("ed25519:{id}"));
    let own: serde_json::Value = serde_json::from_str(&own).unwrap();
    let seed = identity.self_signing_key().expose_seed();
    let both = Forger::from_seed(*seed).sign(&own.to_string(), USER);
    serde_json::from_str(&both).unwrap()
}

impl Account {
    /// An account that is set up, of which this key of secret storage is at hand, with a further device.
    fn set_up(key: &BootstrapKey) -> (Self, CrossSigningKeys) {
        let mut account = Self::new();
        let first = account.bootstrap(key, 1000).unwrap();
        let identity = of(&first);
        account.carry_out(&first, &identity);
        account.wishes.backup = true;
        let devices = serde_json::json!({"OTHER": signed_device("OTHER", &identity)});
        let body = serde_json::json!({"device_keys": {USER: devices}}).to_string();
        account.published = UserKeys::from_keys_query(USER, &body).unwrap();
        account.publish(&identity);
        (account, identity)
    }

    fn empty(&mut self, name: &SecretName) {
        self.account_data.insert(name.as_str(), &Content::default());
    }
}

/// The devices that a plan signs.
fn signs(bootstrap: &Bootstrap) -> Vec<String> {
    let steps = bootstrap.plan().steps.iter();
    let signed = steps.filter_map(|step| match &step.action {
        Action::SignDevice(sign) => Some(sign.device_id().to_owned()),
        _ => None,
    });
    signed.collect()
}

// shows: SHR-01
#[test]
fn a_device_is_signed_again_where_nothing_speaks_against_it() {
    use crate::Timestamp;
    use crate::identity::{LoggedInDevices, TombstoneReason};

    let (everybody, nobody) = (["D", "OTHER"], ["D"]);
    let key = new_key();
    let (mut account, identity) = Account::set_up(&key);
    account.empty(&SecretName::self_signing_key());
    account.wishes.signing_keys = true;
    let key = existing(key);
    let master = identity.master_key().public_key();
    let mut trusting = Trust::new(USER, DEVICE);
    trusting.pin(master, PinnedBy::PrivateKey);
    let mut tombstoned = trusting.clone();
    let now = Timestamp::from_millis(1);
    tombstoned.tombstone("OTHER", TombstoneReason::LoggedOut, now);
    for (trust, log_ins, is_signed) in [
        (None, Some(&everybody[..]), true),
        (Some(&trusting), Some(&everybody[..]), true),
        (Some(&tombstoned), Some(&everybody[..]), false),
        (None, Some(&nobody[..]), false),
        (None, None, false),
    ] {
        account.trust = trust.cloned();
        account.log_ins = log_ins.map(|ids| LoggedInDevices::from_iter(ids.iter().copied()));
        let bootstrap = account.bootstrap(&key, 5000).unwrap();
        assert!(!bootstrap.replaces_identity());
        let made = of(&bootstrap);
        assert_eq!(made.master_key().public_key(), master);
        assert_ne!(
            made.self_signing_key().public_key(),
            identity.self_signing_key().public_key()
        );
        let expected: &[&str] = if is_signed { &["D", "OTHER"] } else { &["D"] };
        assert_eq!(signs(&bootstrap), expected);
        let warnings = &bootstrap.plan().warnings;
        let is_named = warnings
            .iter()
            .any(|it| it.ends_with("verify each of them: OTHER"));
        assert_eq!(is_named, !is_signed);
    }
}

#[test]
fn what_only_a_lost_key_opens_stays_when_everything_goes_under_a_new_one() {
    let (lost, name) = (new_key(), SecretName::master_key());
    let (mut account, identity) = Account::set_up(&lost);
    let before = SecretStorage::new(&account.account_data);
    let old = lost.proven().id().clone();
    let entry = |storage: SecretStorage<'_>, id: &crate::KeyId| match storage.secret(&name) {
        crate::SecretState::Encrypted(secret) => secret
            .entry(id)
            .map(|entry| entry.as_ref().unwrap().to_json()),
        _ => None,
    };
    let kept = entry(before, &old);
    assert!(kept.is_some());
    let new = BootstrapKey::New(NewKey::random(None, &mut rng_from(70)));
    account.wishes = Wishes {
        identity: IdentityWish::Replace,
        ..Wishes::default()
    };
    let bootstrap = account.bootstrap(&new, 9000).unwrap();
    let mut after = account.account_data.clone();
    bootstrap.plan().apply_to(&mut after);
    let after = SecretStorage::new(&after);
    assert_eq!(entry(after, &old), kept);
    assert_eq!(after.default_key().key_id(), Some(new.proven().id()));
    let opened = after.open(&name, new.proven().key()).unwrap();
    let made = of(&bootstrap);
    assert_ne!(
        made.master_key().public_key(),
        identity.master_key().public_key()
    );
    let secrets = made.secrets();
    assert!(opened.secret.is_same(&secrets[0].1));
    // Until the last step, the lost key is the default: nothing is half there.
    let last = bootstrap.plan().steps.last().unwrap();
    assert_eq!(last.action.to_string(), "put m.secret_storage.default_key");
    // Without the user's word a new key takes the place of none.
    account.wishes.identity = IdentityWish::Keep;
    assert_eq!(account.refused(&new), BootstrapError::NoPrivateKeys);
}
