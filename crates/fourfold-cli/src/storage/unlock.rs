//! From what the user gave to the key that it is.

use fourfold::health::OfferedKey;
use fourfold::judged::Judged;
use fourfold::passphrase::{Bounds, Budget, PassphraseParameters};
use fourfold::plan::{self, Described};
use fourfold::storage::{FoundKey, NoWritingKey};
use fourfold::{KeyDescription, KeyId, ProvenKey, SecretName, SecretStorage, Snapshot};
use fourfold_client::escape_untrusted;

use crate::error::{Error, Result};
use crate::keys::random::rng;
use crate::options::{KeyInput, Offer, UnlockOptions};
use crate::terminal::messages;

/// Finds the key that an offer is, among the candidates in their order. All offers of a command share
/// one budget.
pub(crate) fn find(
    snapshot: &Judged,
    offer: &Offer,
    candidates: &Candidates,
    budget: &mut Budget,
) -> Result<FoundKey> {
    find_in(snapshot, offer, candidates, budget)
}

/// The same in an account of which nobody said yet that it may be opened.
pub(crate) fn find_in(
    snapshot: &Snapshot,
    offer: &Offer,
    candidates: &Candidates,
    budget: &mut Budget,
) -> Result<FoundKey> {
    Ok(snapshot.storage().find_key_or_undescribed(
        offer.into(),
        &candidates.described,
        &candidates.undescribed,
        budget,
        deriving(),
    )?)
}

/// The keys that an offer may be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Candidates {
    described: Vec<KeyDescription>,
    /// Keys that secrets are encrypted under, whose description is gone.
    undescribed: Vec<KeyId>,
}

impl Candidates {
    /// All keys of the account.
    pub(crate) fn all(storage: &SecretStorage<'_>) -> Self {
        Self {
            described: storage.candidates(),
            undescribed: storage.undescribed_keys(),
        }
    }

    /// As [`all`](Self::all), those first that a secret is encrypted under; of the keys without a
    /// description only these.
    pub(crate) fn of_secret(storage: &SecretStorage<'_>, name: &SecretName) -> Self {
        let mut undescribed = storage.undescribed_keys();
        undescribed.retain(|id| storage.is_encrypted_under(name, id));
        Self {
            described: storage.candidates_for(name),
            undescribed,
        }
    }

    /// One key, described or not.
    pub(crate) fn one(storage: &SecretStorage<'_>, id: &str) -> Result<Self> {
        let id = key_id(id)?;
        if storage.undescribed_keys().contains(&id) {
            return Ok(Self {
                described: Vec::new(),
                undescribed: vec![id],
            });
        }
        Ok(vec![description(storage, id.as_str())?].into())
    }
}

impl From<Vec<KeyDescription>> for Candidates {
    fn from(described: Vec<KeyDescription>) -> Self {
        let undescribed = Vec::new();
        Self {
            described,
            undescribed,
        }
    }
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
pub(crate) fn candidates(snapshot: &Judged, options: &UnlockOptions) -> Result<Candidates> {
    let storage = &snapshot.storage();
    match &options.key {
        Some(id) => Candidates::one(storage, id),
        None => Ok(Candidates::all(storage)),
    }
}

/// The one key to write with: the one that was asked for, or the default.
pub(crate) fn writing_candidates(snapshot: &Judged, options: &UnlockOptions) -> Result<Candidates> {
    let storage = &snapshot.storage();
    match &options.key {
        Some(id) => Candidates::one(storage, id),
        None => default_candidate(storage),
    }
}

/// The default key, described or not.
fn default_candidate(storage: &SecretStorage<'_>) -> Result<Candidates> {
    match storage.writing_candidate() {
        Ok(description) => Ok(vec![description].into()),
        Err(NoWritingKey::Dangling { id } | NoWritingKey::Damaged { id, .. })
            if storage.undescribed_keys().contains(&id) =>
        {
            Candidates::one(storage, id.as_str())
        }
        Err(error) => Err(error.into()),
    }
}

/// Proves a key, so that it may write.
pub(crate) fn prove(snapshot: &Judged, found: FoundKey) -> Result<ProvenKey> {
    let proven = snapshot.storage().prove(found.key);
    proven.map_err(|not_proven| not_proven.reason.into())
}

/// The same for a plan, which describes the key again if its description is gone: as this machine
/// remembers it, if it does.
pub(crate) fn prove_again(snapshot: &Judged, found: FoundKey) -> Result<Described> {
    let remembered = snapshot.lost_description(found.key.id());
    let storage = snapshot.storage();
    let described = plan::prove_again(&storage, found.key, remembered.as_ref(), &mut rng());
    described.map_err(|not_proven| not_proven.reason.into())
}

/// The one key that was given, for reading.
pub(crate) fn one(snapshot: &Judged, options: &UnlockOptions) -> Result<FoundKey> {
    let candidates = writing_candidates(snapshot, options)?;
    one_of(snapshot, &candidates, &options.input)
}

/// The one key that was given, which is to be one of these.
pub(crate) fn one_of(
    snapshot: &Judged,
    candidates: &Candidates,
    input: &KeyInput,
) -> Result<FoundKey> {
    let offers = input.offers(question(candidates))?;
    let [offer] = offers.as_slice() else {
        return Err(Error::usage("exactly one key is needed here"));
    };
    find(snapshot, offer, candidates, &mut budget(input))
}

/// The one key that was given, for a plan that writes with it.
pub(crate) fn one_described(snapshot: &Judged, options: &UnlockOptions) -> Result<Described> {
    prove_again(snapshot, one(snapshot, options)?)
}

/// The one key that was given, for writing.
pub(crate) fn one_proven(snapshot: &Judged, options: &UnlockOptions) -> Result<ProvenKey> {
    prove(snapshot, one(snapshot, options)?)
}

/// The prompt.
pub(crate) fn question(candidates: &Candidates) -> &'static str {
    if candidates
        .described
        .iter()
        .any(|key| key.passphrase().is_some())
    {
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
    let is_default = storage.default_key().named() == Some(id);
    let is_described = storage.key(id).is_ok();
    let notes: Vec<_> = name
        .into_iter()
        .chain(is_default.then(|| "the default key".to_owned()))
        .chain((!is_described).then(|| "without a description".to_owned()))
        .collect();
    let id = escape_untrusted(id.as_str());
    if notes.is_empty() {
        id
    } else {
        format!("{id} ({})", notes.join(", "))
    }
}

/// The way to describe a key again whose description is gone.
pub(crate) const DESCRIBE_AGAIN: &str =
    "fourfold doctor --fix, with the recovery key in --recovery-key-file, describes it again";

const DERIVING: &str = "deriving the key from the passphrase";
