//! Plans for generated accounts, stopped after every step: nothing readable is ever lost.

use std::collections::BTreeSet;

use fourfold::plan::{Destination, RemoveKeyError, StepState, TransferError};
use fourfold::{
    AccountData, Content, DefaultKey, EncryptedSecret, KeyId, NewKey, Plan, PublishedKeys,
    SecretName, SecretState, SecretStorage, SecretStorageKey, plan,
};

use crate::account::{Account, Identity, Shape, generate, meaning, puts};
use crate::dice::Dice;

const ACCOUNTS: u64 = 60;

// shows: STO-10
#[test]
fn rotation_loses_nothing_whenever_it_stops() {
    let mut rotated = 0;
    for seed in 0..ACCOUNTS {
        let mut dice = Dice::new(seed);
        let account = generate(&mut dice, PLAIN);
        let old = account.key(dice.below(account.keys.len()));
        let new = NewKey::random(None, &mut dice);
        let published_keys = published_keys(&mut dice);
        let run = Run {
            account: &account,
            given_up: &[old],
            new: Some(new.key().key()),
            seed,
        };
        rotated += run.check(|data| {
            plan::rotate(
                &SecretStorage::new(data),
                old,
                Destination::New(&new),
                &published_keys,
                &mut Dice::new(seed),
            )
            .map_err(refused_as_wrong)
        });
    }
    assert!(rotated > ACCOUNTS as usize / 2, "{rotated}");
}

// shows: STO-10
#[test]
fn rotation_to_an_existing_key_loses_nothing_whenever_it_stops() {
    let mut rotated = 0;
    for seed in 1_000..1_000 + ACCOUNTS {
        let mut dice = Dice::new(seed);
        let account = generate(&mut dice, PLAIN);
        if account.keys.len() < 2 {
            continue;
        }
        let (old, new) = (account.key(0), account.keys[1].key());
        let published_keys = published_keys(&mut dice);
        let run = Run {
            account: &account,
            given_up: &[old],
            new: Some(new.key()),
            seed,
        };
        rotated += run.check(|data| {
            plan::rotate(
                &SecretStorage::new(data),
                old,
                Destination::Existing(new),
                &published_keys,
                &mut Dice::new(seed),
            )
            .map_err(refused_as_wrong)
        });
    }
    assert!(rotated > ACCOUNTS as usize / 2, "{rotated}");
}

// shows: STO-10
#[test]
fn migration_loses_nothing_whenever_it_stops() {
    let mut migrated = 0;
    for seed in 2_000..2_000 + ACCOUNTS {
        let mut dice = Dice::new(seed);
        let account = generate(&mut dice, Shape { profile_2019: true });
        let old: Vec<_> = account
            .all_keys()
            .into_iter()
            .filter(|key| key.algorithm() == fourfold::Algorithm::Curve25519AesSha2)
            .collect();
        let new = NewKey::random(None, &mut dice);
        let published_keys = published_keys(&mut dice);
        let run = Run {
            account: &account,
            given_up: &old,
            new: Some(new.key().key()),
            seed,
        };
        migrated += run.check(|data| {
            plan::migrate(
                &SecretStorage::new(data),
                &old,
                Destination::New(&new),
                &published_keys,
                &mut Dice::new(seed),
            )
            .map_err(refused_as_wrong)
        });
    }
    assert!(migrated > ACCOUNTS as usize / 2, "{migrated}");
}

// shows: STO-10
#[test]
fn removing_a_key_loses_nothing_whenever_it_stops() {
    let mut removed = 0;
    for seed in 3_000..3_000 + 12 * ACCOUNTS {
        let mut dice = Dice::new(seed);
        let account = generate(&mut dice, PLAIN);
        let key = account.key(dice.below(account.keys.len()));
        let (keys, published_keys) = (account.all_keys(), PublishedKeys::default());
        let run = Run {
            account: &account,
            given_up: &[key],
            new: None,
            seed,
        };
        removed += run.check(|data| {
            plan::remove_key(&SecretStorage::new(data), key.id(), &keys, &published_keys).map_err(
                |error| {
                    let expected = matches!(
                        error,
                        RemoveKeyError::IsDefault
                            | RemoveKeyError::LastCopy { .. }
                            | RemoveKeyError::NoSuchKey
                    );
                    assert!(expected, "{error}");
                },
            )
        });
    }
    assert!(removed > 20, "{removed}");
}

const PLAIN: Shape = Shape {
    profile_2019: false,
};

fn published_keys(dice: &mut Dice) -> PublishedKeys {
    if dice.one_in(3) {
        PublishedKeys::default()
    } else {
        Identity::ALICE.published_keys()
    }
}

/// A key without check data in an account where all of its entries are damaged.
fn refused_as_wrong(error: TransferError) {
    assert!(matches!(error, TransferError::WrongKey { .. }), "{error}");
}

/// One account, and what a plan may touch of it.
struct Run<'a> {
    account: &'a Account,
    given_up: &'a [&'a SecretStorageKey],
    new: Option<&'a SecretStorageKey>,
    seed: u64,
}

impl Run<'_> {
    /// Makes the plan, applies it step by step and checks everything after each. Says how many
    /// plans there were: none when it was refused.
    fn check(&self, make: impl Fn(&AccountData) -> Result<Plan, ()>) -> usize {
        let Ok(plan) = make(&self.account.data) else {
            return 0;
        };
        let end = self.applied(&plan, &make);
        self.check_everything(&end, &format!("seed {}", self.seed));
        let again = make(&end);
        assert!(
            again.as_ref().map_or(true, Plan::is_empty),
            "seed {}: a second plan has {:?}",
            self.seed,
            again.unwrap().steps
        );
        self.check_what_is_left(&plan, &end);
        1
    }

    fn applied(
        &self,
        plan: &Plan,
        make: &impl Fn(&AccountData) -> Result<Plan, ()>,
    ) -> AccountData {
        let mut data = self.account.data.clone();
        for (index, step) in puts(plan).into_iter().enumerate() {
            let reason = &plan.steps[index].reason;
            let context = format!("seed {}, step {index}: {reason}", self.seed);
            let now = data.raw(&step.event_type).map(ToOwned::to_owned);
            assert_eq!(step.state(now.as_deref()), StepState::Due, "{context}");
            let foreign = foreign_change(now.as_deref());
            assert_eq!(step.state(Some(&foreign)), StepState::Conflict, "{context}");

            data.insert(&step.event_type, &step.content);
            let now = data.raw(&step.event_type);
            assert_eq!(step.state(now), StepState::Done, "{context}");
            // Nothing else has changed since the step before.
            self.check_event(&data, &step.event_type, &context);
            self.check_default(&data, &context);
            if index % 16 == 5 && index + 1 < plan.steps.len() {
                self.check_fresh_start(&data, make, &context);
            }
        }
        data
    }

    /// Whoever crashed without a journal makes the plan again.
    fn check_fresh_start(
        &self,
        data: &AccountData,
        make: &impl Fn(&AccountData) -> Result<Plan, ()>,
        context: &str,
    ) {
        let mut data = data.clone();
        let plan = make(&data).unwrap_or_else(|()| panic!("{context}: refused after a crash"));
        plan.apply_to(&mut data);
        self.check_everything(&data, context);
        assert!(
            make(&data).as_ref().map_or(true, Plan::is_empty),
            "{context}"
        );
    }

    fn check_everything(&self, data: &AccountData, context: &str) {
        for event_type in self.account.data.event_types() {
            self.check_event(data, event_type, context);
        }
    }

    /// Of one event: what was readable, entries of other keys, members beside `encrypted`, and
    /// everything when it is no business of the plan.
    fn check_event(&self, data: &AccountData, event_type: &str, context: &str) {
        let Some(old) = self.account.data.raw(event_type) else {
            let is_expected =
                event_type == DefaultKey::EVENT_TYPE || self.is_own_description(event_type);
            assert!(is_expected, "{context}: {event_type} is new");
            return;
        };
        if event_type == DefaultKey::EVENT_TYPE || self.is_own_description(event_type) {
            return;
        }
        let now = data.raw(event_type);
        let now = now.unwrap_or_else(|| panic!("{context}: {event_type} is gone"));
        let name = SecretName::new(event_type);
        let storage = self.account.storage();
        let before = name.as_ref().map(|name| storage.secret(name));
        let (Ok(name), Ok(SecretState::Encrypted(before))) = (&name, before) else {
            assert_eq!(old, now, "{context}: {event_type}");
            return;
        };

        let mut keys = self.account.all_keys();
        keys.extend(self.new);
        let after = EncryptedSecret::from_json(now).unwrap();
        let lost: Vec<_> = readable(name, &before, &keys)
            .difference(&readable(name, &after, &keys))
            .cloned()
            .collect();
        assert!(lost.is_empty(), "{context}: {name} lost {lost:?}");

        let (before, after) = (before.content(), after.content());
        for member in before.members().filter(|member| *member != "encrypted") {
            assert_eq!(before.raw(member), after.raw(member), "{context}: {name}");
        }
        let encrypted = |content: &Content| content.object("encrypted").unwrap().unwrap();
        let (before, after) = (encrypted(before), encrypted(after));
        for id in before.members().filter(|id| !self.is_own_key(id)) {
            assert_eq!(
                before.raw(id),
                after.raw(id),
                "{context}: {name} under {id}"
            );
        }
    }

    fn check_default(&self, data: &AccountData, context: &str) {
        let before = SecretStorage::new(&self.account.data).default_key();
        let now = SecretStorage::new(data).default_key();
        match now {
            DefaultKey::Key(_) => {}
            other => assert_eq!(other, before, "{context}"),
        }
    }

    /// What the plan did not take away, it named.
    fn check_what_is_left(&self, plan: &Plan, end: &AccountData) {
        let storage = SecretStorage::new(end);
        for key in self.given_up {
            let mut left = storage
                .secrets()
                .filter(|(_, secret)| secret.entry(key.id()).is_some())
                .map(|(name, _)| name)
                .peekable();
            assert_eq!(
                storage.key(key.id()).is_ok(),
                left.peek().is_some(),
                "seed {}: {}",
                self.seed,
                key.id()
            );
            for name in left {
                let warning = format!("{name} under {} is not changed", key.id());
                let is_said = plan.warnings.iter().any(|said| said.starts_with(&warning));
                assert!(is_said, "seed {}: {warning}", self.seed);
            }
        }
    }

    fn is_own_key(&self, id: &str) -> bool {
        let mut own = self.given_up.iter().copied().chain(self.new);
        own.any(|key| key.id().as_str() == id)
    }

    fn is_own_description(&self, event_type: &str) -> bool {
        KeyId::from_event_type(event_type).is_some_and(|id| self.is_own_key(id.as_str()))
    }
}

/// All values that any of the keys opens.
fn readable(
    name: &SecretName,
    secret: &EncryptedSecret,
    keys: &[&SecretStorageKey],
) -> BTreeSet<String> {
    let opened = keys.iter().filter_map(|key| match secret.entry(key.id()) {
        Some(Ok(entry)) => key.open(name, entry).ok(),
        _ => None,
    });
    opened.map(|(value, _)| meaning(name, &value)).collect()
}

/// What another client could have put there in the meantime.
fn foreign_change(now: Option<&str>) -> String {
    let mut content = now
        .and_then(|json| Content::from_json(json).ok())
        .unwrap_or_default();
    content.insert("foreign", &true);
    content.to_json()
}
