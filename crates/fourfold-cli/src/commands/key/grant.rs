//! `fourfold key grant` and `key revoke`: which keys open a secret.

use clap::Args;
use fourfold::plan;
use fourfold::{Plan, SecretName, SecretStorage};

use crate::account::change;
use crate::error::{Error, Exit, Result};
use crate::keys::random::rng;
use crate::options::{AcceptOptions, ChangeOptions, Global, KeyInput};
use crate::storage::unlock::{self, Candidates};

/// Options of `key grant`.
#[derive(Args, Clone, Debug)]
pub(crate) struct GrantOptions {
    /// The ID of the key that gets access to the secrets
    #[arg(value_name = "ID")]
    id: String,
    /// The names of the secrets [default: all that the other key opens]
    names: Vec<String>,
    #[command(flatten)]
    input: KeyInput,
    #[command(flatten)]
    change: ChangeOptions,
    #[command(flatten)]
    accept: AcceptOptions,
}

/// Options of `key revoke`.
#[derive(Args, Clone, Debug)]
pub(crate) struct RevokeOptions {
    /// The ID of the key that loses access to the secrets
    #[arg(value_name = "ID")]
    id: String,
    /// The names of the secrets
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    remaining: KeyInput,
    #[command(flatten)]
    change: ChangeOptions,
    #[command(flatten)]
    accept: AcceptOptions,
}

/// Encrypts secrets under one more key.
pub(crate) fn grant(global: &Global, options: &GrantOptions) -> Result<()> {
    let id = unlock::key_id(&options.id)?;
    let input = &options.input;
    change::make_with_key(global, input, options.change, options.accept, |snapshot| {
        let storage = snapshot.storage();
        let mut budget = unlock::budget(&options.input);
        let (mut to, mut from) = (None, None);
        for offer in options.input.offers_twice(
            "Recovery key or passphrase that opens the secrets",
            "Recovery key or passphrase of the other key",
        )? {
            let candidates = Candidates::all(&storage);
            let found = unlock::find(snapshot, &offer, &candidates, &mut budget)?;
            if *found.key.id() == id {
                to = Some(unlock::prove_again(snapshot, found)?);
            } else {
                from = Some(found.key);
            }
        }
        let (Some(to), Some(from)) = (to, from) else {
            return Err(Error::new(
                Exit::WrongKey,
                "two keys are needed: one that opens the secrets now, \
                and the one that is to open them",
            ));
        };
        let published_keys = snapshot.published_keys();
        let storage = SecretStorage::new(&to.account_data);
        let names = names(&storage, &options.names, from.id())?;
        let granted = names
            .iter()
            .map(|name| plan::add_key(&storage, name, &from, &to.key, &published_keys, &mut rng()));
        let mut plans = granted.collect::<Result<Vec<_>, _>>()?;
        if !(plans.is_empty() || to.plan.is_empty()) {
            plans.insert(0, to.plan);
        }
        joined(format!("give the key {id} access to secrets"), plans)
    })
}

/// Removes the entries of a key from secrets.
pub(crate) fn revoke(global: &Global, options: &RevokeOptions) -> Result<()> {
    let id = unlock::key_id(&options.id)?;
    let input = &options.remaining;
    change::make_with_key(global, input, options.change, options.accept, |snapshot| {
        let storage = snapshot.storage();
        let others: Vec<_> = storage.keys().filter(|key| *key.id() != id).collect();
        let offers = options
            .remaining
            .offers("Recovery key or passphrase of a remaining key")?;
        let offer = offers
            .first()
            .ok_or_else(|| Error::usage("no key was given"))?;
        let (mut budget, others) = (unlock::budget(&options.remaining), others.into());
        let remaining = unlock::find(snapshot, offer, &others, &mut budget)?.key;
        let (published_keys, mut plans) = (snapshot.published_keys(), Vec::new());
        for name in names(&storage, &options.names, &id)? {
            let plan = plan::take_key_away(&storage, &name, &id, &remaining, &published_keys)?;
            plans.push(plan);
        }
        joined(format!("revoke the key {id}'s access to secrets"), plans)
    })
}

/// The secrets that are named, or all that a key opens.
fn names(
    storage: &SecretStorage<'_>,
    names: &[String],
    id: &fourfold::KeyId,
) -> Result<Vec<SecretName>> {
    if !names.is_empty() {
        return names
            .iter()
            .map(|name| SecretName::new(name).map_err(Error::usage))
            .collect();
    }
    Ok(storage.secrets_under(id).collect())
}

fn joined(title: String, plans: Vec<Plan>) -> Result<Plan> {
    if plans.is_empty() {
        return Err(Error::refused("that key opens no secrets"));
    }
    Ok(Plan::of(title, plans))
}
