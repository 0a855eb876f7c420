//! From what the user gave to the key that it is.

use fourfold::passphrase::{Bounds, Budget, ParametersError, Passphrase};
use fourfold::recovery_key::{self, RecoveryKeyError};
use fourfold::{
    DefaultKey, KeyCheckOutcome, KeyDescription, KeyId, KeyInputError, NotProvenReason, ProvenKey,
    SecretStorage, SecretStorageKey,
};
use fourfold_client::escape_untrusted;

use crate::error::{Error, Exit, Result};
use crate::options::{KeyInput, Offer, UnlockOptions};
use crate::storage::judged::Judged;
use crate::terminal::messages;

/// A key that was found, and how certain it is.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) key: SecretStorageKey,
    pub(crate) outcome: KeyCheckOutcome,
}

/// Finds the key that an offer is, among the candidates in their order.
///
/// A recovery key is tried as one first; only what cannot be one is taken for a passphrase. A key
/// whose check verifies wins over one that cannot be checked. All offers of a command share one
/// budget.
pub(crate) fn find(
    snapshot: &Judged,
    offer: &Offer,
    candidates: &[KeyDescription],
    budget: &mut Budget,
) -> Result<Found> {
    let storage = &snapshot.storage();
    if candidates.is_empty() {
        return Err(Error::refused("there is no key of secret storage")
            .hint("fourfold setup makes the first one"));
    }
    let (is_recovery_key, text) = match offer {
        Offer::RecoveryKey(text) => {
            recovery_key::decode(text).map_err(recovery_key_error)?;
            (true, text)
        }
        // Nobody chooses the recovery key of another key as a passphrase.
        Offer::Passphrase(text) => (recovery_key::decode(text).is_ok(), text),
        Offer::Either(text) => match recovery_key::decode(text) {
            Ok(_) => (true, text),
            Err(error) if recovery_key::is_probable(text) => return Err(recovery_key_error(error)),
            Err(error) if !has_passphrase(candidates) => return Err(recovery_key_error(error)),
            Err(_) => (false, text),
        },
    };
    if is_recovery_key {
        let keys = candidates
            .iter()
            .filter_map(|description| SecretStorageKey::from_recovery_key(description, text).ok());
        best(storage, keys).ok_or_else(|| wrong(candidates, "recovery key"))
    } else {
        by_passphrase(storage, &Passphrase::new(text.as_str()), candidates, budget)
    }
}

/// The keys to try, in order: the one that was asked for, or the default first and then the others.
pub(crate) fn candidates(
    snapshot: &Judged,
    options: &UnlockOptions,
) -> Result<Vec<KeyDescription>> {
    let storage = &snapshot.storage();
    if let Some(id) = &options.key {
        return Ok(vec![description(storage, id)?]);
    }
    let keys = storage.keys().filter(|key| key.algorithm().is_some());
    Ok(keys.collect())
}

/// The one key to write with: the one that was asked for, or the default.
pub(crate) fn writing_candidates(
    snapshot: &Judged,
    options: &UnlockOptions,
) -> Result<Vec<KeyDescription>> {
    let storage = &snapshot.storage();
    if let Some(id) = &options.key {
        return Ok(vec![description(storage, id)?]);
    }
    match storage.default_key() {
        DefaultKey::Key(id) => Ok(vec![description(storage, id.as_str())?]),
        DefaultKey::Dangling(id) => Err(Error::new(
            Exit::Corrupt,
            format!(
                "the default key {} has no description",
                escape_untrusted(id.as_str())
            ),
        )
        .hint("choose another key with --key, or make one the default: fourfold key default")),
        _ if storage.keys().next().is_some() => Err(Error::refused("there is no default key")
            .hint("choose a key with --key, or make one the default: fourfold key default")),
        _ => Err(Error::refused("secret storage is not set up")
            .hint("make the first key: fourfold setup")),
    }
}

/// Proves a key, so that it may write.
pub(crate) fn prove(snapshot: &Judged, found: Found) -> Result<ProvenKey> {
    snapshot.storage().prove(found.key).map_err(|not_proven| {
        let exit = match not_proven.reason {
            NotProvenReason::Mismatch | NotProvenReason::NoSecretOpens => Exit::WrongKey,
            NotProvenReason::WeakDerivation => Exit::Policy,
            _ => Exit::Corrupt,
        };
        let error = Error::new(exit, not_proven.reason);
        match not_proven.reason {
            NotProvenReason::NoSecretOpens => error.hint(
                "nothing is written with a key that may be wrong; make a new one: fourfold key new",
            ),
            _ => error,
        }
    })
}

/// The one key that was given, for reading.
pub(crate) fn one(snapshot: &Judged, options: &UnlockOptions) -> Result<Found> {
    let candidates = writing_candidates(snapshot, options)?;
    let offers = options.input.offers(question(&candidates))?;
    let [offer] = offers.as_slice() else {
        return Err(Error::usage("exactly one key is needed here"));
    };
    find(snapshot, offer, &candidates, &mut budget(&options.input))
}

/// The one key that was given, for writing.
pub(crate) fn one_proven(snapshot: &Judged, options: &UnlockOptions) -> Result<ProvenKey> {
    prove(snapshot, one(snapshot, options)?)
}

/// What to ask for.
pub(crate) fn question(candidates: &[KeyDescription]) -> &'static str {
    if has_passphrase(candidates) {
        "Recovery key or passphrase"
    } else {
        "Recovery key"
    }
}

fn has_passphrase(candidates: &[KeyDescription]) -> bool {
    candidates.iter().any(|key| key.passphrase().is_some())
}

/// What the command may spend on derivations.
pub(crate) fn budget(input: &KeyInput) -> Budget {
    let bounds = if input.allow_weak_kdf {
        Bounds::allow_weak()
    } else {
        Bounds::DEFAULT
    };
    bounds.budget()
}

pub(crate) fn key_id(text: &str) -> Result<KeyId> {
    KeyId::new(text).map_err(Error::usage)
}

pub(crate) fn description(storage: &SecretStorage<'_>, id: &str) -> Result<KeyDescription> {
    storage.key(&key_id(id)?).map_err(|error| {
        Error::refused(format!("{}: {error}", escape_untrusted(id))).hint("fourfold key ls")
    })
}

/// How a key is named to the user: its ID, its name, and whether it is the default.
pub(crate) fn label(storage: &SecretStorage<'_>, id: &KeyId) -> String {
    let description = storage.key(id).ok();
    let name = description.and_then(|description| description.name());
    let name = name.map(|name| format!("named \"{}\"", escape_untrusted(&name)));
    let is_default = storage.default_key().key_id() == Some(id);
    let notes: Vec<_> = name
        .into_iter()
        .chain(is_default.then(|| "the default key".to_owned()))
        .collect();
    let id = escape_untrusted(id.as_str());
    if notes.is_empty() {
        id
    } else {
        format!("{id} ({})", notes.join(", "))
    }
}

pub(crate) fn recovery_key_error(error: RecoveryKeyError) -> Error {
    Error::new(Exit::WrongKey, error).hint(match error {
        RecoveryKeyError::Alphabet { .. } => {
            "upper and lower case differ; 0, O, I and l never occur"
        }
        RecoveryKeyError::Parity => "compare it group by group; upper and lower case differ",
        _ => "it starts with Es; white space and line breaks do not matter",
    })
}

fn by_passphrase(
    storage: &SecretStorage<'_>,
    passphrase: &Passphrase,
    candidates: &[KeyDescription],
    budget: &mut Budget,
) -> Result<Found> {
    let mut refused = None;
    let mut left_out = 0;
    let mut keys = Vec::new();
    for description in by_cost(candidates) {
        let Some(parameters) = description.passphrase() else {
            continue;
        };
        let busy = messages::busy("deriving the key from the passphrase");
        if let Ok(parameters) = &parameters {
            busy.now(format!(
                "deriving the key from the passphrase ({} iterations)",
                parameters.iterations()
            ));
        }
        match SecretStorageKey::from_passphrase(description, passphrase, budget) {
            Ok(key) if is_verified(storage, &key) => {
                return Ok(Found {
                    key,
                    outcome: KeyCheckOutcome::Verified,
                });
            }
            Ok(key) => keys.push(key),
            Err(KeyInputError::Parameters(ParametersError::OverBudget { .. })) => left_out += 1,
            Err(error) => refused = Some((description.id().clone(), error)),
        }
    }
    // One of those that were not tried may be the key, and none that cannot be checked is taken for
    // it.
    if left_out > 0 {
        return Err(not_all_tried(left_out));
    }
    let found = best(storage, keys.into_iter());
    found.ok_or_else(|| match refused {
        Some((id, error)) => unusable_passphrase(&id, &error),
        None if !has_passphrase(candidates) => {
            Error::new(Exit::WrongKey, "no key has a passphrase").hint("use the recovery key")
        }
        None => wrong(candidates, "passphrase"),
    })
}

/// The key that is most likely meant first, and then those that cost least: so a server that lists
/// expensive keys does not keep the others from being tried.
fn by_cost(candidates: &[KeyDescription]) -> Vec<&KeyDescription> {
    let iterations = |key: &KeyDescription| match key.passphrase() {
        Some(Ok(parameters)) => parameters.iterations(),
        _ => 0,
    };
    let mut keys: Vec<_> = candidates.iter().collect();
    if let Some((_, others)) = keys.split_first_mut() {
        others.sort_by_key(|key| iterations(key));
    }
    keys
}

fn not_all_tried(left_out: usize) -> Error {
    Error::new(
        Exit::WrongKey,
        format!(
            "the passphrase fits none of the keys that were tried, and {left_out} more would take \
             more than {} iterations in all",
            Budget::TOTAL
        ),
    )
    .hint("name the key with --key, or use its recovery key")
}

fn unusable_passphrase(id: &KeyId, error: &KeyInputError) -> Error {
    let message = format!("key {}: {error}", escape_untrusted(id.as_str()));
    match error {
        KeyInputError::Parameters(ParametersError::TooFewIterations { .. }) => {
            Error::new(Exit::Policy, message)
                .hint("use the recovery key; or read once with --allow-weak-kdf and rotate the key")
        }
        _ => Error::new(Exit::Corrupt, message).hint("use the recovery key"),
    }
}

/// The first key whose check verifies, or else one that opens something, or else one that at least
/// cannot be refuted.
fn best(
    storage: &SecretStorage<'_>,
    keys: impl Iterator<Item = SecretStorageKey>,
) -> Option<Found> {
    let mut uncertain: Option<SecretStorageKey> = None;
    for key in keys {
        match storage.check(&key) {
            KeyCheckOutcome::Verified => {
                return Some(Found {
                    key,
                    outcome: KeyCheckOutcome::Verified,
                });
            }
            KeyCheckOutcome::Unverifiable if uncertain.is_none() => uncertain = Some(key),
            KeyCheckOutcome::Unverifiable | KeyCheckOutcome::Mismatch => {}
        }
    }
    uncertain.map(|key| Found {
        key,
        outcome: KeyCheckOutcome::Unverifiable,
    })
}

fn is_verified(storage: &SecretStorage<'_>, key: &SecretStorageKey) -> bool {
    storage.check(key) == KeyCheckOutcome::Verified
}

fn wrong(candidates: &[KeyDescription], what: &str) -> Error {
    match candidates {
        [only] => {
            let id = escape_untrusted(only.id().as_str());
            Error::new(
                Exit::WrongKey,
                format!("this is not the {what} of the key {id}"),
            )
        }
        _ => Error::new(
            Exit::WrongKey,
            format!("this {what} fits none of the {} keys", candidates.len()),
        ),
    }
    .hint("fourfold key check tells which key a recovery key or passphrase is")
}

#[cfg(test)]
mod tests {
    use fourfold::Content;

    use super::*;

    fn key(id: &str, iterations: u32) -> KeyDescription {
        let content = format!(
            r#"{{"algorithm":"m.secret_storage.v1.aes-hmac-sha2","passphrase":{{"algorithm":
            "m.pbkdf2","salt":"saltsaltsalt","iterations":{iterations}}}}}"#
        );
        let content = Content::from_json(&content).unwrap();
        KeyDescription::new(KeyId::new(id).unwrap(), content).unwrap()
    }

    // shows: KEY-05
    #[test]
    fn what_costs_much_is_tried_after_what_costs_little() {
        let keys = [
            key("default", 500_000),
            key("dear", 9_000_000),
            key("cheap", 100_000),
            key("usual", 500_000),
        ];
        let ids: Vec<_> = by_cost(&keys).iter().map(|key| key.id().as_str()).collect();
        assert_eq!(ids, ["default", "cheap", "usual", "dear"]);
        assert!(by_cost(&[]).is_empty());
    }
}
