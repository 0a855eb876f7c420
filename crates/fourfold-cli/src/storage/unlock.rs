//! From what the user gave to the key that it is.

use fourfold::health::OfferedKey;
use fourfold::judged::Judged;
use fourfold::passphrase::{Bounds, Budget, PassphraseParameters};
use fourfold::storage::FoundKey;
use fourfold::{KeyDescription, KeyId, ProvenKey, SecretStorage, Snapshot};
use fourfold_client::escape_untrusted;

use crate::error::{Error, Result};
use crate::options::{KeyInput, Offer, UnlockOptions};
use crate::terminal::messages;

/// Finds the key that an offer is, among the candidates in their order. All offers of a command share
/// one budget.
pub(crate) fn find(
    snapshot: &Judged,
    offer: &Offer,
    candidates: &[KeyDescription],
    budget: &mut Budget,
) -> Result<FoundKey> {
    let storage = snapshot.storage();
    Ok(storage.find_key(offer.into(), candidates, budget, deriving())?)
}

/// Finds out what an offer is, right or wrong, in an account that is examined and not opened.
pub(crate) fn examine(snapshot: &Snapshot, offer: &Offer, budget: &mut Budget) -> OfferedKey {
    OfferedKey::read(snapshot, offer.into(), budget, deriving())
}

/// Tells the user that a key is derived, which takes a while.
fn deriving() -> impl FnMut(&PassphraseParameters) {
    let mut busy = None;
    move |parameters| {
        busy.get_or_insert_with(|| messages::busy(DERIVING))
            .now(format!(
                "{DERIVING} ({} iterations)",
                parameters.iterations()
            ));
    }
}

/// The keys to try, in order: the one that was asked for, or the default first and then the others.
pub(crate) fn candidates(
    snapshot: &Judged,
    options: &UnlockOptions,
) -> Result<Vec<KeyDescription>> {
    let storage = &snapshot.storage();
    match &options.key {
        Some(id) => Ok(vec![description(storage, id)?]),
        None => Ok(storage.candidates()),
    }
}

/// The one key to write with: the one that was asked for, or the default.
pub(crate) fn writing_candidates(
    snapshot: &Judged,
    options: &UnlockOptions,
) -> Result<Vec<KeyDescription>> {
    let storage = &snapshot.storage();
    match &options.key {
        Some(id) => Ok(vec![description(storage, id)?]),
        None => Ok(vec![storage.writing_candidate()?]),
    }
}

/// Proves a key, so that it may write.
pub(crate) fn prove(snapshot: &Judged, found: FoundKey) -> Result<ProvenKey> {
    let proven = snapshot.storage().prove(found.key);
    proven.map_err(|not_proven| not_proven.reason.into())
}

/// The one key that was given, for reading.
pub(crate) fn one(snapshot: &Judged, options: &UnlockOptions) -> Result<FoundKey> {
    let candidates = writing_candidates(snapshot, options)?;
    one_of(snapshot, &candidates, &options.input)
}

/// The one key that was given, which is to be one of these.
pub(crate) fn one_of(
    snapshot: &Judged,
    candidates: &[KeyDescription],
    input: &KeyInput,
) -> Result<FoundKey> {
    let offers = input.offers(question(candidates))?;
    let [offer] = offers.as_slice() else {
        return Err(Error::usage("exactly one key is needed here"));
    };
    find(snapshot, offer, candidates, &mut budget(input))
}

/// The one key that was given, for writing.
pub(crate) fn one_proven(snapshot: &Judged, options: &UnlockOptions) -> Result<ProvenKey> {
    prove(snapshot, one(snapshot, options)?)
}

/// The prompt.
pub(crate) fn question(candidates: &[KeyDescription]) -> &'static str {
    if candidates.iter().any(|key| key.passphrase().is_some()) {
        "Recovery key or passphrase"
    } else {
        "Recovery key"
    }
}

/// The command's budget of derivations.
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

/// The label of a key for the user: its ID, its name, and whether it is the default.
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

const DERIVING: &str = "deriving the key from the passphrase";
