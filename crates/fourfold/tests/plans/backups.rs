//! Plans for private keys of the key backup: no copy that opened before is gone after any step.

use std::collections::BTreeSet;

use fourfold::backup::{
    BackupKey, CopyFrom, CurrentBackup, KeyCopy, ShownVersion, former, stored_copies,
};
use fourfold::plan::{
    self, Action, BackupKeyError, DeleteKeyBackupError, Found, KeyOfBackup, StepState,
};
use fourfold::{BackupVersion, NewKey, NewKeyBackup, Plan, ProvenKey, PublishedKeys, SecretName};

use crate::account::Account;
use crate::dice::Dice;

/// An account with two keys of secret storage, under both of which lies the private key of version 1.
struct Scene {
    account: Account,
    versions: Vec<NewKeyBackup>,
    dice: Dice,
}

impl Scene {
    fn new() -> Self {
        let mut dice = Dice::new(31);
        let keys = vec![
            NewKey::random(None, &mut dice),
            NewKey::random(None, &mut dice),
        ];
        let versions = (0..3).map(|_| NewKeyBackup::random(&mut dice)).collect();
        let mut scene = Self {
            account: Account::with_keys(keys),
            versions,
            dice,
        };
        scene.account.make_default(0);
        let secret = scene.versions[0].secret();
        let keys = scene
            .account
            .keys
            .iter()
            .map(|key| plan::WritingKey::Proven(key.key()));
        let keys: Vec<_> = keys.collect();
        let stored = plan::store(
            &scene.account.storage(),
            &SecretName::backup_key(),
            &secret,
            &keys,
            &PublishedKeys::default(),
            &mut scene.dice,
        );
        let stored = stored.unwrap();
        stored.apply_to(&mut scene.account.data);
        scene
    }

    fn shown(&self, index: usize) -> ShownVersion {
        let mut answer = self.versions[index].to_content();
        answer.insert("version", &(index + 1).to_string());
        ShownVersion::from_json(&answer.to_json())
    }

    fn version(&self, index: usize) -> BackupVersion {
        self.shown(index).read.unwrap()
    }

    fn current(&self, index: usize) -> CurrentBackup {
        CurrentBackup::Shown(Box::new(self.shown(index)))
    }

    /// The public keys of all private keys that open, with where they lie.
    fn kept(&self) -> BTreeSet<(String, String, String)> {
        let copies = stored_copies(&self.account.storage(), &self.account.all_keys());
        let copies = copies.into_iter().map(|copy| match copy.from {
            CopyFrom::Stored { name, key_id } => {
                (name.to_string(), key_id.to_string(), copy.key.public_key())
            }
            other => panic!("{other:?}"),
        });
        copies.collect()
    }

    fn public_keys(&self) -> BTreeSet<String> {
        self.kept().into_iter().map(|(_, _, key)| key).collect()
    }

    /// Carries a plan out, with a look after each step: what opened before is there.
    fn carry_out(&mut self, plan: &Plan) {
        let before = self.public_keys();
        for put in plan.account_data() {
            let data = &mut self.account.data;
            data.insert(&put.event_type, &put.content);
            let now = self.public_keys();
            assert!(now.is_superset(&before), "{}", put.event_type);
        }
    }
}

fn proven(account: &Account) -> Vec<&ProvenKey> {
    account.keys.iter().map(NewKey::key).collect()
}

#[test]
fn a_renewal_keeps_every_private_key() {
    // With one key of secret storage, and with both; the current version is the own one or not.
    for (number, current) in [(1, 0), (2, 0), (1, 1), (2, 1)] {
        let mut scene = Scene::new();
        let new = NewKeyBackup::random(&mut scene.dice);
        let held = KeyCopy::of(&scene.versions[2].secret(), CopyFrom::ThisMachine).unwrap();
        let keys: Vec<_> = proven(&scene.account).into_iter().take(number).collect();
        let older = [scene.version(0), scene.version(2)];
        let renew = |scene: &Scene, rng: &mut Dice| {
            let current = scene.current(current);
            plan::renew_key_backup(
                &scene.account.storage(),
                &current,
                &older,
                &new,
                &keys,
                std::slice::from_ref(&held),
                rng,
            )
        };
        let plan = renew(&scene, &mut Dice::new(1)).unwrap();
        let create = |step: &plan::Step| matches!(step.action, Action::CreateKeyBackup(_));
        assert_eq!(plan.steps.iter().filter(|step| create(step)).count(), 1);
        drop(keys);
        scene.carry_out(&plan);
        let kept = scene.kept();
        let is_there = |name: &str, key: usize, backup: &NewKeyBackup| {
            let id = scene.account.id(key).to_string();
            kept.contains(&(name.to_owned(), id, backup.public_key()))
        };
        for key in 0..number {
            assert!(is_there("m.megolm_backup.v1", key, &new));
            assert!(is_there(
                "org.fourfold.megolm_backup.v1.1",
                key,
                &scene.versions[0]
            ));
            assert!(is_there(
                "org.fourfold.megolm_backup.v1.3",
                key,
                &scene.versions[2]
            ));
        }
        // A key that is not at hand keeps what it has.
        if number == 1 {
            assert!(is_there("m.megolm_backup.v1", 1, &scene.versions[0]));
            assert!(
                plan.warnings
                    .iter()
                    .any(|one| one.contains("left as it is"))
            );
        }
    }
}

#[test]
fn what_is_put_back_fits_and_replaces_nothing_that_is_not_kept() {
    let mut scene = Scene::new();
    let current = scene.version(1);
    let key =
        |scene: &Scene, index: usize| BackupKey::read(&scene.versions[index].secret()).unwrap();
    let restore = |scene: &Scene, index: usize| {
        plan::restore_backup_key(
            &scene.account.storage(),
            &current,
            &[],
            &key(scene, index),
            &proven(&scene.account),
            &mut Dice::new(3),
        )
    };
    assert_eq!(
        restore(&scene, 0).unwrap_err(),
        BackupKeyError::OtherVersion
    );
    let plan = restore(&scene, 1).unwrap();
    scene.carry_out(&plan);
    // Version 1 is not known to anybody here: its key is kept by itself.
    let names: BTreeSet<_> = scene.kept().into_iter().map(|(name, _, _)| name).collect();
    let kept = names.iter().find(|name| name.contains(".key.")).unwrap();
    assert!(former::is_name(&SecretName::new(kept.clone()).unwrap()));
    assert_eq!(scene.public_keys().len(), 2);
    assert!(restore(&scene, 1).unwrap().is_empty());
    let none = plan::restore_backup_key(
        &scene.account.storage(),
        &current,
        &[],
        &key(&scene, 1),
        &[],
        &mut Dice::new(3),
    );
    assert_eq!(none.unwrap_err(), BackupKeyError::NoKey);
}

#[test]
fn a_name_that_holds_something_else_is_not_overwritten() {
    let mut scene = Scene::new();
    let name = former::name_of_version("1").unwrap();
    let foreign = scene.versions[2].secret();
    let store = |scene: &mut Scene, name: &SecretName| {
        let key = scene.account.keys[0].key();
        let plan = plan::store(
            &scene.account.storage(),
            name,
            &foreign,
            &[plan::WritingKey::Proven(key)],
            &PublishedKeys::default(),
            &mut Dice::new(4),
        );
        plan.unwrap().apply_to(&mut scene.account.data);
    };
    store(&mut scene, &name);
    let new = NewKeyBackup::random(&mut scene.dice);
    let renew = |scene: &Scene| {
        plan::renew_key_backup(
            &scene.account.storage(),
            &scene.current(0),
            &[],
            &new,
            &[scene.account.keys[0].key()],
            &[],
            &mut Dice::new(5),
        )
    };
    let plan = renew(&scene).unwrap();
    let by_key = plan.account_data().next().unwrap().event_type.clone();
    assert!(by_key.contains(".key."));
    // That name is taken too.
    store(&mut scene, &SecretName::new(by_key).unwrap());
    assert_eq!(renew(&scene).unwrap_err(), BackupKeyError::NamesTaken);
}

#[test]
fn what_is_in_use_is_not_deleted() {
    let scene = Scene::new();
    let delete = |is_current, also_in_use, key| {
        plan::delete_key_backup("1", &scene.shown(0), is_current, also_in_use, key)
    };
    use DeleteKeyBackupError::{InUse, PerhapsInUse};
    assert_eq!(delete(true, false, KeyOfBackup::AtHand).unwrap_err(), InUse);
    assert_eq!(
        delete(true, false, KeyOfBackup::Unknown).unwrap_err(),
        PerhapsInUse
    );
    for (is_current, also_in_use, key) in [
        (true, true, KeyOfBackup::AtHand),
        (true, true, KeyOfBackup::Unknown),
        (true, false, KeyOfBackup::Missing),
        (false, false, KeyOfBackup::AtHand),
        (false, false, KeyOfBackup::Unknown),
    ] {
        let plan = delete(is_current, also_in_use, key).unwrap();
        assert_eq!(plan.steps.len(), 1);
        let says_current = plan
            .warnings
            .iter()
            .any(|one| one.contains("current version"));
        assert_eq!(says_current, is_current);
        assert!(plan.warnings[0].contains("room keys is deleted for good"));
    }
}

#[test]
fn a_deletion_meets_the_version_that_it_was_planned_for() {
    let scene = Scene::new();
    let (own, other) = (scene.shown(0), scene.shown(1));
    let unreadable = ShownVersion::from_json("null");
    let plan = |shown: &ShownVersion| {
        plan::delete_key_backup("1", shown, false, false, KeyOfBackup::Missing).unwrap()
    };
    let readable = plan(&own);
    for (found, state) in [
        (Found::KeyBackupVersion(None), StepState::Done),
        (Found::KeyBackupVersion(Some(&own)), StepState::Due),
        (Found::KeyBackupVersion(Some(&other)), StepState::Conflict),
        (
            Found::KeyBackupVersion(Some(&unreadable)),
            StepState::Conflict,
        ),
        (Found::UnreadableKeyBackup, StepState::Conflict),
        (Found::KeyBackup(None), StepState::Conflict),
    ] {
        assert_eq!(readable.state_of(0, found), state);
    }
    let damaged = plan(&unreadable);
    for (found, state) in [
        (Found::KeyBackupVersion(None), StepState::Done),
        (Found::KeyBackupVersion(Some(&unreadable)), StepState::Due),
        (Found::UnreadableKeyBackup, StepState::Due),
        (Found::KeyBackupVersion(Some(&own)), StepState::Conflict),
    ] {
        assert_eq!(damaged.state_of(0, found), state);
    }
}
