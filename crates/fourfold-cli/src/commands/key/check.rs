//! `fourfold key check`: which key a recovery key or passphrase is, and where a typing error is.

use std::collections::BTreeSet;

use clap::Args;
use fourfold::judged::Judged;
use fourfold::passphrase::Budget;
use fourfold::{KeyCheckOutcome, KeyId, Quirk, SecretStorage, SecretStorageKey};
use serde_json::json;

use crate::account;
use crate::error::{Error, Exit, Result};
use crate::options::{AcceptOptions, Global, Offer, ReadOptions, UnlockOptions};
use crate::storage::unlock::{self, Candidates};
use crate::terminal::{messages, output};

/// Options of `key check`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    unlock: UnlockOptions,
    #[command(flatten)]
    read: ReadOptions,
    #[command(flatten)]
    accept: AcceptOptions,
}

/// Says of each key that is given which one it is.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let (snapshot, _) = account::read(
        global,
        &options.read,
        None,
        &options.unlock.input,
        options.accept,
    )?;
    let candidates = unlock::candidates(&snapshot, &options.unlock)?;
    let question = unlock::question(&candidates);
    let mut failed = Ok(());
    let mut budget = unlock::budget(&options.unlock.input);
    for offer in options.unlock.input.offers(question)? {
        let checked = check(global, &snapshot, &offer, &candidates, &mut budget);
        if checked.is_err() {
            failed = checked;
        }
    }
    failed
}

fn check(
    global: &Global,
    snapshot: &Judged,
    offer: &Offer,
    candidates: &Candidates,
    budget: &mut Budget,
) -> Result<()> {
    let storage = snapshot.storage();
    let found = match unlock::find(snapshot, offer, candidates, budget) {
        Ok(found) => found,
        Err(error)
            if snapshot
                .published_keys()
                .is_recovery_key_of_backup(offer.text()) =>
        {
            return Err(Error::new(
                error.exit,
                "this is the key of the key backup, not of secret storage",
            )
            .hint("it opens room keys; store it as the secret m.megolm_backup.v1"));
        }
        Err(error) => return Err(error),
    };
    let id = found.key.id();
    let is_default = storage.default_key().named() == Some(id);
    let verified = found.outcome == KeyCheckOutcome::Verified;
    if global.json {
        output::json(&json!({
            "key_id": id,
            "is_default_key": is_default,
            "is_verified": verified,
            "quirks": quirks(&storage, &found.key),
        }))?;
    } else if verified {
        let kind = if is_default {
            ""
        } else {
            ", not the default key"
        };
        output::line(format_args!(
            "this is the key {}{kind}",
            unlock::label(&storage, id)
        ))?;
    }
    if verified {
        if storage.key(id).is_err() {
            say_undescribed(&storage, id);
        }
        return Ok(());
    }
    Err(Error::new(
        Exit::NotVerified,
        format!(
            "this may be the key {}, but it cannot be verified",
            unlock::label(&storage, id)
        ),
    )
    .hint("the key has no check data and opens no secret"))
}

fn say_undescribed(storage: &SecretStorage<'_>, id: &KeyId) {
    let secrets = match storage.secrets_under(id).count() {
        1 => "1 secret".to_owned(),
        number => format!("{number} secrets"),
    };
    messages::warn(format_args!(
        "the key has no description any more, so that most clients cannot use it; it opens {secrets}"
    ));
    messages::hint(unlock::DESCRIBE_AGAIN);
}

/// With the key all of them can be seen, also with which IV the check data was made.
fn quirks(storage: &SecretStorage<'_>, key: &SecretStorageKey) -> BTreeSet<Quirk> {
    let description = storage.key(key.id()).ok();
    let check = description.and_then(|description| description.check(key).ok());
    check.into_iter().flat_map(|check| check.quirks).collect()
}
