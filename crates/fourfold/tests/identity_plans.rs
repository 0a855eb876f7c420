//! Plans for the identity, the devices and the key backup: what they do, what they expect to find,
//! and that they survive being stored.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may fail loudly, also outside of test functions"
)]

use fourfold::cross_signing::{ConfirmedDevice, CrossSigningKeys, NotConfirmed, SignDeviceError};
use fourfold::identity::UserKeys;
use fourfold::plan::{self, Action, Found, SignKeyBackupError, StepState};
use fourfold::rand_core::UnwrapErr;
use fourfold::{
    AccountData, BackupVersion, Content, NewKey, NewKeyBackup, Plan, PublishedIdentity, Secret,
    SecretStorage, base64,
};
use getrandom::SysRng;
use own_devices::{Account, USER, backup_json, key};

#[expect(dead_code, reason = "other tests use the rest")]
mod own_devices;

const RNG: UnwrapErr<SysRng> = UnwrapErr(SysRng);

/// The one action of a plan that was stored and read again.
fn stored(plan: &Plan) -> Action {
    let json = serde_json::to_string(plan).unwrap();
    let again: Plan = json.parse().unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), json);
    let [step] = again.steps.try_into().unwrap();
    step.action
}

fn nothing_published() -> UserKeys {
    let body = format!(r#"{{"device_keys":{{"{USER}":{{}}}}}}"#);
    UserKeys::from_keys_query(USER, &body).unwrap()
}

/// Device `B` of the account, which the identity did not sign.
fn unsigned() -> Account {
    let mut account = Account::new(2);
    account.devices.get_mut("B").unwrap().signed = false;
    account
}

fn confirmed(account: &Account, id: &str) -> ConfirmedDevice {
    let fingerprint = account.devices[id].ed25519();
    ConfirmedDevice::with_fingerprint(&account.keys(), id, &fingerprint).unwrap()
}

#[test]
fn an_identity_is_published_once() {
    let public = CrossSigningKeys::generate(&mut RNG.clone())
        .public_keys(USER)
        .unwrap();
    let nothing = nothing_published();
    let plan = plan::publish_identity(USER, nothing.identity(), &public);
    assert!(plan.warnings.is_empty());
    let Action::PublishIdentity(step) = stored(&plan) else {
        panic!("{plan:?}")
    };
    assert_eq!(step.state(nothing.identity()), StepState::Due);
    let published = PublishedIdentity::of(USER, step.keys());
    assert_eq!(step.state(&published), StepState::Done);
    assert!(plan::publish_identity(USER, &published, &public).is_empty());
    // Somebody else was faster.
    assert_eq!(
        step.state(Account::new(1).keys().identity()),
        StepState::Conflict
    );
}

#[test]
fn replacing_an_identity_says_so_and_expects_the_old_one() {
    let account = Account::new(1);
    let public = CrossSigningKeys::generate(&mut RNG.clone())
        .public_keys(USER)
        .unwrap();
    let plan = plan::publish_identity(USER, account.keys().identity(), &public);
    assert!(plan.warnings[0].contains("replaced"));
    let Action::PublishIdentity(step) = stored(&plan) else {
        panic!("{plan:?}")
    };
    assert_eq!(step.state(account.keys().identity()), StepState::Due);
    let other = Account {
        seed: 50,
        ..Account::new(1)
    };
    assert_eq!(step.state(other.keys().identity()), StepState::Conflict);
    let nothing = nothing_published();
    assert_eq!(step.state(nothing.identity()), StepState::Conflict);
}

#[test]
fn an_identity_that_lacks_a_key_is_completed_without_a_warning() {
    let account = Account::new(1);
    let mut body = Content::from_json(&account.keys_query()).unwrap();
    body.remove("user_signing_keys");
    let lacking = UserKeys::from_keys_query(USER, &body.to_json()).unwrap();
    let seeds = ["master", "self_signing", "user_signing"];
    let mut known = fourfold::cross_signing::KnownKeys::default();
    for name in seeds {
        let name = fourfold::SecretName::new(format!("m.cross_signing.{name}")).unwrap();
        let secret = account.secret(&name);
        known
            .learn(&name, &secret, &fourfold::PublishedKeys::default())
            .unwrap();
    }
    let public = known.complete().unwrap().public_keys(USER).unwrap();
    let plan = plan::publish_identity(USER, lacking.identity(), &public);
    assert!(plan.warnings.is_empty());
    let Action::PublishIdentity(step) = stored(&plan) else {
        panic!("{plan:?}")
    };
    assert_eq!(step.state(lacking.identity()), StepState::Due);
    assert_eq!(step.state(account.keys().identity()), StepState::Done);
}

#[test]
fn a_device_is_signed_only_as_it_was_confirmed() {
    let account = unsigned();
    let device = confirmed(&account, "B");
    let plan = plan::sign_device(&account.keys(), &device, &account.self_signing()).unwrap();
    assert_eq!(plan.steps[0].action.to_string(), "sign the device B");
    let Action::SignDevice(step) = stored(&plan) else {
        panic!("{plan:?}")
    };
    assert_eq!(step.state(&account.keys()), StepState::Due);
    let signature = account.self_signing().public_key();
    signature.verify(step.signed(), USER).unwrap();

    let signed = Account::new(2);
    assert_eq!(step.state(&signed.keys()), StepState::Done);
    let again = plan::sign_device(&signed.keys(), &device, &account.self_signing());
    assert!(again.unwrap().is_empty());

    let mut other_keys = unsigned();
    other_keys.devices.get_mut("B").unwrap().seed = 77;
    let mut gone = unsigned();
    gone.devices.remove("B");
    let other_identity = Account {
        seed: 50,
        ..unsigned()
    };
    for changed in [&other_keys, &gone, &other_identity] {
        assert_eq!(step.state(&changed.keys()), StepState::Conflict);
    }
    let refused = plan::sign_device(&other_keys.keys(), &device, &account.self_signing());
    assert!(matches!(
        refused.unwrap_err(),
        SignDeviceError::Device(NotConfirmed::Differs(differs)) if differs.member == "keys"
    ));
    let refused = plan::sign_device(&account.keys(), &device, &account.user_signing());
    assert_eq!(refused.unwrap_err(), SignDeviceError::OtherKey);
}

#[test]
fn a_signature_of_another_key_does_not_count_as_done() {
    let account = unsigned();
    let plan = plan::sign_device(
        &account.keys(),
        &confirmed(&account, "B"),
        &account.self_signing(),
    );
    let Action::SignDevice(step) = stored(&plan.unwrap()) else {
        panic!()
    };
    let mut forged = Account::new(2);
    forged.devices.get_mut("B").unwrap().signer = Some(99);
    assert_eq!(step.state(&forged.keys()), StepState::Due);
}

#[test]
fn this_device_is_published_and_signed_in_one_plan() {
    let (account, nothing) = (Account::new(1), nothing_published());
    let local = account.device_keys("A", &account.devices["A"]);
    let device = ConfirmedDevice::own(&local).unwrap();
    let publish = plan::publish_device(&nothing, &device).unwrap();
    let Action::PublishDevice(step) = stored(&publish) else {
        panic!("{publish:?}")
    };
    assert_eq!(step.device_keys().raw("keys"), local.raw("keys"));
    assert_eq!(step.state(&nothing), StepState::Due);
    assert_eq!(step.state(&account.keys()), StepState::Done);
    assert!(
        plan::publish_device(&account.keys(), &device)
            .unwrap()
            .is_empty()
    );
    let mut other = Account::new(1);
    other.devices.get_mut("A").unwrap().seed = 77;
    assert_eq!(step.state(&other.keys()), StepState::Conflict);
    assert!(plan::publish_device(&other.keys(), &device).is_err());

    // The device is not published yet, nor is the identity.
    let to_be = nothing.with_identity(account.keys().identity().clone());
    let sign = plan::sign_device(&to_be, &device, &account.self_signing()).unwrap();
    let plan = Plan::of("both", [publish, sign]);
    let actions: Vec<_> = plan
        .steps
        .iter()
        .map(|step| step.action.to_string())
        .collect();
    assert_eq!(actions, ["publish the device A", "sign the device A"]);
}

#[test]
fn a_device_is_logged_out_unless_it_became_another() {
    let account = Account::new(2);
    let plan = plan::remove_device(&account.keys(), true, "B");
    assert!(plan.warnings[0].contains("rotate"));
    let Action::RemoveDevice(step) = stored(&plan) else {
        panic!("{plan:?}")
    };
    assert_eq!(step.state(&account.keys(), true), StepState::Due);
    let gone = Account::new(1);
    assert_eq!(step.state(&gone.keys(), false), StepState::Done);
    assert!(plan::remove_device(&gone.keys(), false, "B").is_empty());
    // Logged in again under the same ID, with other keys or with none yet.
    let mut other = Account::new(2);
    other.devices.get_mut("B").unwrap().seed = 77;
    assert_eq!(step.state(&other.keys(), true), StepState::Conflict);
    assert_eq!(step.state(&gone.keys(), true), StepState::Conflict);
    // A device without keys is logged out, too.
    let plan = plan::remove_device(&gone.keys(), true, "B");
    let Action::RemoveDevice(step) = stored(&plan) else {
        panic!("{plan:?}")
    };
    assert_eq!(step.state(&gone.keys(), true), StepState::Due);
}

#[test]
fn a_key_backup_is_made_over_the_version_that_was_there() {
    let there = BackupVersion::from_json(&backup_json()).unwrap();
    let new = NewKeyBackup::random(&mut RNG.clone());
    let mut answer = new.to_content();
    answer.insert("version", "2");
    let made = BackupVersion::from_json(&answer.to_json()).unwrap();
    for (before, other) in [(None, Some(&there)), (Some(&there), None)] {
        let plan = plan::create_key_backup(before, &new);
        let Action::CreateKeyBackup(step) = stored(&plan) else {
            panic!("{plan:?}")
        };
        assert!(step.content().is_same(&new.to_content()));
        assert_eq!(step.state(before), StepState::Due);
        assert_eq!(step.state(Some(&made)), StepState::Done);
        assert_eq!(step.state(other), StepState::Conflict);
    }
    assert!(plan::create_key_backup(Some(&made), &new).is_empty());
}

#[test]
fn a_key_backup_is_made_over_one_that_cannot_be_read() {
    let there = BackupVersion::from_json(&backup_json()).unwrap();
    let new = NewKeyBackup::random(&mut RNG.clone());
    let mut answer = new.to_content();
    answer.insert("version", "2");
    let made = BackupVersion::from_json(&answer.to_json()).unwrap();
    let plan = plan::replace_unreadable_key_backup(&new);
    let action = stored(&plan);
    for (now, state) in [
        (Found::UnreadableKeyBackup, StepState::Due),
        (Found::KeyBackup(None), StepState::Due),
        (Found::KeyBackup(Some(&there)), StepState::Conflict),
        (Found::KeyBackup(Some(&made)), StepState::Done),
    ] {
        assert_eq!(action.state(now), state, "{now:?}");
    }
    // One that another client made meanwhile, and that cannot be read here.
    let (private, master) = (Secret::new(base64::encode([7; 32])), key(1));
    for plan in [
        plan::create_key_backup(None, &new),
        plan::create_key_backup(Some(&there), &new),
        plan::sign_key_backup(&there, &private, USER, &master).unwrap(),
    ] {
        let state = stored(&plan).state(Found::UnreadableKeyBackup);
        assert_eq!(state, StepState::Conflict);
    }
}

#[test]
fn a_key_backup_is_signed_by_who_knows_its_private_key() {
    let mut there = Content::from_json(&backup_json()).unwrap();
    let mut auth_data = there.object("auth_data").unwrap().unwrap();
    auth_data.insert("unknown", &[1, 2]);
    there.insert("auth_data", &auth_data);
    let there = BackupVersion::from_json(&there.to_json()).unwrap();
    let (private, master) = (Secret::new(base64::encode([7; 32])), key(1));
    let plan = plan::sign_key_backup(&there, &private, USER, &master).unwrap();
    let Action::SignKeyBackup(step) = stored(&plan) else {
        panic!("{plan:?}")
    };
    assert_eq!(step.state(Some(&there)), StepState::Due);
    assert_eq!(step.state(None), StepState::Conflict);
    let body = step.content();
    assert_eq!(body.raw("version"), Some("\"1\""));
    let signed = BackupVersion::from_json(&body.to_json()).unwrap();
    // The master key signs what is known, and not whatever the server shows.
    let members: Vec<_> = signed.auth_data().members().collect();
    assert_eq!(members, ["public_key", "signatures"]);
    assert_eq!(plan.warnings.len(), 1);
    assert_eq!(step.state(Some(&signed)), StepState::Done);
    let again = plan::sign_key_backup(&signed, &private, USER, &master).unwrap();
    assert!(again.is_empty());
    // The signature of an older master key is not the one of this identity.
    let newer = plan::sign_key_backup(&signed, &private, USER, &key(2)).unwrap();
    assert_eq!(newer.steps.len(), 1);

    let wrong = Secret::new(base64::encode([8; 32]));
    let refused = plan::sign_key_backup(&there, &wrong, USER, &master);
    assert!(matches!(refused, Err(SignKeyBackupError::PrivateKey(_))));
    let other = NewKeyBackup::random(&mut RNG.clone());
    let mut answer = other.to_content();
    answer.insert("version", "1");
    let other = BackupVersion::from_json(&answer.to_json()).unwrap();
    assert_eq!(step.state(Some(&other)), StepState::Conflict);
}

#[test]
fn a_whole_plan_keeps_the_order_and_changes_only_account_data_of_a_snapshot() {
    let (account, new) = (unsigned(), NewKey::random(None, &mut RNG.clone()));
    let mut data = AccountData::default();
    let key = plan::create_key(&SecretStorage::new(&data), &new);
    let sign = plan::sign_device(
        &account.keys(),
        &confirmed(&account, "B"),
        &account.self_signing(),
    );
    let remove = plan::remove_device(&account.keys(), true, "A");
    let plan = Plan::of("all of it", [key, sign.unwrap(), remove]);
    assert_eq!((plan.title.as_str(), plan.steps.len()), ("all of it", 3));
    assert_eq!(plan.warnings.len(), 1);
    assert_eq!(plan.account_data().count(), 1);
    plan.apply_to(&mut data);
    assert_eq!(data.event_types().count(), 1);
}
