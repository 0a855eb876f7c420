//! What of an event is remembered: hashes, so that local state holds no contents of secrets.

use std::collections::BTreeSet;

use fourfold::{
    AccountData, Content, EventState, KeyId, SecretState, SecretStorage, canonical_json,
};
use rusqlite::{Connection, OptionalExtension as _};
use sha2::{Digest as _, Sha256};

/// The hash of what was there; `None` when nothing was.
pub(super) type Seen = Option<[u8; 32]>;

/// In the place of a key ID: the whole content.
pub(super) const WHOLE: &str = "";

/// How many older states are remembered, the newest included.
pub(super) const HISTORY: i64 = 16;

/// The outer `None`: never seen.
pub(super) fn last_seen(
    connection: &Connection,
    event_type: &str,
    entry: &str,
) -> Result<Option<Seen>, rusqlite::Error> {
    connection
        .prepare(
            "SELECT hash FROM seen WHERE event_type = ?1 AND entry = ?2
             ORDER BY counter DESC LIMIT 1",
        )?
        .query_row((event_type, entry), |row| row.get(0))
        .optional()
}

/// The types of the events that secret storage is about.
pub(super) fn relevant(account_data: &AccountData) -> BTreeSet<String> {
    let storage = SecretStorage::new(account_data);
    let is_secret = |json: &str| match SecretState::from_json(json) {
        SecretState::Encrypted(_) | SecretState::Emptied => true,
        SecretState::Malformed(_) => {
            Content::from_json(json).is_ok_and(|content| content.raw("encrypted").is_some())
        }
        _ => false,
    };
    account_data
        .event_types()
        .filter(|event_type| {
            event_type.starts_with("m.secret_storage.")
                || account_data.raw(event_type).is_some_and(is_secret)
        })
        .map(str::to_owned)
        .chain(storage.secrets().map(|(name, _)| name.as_str().to_owned()))
        .collect()
}

/// Nothing, `{}` and `null` are ways of being gone.
pub(super) fn hash_of_event(json: Option<&str>) -> Seen {
    let json = json?;
    let mut account_data = AccountData::default();
    let _ = account_data.insert_json("", json);
    match account_data.state("") {
        EventState::Absent | EventState::Deleted | EventState::Null => None,
        EventState::Content(_) | EventState::Malformed(_) => Some(hash(json)),
    }
}

/// The same for two texts with the same value; for JSON that has no canonical form, for two texts
/// that are equal.
fn hash(json: &str) -> [u8; 32] {
    let normalised = canonical_json::from_json(json);
    Sha256::digest(normalised.as_deref().unwrap_or(json)).into()
}

/// The entries of a secret, each with its hash.
pub(super) fn entries(json: Option<&str>) -> Vec<(String, [u8; 32])> {
    let Some(SecretState::Encrypted(secret)) = json.map(SecretState::from_json) else {
        return Vec::new();
    };
    secret
        .key_ids()
        .filter_map(|id| match secret.entry(id)? {
            Ok(entry) => Some((id.as_str().to_owned(), hash(&entry.to_json()))),
            Err(_) => None,
        })
        .collect()
}

/// The key that the content of the default key names, whether there is one or not.
pub(super) fn named_key(json: Option<&str>) -> Option<KeyId> {
    Content::from_json(json?).ok()?.get("key")?.ok()
}

pub(super) fn description_content(json: Option<&str>) -> Option<Content> {
    Content::from_json(json?)
        .ok()
        .filter(|content| !content.is_empty())
}
