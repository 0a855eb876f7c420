//! `fourfold key rotate`: replace keys with a new one, for all secrets.

use clap::Args;
use fourfold::plan::{self, Destination, OtherKey};
use fourfold::{KeyId, Plan, SecretStorage, SecretStorageKey};

use super::successor::Successor;
use crate::account::{LoggedIn, change};
use crate::error::{Error, Result};
use crate::keys::new_key;
use crate::keys::random::rng;
use crate::options::{AcceptOptions, ChangeOptions, Global, NewKeyOptions, UnlockOptions};
use crate::storage::unlock::{self, Candidates};
use crate::terminal::{messages, prompt};

/// Options of `key rotate`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    old: UnlockOptions,
    #[command(flatten)]
    new: NewKeyOptions,
    /// Let the passphrase of the old key, with which it is given, open the new key too
    #[arg(long, conflicts_with_all = ["new_passphrase", "generate_passphrase",
        "new_passphrase_file", "new_passphrase_fd"])]
    keep_passphrase: bool,
    /// Let no passphrase open the new key, only its recovery key
    #[arg(long, conflicts_with_all = ["keep_passphrase", "new_passphrase", "generate_passphrase",
        "new_passphrase_file", "new_passphrase_fd"])]
    no_passphrase: bool,
    /// Also take away the other keys that open these secrets and no others
    #[arg(long)]
    withdraw_others: bool,
    #[command(flatten)]
    change: ChangeOptions,
    #[command(flatten)]
    accept: AcceptOptions,
}

/// Opens everything with the old keys and encrypts it under the new one.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let mut logged_in = LoggedIn::open(global)?;
    let snapshot = logged_in.snapshot_to_change(&options.old.input, options.accept)?;
    new_key::check_delivery(&options.new, options.change)?;
    let storage = snapshot.storage();
    let mut budget = unlock::budget(&options.old.input);
    let candidates = unlock::writing_candidates(&snapshot, &options.old)?;
    let offers = options.old.input.offers(unlock::question(&candidates))?;
    // The default key alone, unless several are given, or one is chosen.
    let candidates = match offers.len() {
        1 => candidates,
        _ if options.old.key.is_some() => {
            return Err(Error::usage("exactly one key is needed with --key"));
        }
        _ => Candidates::all(&storage),
    };
    let mut old: Vec<SecretStorageKey> = Vec::new();
    for offer in &offers {
        let key = unlock::find(&snapshot, offer, &candidates, &mut budget)?.key;
        if !old.iter().any(|one| one.id() == key.id()) {
            old.push(key);
        }
    }
    let successor = Successor {
        old: &storage,
        keys: old.iter().map(SecretStorageKey::id).collect(),
        keeps: options.keep_passphrase,
        drops: options.no_passphrase,
        asks: asks(options),
    };
    let new = successor.make(&offers, &options.new)?;

    let others = others(&storage, &old);
    for other in others
        .iter()
        .filter(|other| asks(options) && !other.alone.is_empty())
    {
        let found = ask_for(&snapshot, &storage, other, options)?;
        old.extend(found);
    }
    let (published_keys, destination) = (snapshot.published_keys(), Destination::New(&new));
    let given: Vec<_> = old.iter().collect();
    let rotation = plan::rotate_all(&storage, &given, destination, &published_keys, &mut rng())?;
    let mut after = snapshot.account_data.clone();
    rotation.apply_to(&mut after);
    let title = rotation.title.clone();
    let mut plans = vec![rotation];
    for other in self::others(&storage, &old) {
        let storage = SecretStorage::new(&after);
        let remaining = [new.key().key()];
        let withdrawal = plan::remove_key(&storage, &other.id, &remaining, &published_keys);
        let label = unlock::label(&storage, &other.id);
        match withdrawal {
            Ok(withdrawal) if withdraws(options, &label, &other)? => {
                withdrawal.apply_to(&mut after);
                plans.push(withdrawal);
            }
            _ => say_what_remains(&label, &other),
        }
    }
    let plan = Plan::of(title, plans);
    let (how, change, id) = (&options.new, options.change, new.key().id());
    let cleared = snapshot.clear(&plan);
    match change::introduce(global, &mut logged_in, cleared, &new, how, change)? {
        None => Ok(()),
        Some(report) => {
            let report = match old.first() {
                Some(first) => report.with_old_key(first.id()),
                None => report,
            };
            report.print(global, format_args!("rotated: the new key is {id}"))
        }
    }
}

/// Whether a person can be asked, and wants to be.
fn asks(options: &Options) -> bool {
    let change = options.change;
    !change.yes && !change.dry_run && prompt::is_possible()
}

fn others(storage: &SecretStorage<'_>, old: &[SecretStorageKey]) -> Vec<OtherKey> {
    let ids: Vec<&KeyId> = old.iter().map(SecretStorageKey::id).collect();
    plan::other_keys(storage, &ids)
}

/// A key that opens secrets which no key that was given opens: it may be given too.
fn ask_for(
    snapshot: &fourfold::judged::Judged,
    storage: &SecretStorage<'_>,
    other: &OtherKey,
    options: &Options,
) -> Result<Option<SecretStorageKey>> {
    let label = unlock::label(storage, &other.id);
    messages::say(format_args!(
        "{} under the key {label} and not under the old one; to move them too, give that key, or \
         leave it empty to leave them there",
        secrets(other.alone.len())
    ));
    let candidates = Candidates::one(storage, other.id.as_str())?;
    let mut budget = unlock::budget(&options.old.input);
    for _ in 0..3 {
        let question = unlock::question(&candidates);
        let text = prompt::hidden(question, "use --recovery-key-file once for each key")?;
        if text.is_empty() {
            return Ok(None);
        }
        let offer = crate::options::Offer::Either(text);
        match unlock::find(snapshot, &offer, &candidates, &mut budget) {
            Ok(found) => return Ok(Some(found.key)),
            Err(error) => messages::warn(error.message),
        }
    }
    Ok(None)
}

fn withdraws(options: &Options, label: &str, other: &OtherKey) -> Result<bool> {
    if options.withdraw_others {
        return Ok(true);
    }
    if !asks(options) {
        return Ok(false);
    }
    messages::say(format_args!(
        "the key {label} opens {} of these secrets too, and no others",
        other.shared.len()
    ));
    Ok(prompt::is_yes(&prompt::visible(
        "Take it away, so that it opens nothing any more? [y/N]",
    )?))
}

fn say_what_remains(label: &str, other: &OtherKey) {
    if !other.alone.is_empty() {
        messages::note(format_args!(
            "{} under the key {label} and not under the old one: they stay there, unless that key is \
             given too",
            secrets(other.alone.len())
        ));
    }
    if !other.shared.is_empty() {
        messages::note(format_args!(
            "the key {label} still opens {} of these secrets; --withdraw-others takes away what is \
             under the new key too",
            other.shared.len()
        ));
    }
}

fn secrets(number: usize) -> String {
    match number {
        1 => "1 secret is".to_owned(),
        number => format!("{number} secrets are"),
    }
}
