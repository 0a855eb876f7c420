//! What an event or an entry says, in a few bytes: equal when it says the same, however it is
//! written.

use sha2::{Digest as _, Sha256};

use super::description;
use crate::algorithm::{aes_hmac_sha2, curve25519_aes_sha2};
use crate::key::is_passthrough;
use crate::{AccountData, Content, DefaultKey, EventState, KeyId, SecretState, canonical_json};

/// Fingerprints: hashes of ciphertexts and of descriptions, which reveal neither.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "it is a column of what is kept")]
pub struct Fingerprint {
    /// SHA-256 of everything but the IV.
    pub body: [u8; 32],
    /// The IV, where the MAC does not cover it.
    pub iv: Option<[u8; 16]>,
}

/// A reading of a content. An entry that two algorithms can read has two readings, because the
/// server says which algorithm a key has.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "it is a column of what is kept")]
pub enum Reading {
    /// The whole event.
    Whole,
    /// An entry of `m.secret_storage.v1.aes-hmac-sha2`: its `iv`, `ciphertext` and `mac`, decoded.
    Symmetric,
    /// An entry of `m.secret_storage.v1.curve25519-aes-sha2`: its `ephemeral`, `ciphertext` and
    /// `mac`, decoded.
    PublicKey,
    /// An entry of 2019 that says that the secret is the key itself.
    Passthrough,
    /// The text, as it was compared by earlier versions and where nothing can be decoded.
    Text,
}

/// An event, as far as it matters here.
pub(super) struct Event {
    /// `None` when nothing is there: no event, `{}`, `null`, or a secret without any entry.
    pub(super) whole: Option<Fingerprint>,
    /// The entries of a secret, by the ID of the key.
    pub(super) entries: Vec<(String, Reading, Fingerprint)>,
}

impl Event {
    pub(super) fn of(event_type: &str, json: Option<&str>) -> Self {
        let entries = entries(json, readings);
        Self {
            whole: whole(event_type, json, &entries),
            entries,
        }
    }

    /// The event as earlier versions compared it: by its text. An entry has further texts, in the
    /// ways in which its members can be written.
    pub(super) fn as_text(json: Option<&str>) -> Self {
        Self {
            whole: there(json).map(text),
            entries: entries(json, |entry| {
                let mut texts = vec![text(&entry.to_json())];
                if let Ok(decoded) = aes_hmac_sha2::Entry::from_content(entry) {
                    let unpadded = decoded.to_content();
                    texts.push(text(&padded(&unpadded).to_json()));
                    texts.push(text(&unpadded.to_json()));
                }
                let texts = texts.into_iter();
                texts.map(|text| (Reading::Text, text)).collect()
            }),
        }
    }
}

/// The key that the content of the default key names, whether there is one or not.
pub(super) fn named_key(json: Option<&str>) -> Option<KeyId> {
    Content::from_json(json?).ok()?.get("key")?.ok()
}

fn entries(
    json: Option<&str>,
    readings: impl Fn(&Content) -> Vec<(Reading, Fingerprint)>,
) -> Vec<(String, Reading, Fingerprint)> {
    let Some(SecretState::Encrypted(secret)) = json.map(SecretState::from_json) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for id in secret.key_ids() {
        if let Some(Ok(entry)) = secret.entry(id) {
            let readings = readings(entry).into_iter();
            all.extend(readings.map(|(reading, one)| (id.as_str().to_owned(), reading, one)));
        }
    }
    all
}

fn readings(entry: &Content) -> Vec<(Reading, Fingerprint)> {
    let mut readings = Vec::new();
    if let Ok(entry) = aes_hmac_sha2::Entry::from_content(entry) {
        let fingerprint = Fingerprint {
            body: hash("symmetric", &[&entry.ciphertext, &entry.mac]),
            // Without a ciphertext it makes no difference.
            iv: (!entry.ciphertext.is_empty()).then_some(entry.iv),
        };
        readings.push((Reading::Symmetric, fingerprint));
    }
    if let Ok(mut entry) = curve25519_aes_sha2::Entry::from_content(entry) {
        // X25519 does not look at the highest bit.
        if let Some(last) = entry.ephemeral.last_mut() {
            *last &= 0x7F;
        }
        let parts: [&[u8]; 3] = [&entry.ephemeral, &entry.ciphertext, &entry.mac];
        readings.push((Reading::PublicKey, of("public key", &parts)));
    }
    if is_passthrough(entry) {
        readings.push((Reading::Passthrough, of("passthrough", &[])));
    }
    if readings.is_empty() {
        readings.push((Reading::Text, text(&entry.to_json())));
    }
    readings
}

fn whole(
    event_type: &str,
    json: Option<&str>,
    entries: &[(String, Reading, Fingerprint)],
) -> Option<Fingerprint> {
    let json = there(json)?;
    if KeyId::from_event_type(event_type).is_some() {
        return Some(match Content::from_json(json) {
            Ok(content) => of(
                "description",
                &[description::substance(&content).as_bytes()],
            ),
            Err(_) => text(json),
        });
    }
    if event_type == DefaultKey::EVENT_TYPE
        && let Some(id) = named_key(Some(json))
    {
        return Some(of("default key", &[id.as_str().as_bytes()]));
    }
    match SecretState::from_json(json) {
        SecretState::Emptied => None,
        SecretState::Encrypted(_) => {
            let mut parts: Vec<&[u8]> = Vec::new();
            for (key_id, reading, fingerprint) in entries {
                parts.push(key_id.as_bytes());
                parts.push(reading.name().as_bytes());
                parts.push(&fingerprint.body);
                parts.push(fingerprint.iv.as_ref().map_or(&[], |iv| iv.as_slice()));
            }
            Some(of("secret", &parts))
        }
        _ => Some(text(json)),
    }
}

impl Reading {
    /// Its name where it is kept.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Symmetric => "symmetric",
            Self::PublicKey => "public_key",
            Self::Passthrough => "passthrough",
            Self::Text => "text",
        }
    }

    /// The reading of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [
            Self::Whole,
            Self::Symmetric,
            Self::PublicKey,
            Self::Passthrough,
            Self::Text,
        ];
        all.into_iter().find(|reading| reading.name() == name)
    }
}

/// Nothing, `{}` and `null` are ways of being gone.
fn there(json: Option<&str>) -> Option<&str> {
    let json = json?;
    let mut account_data = AccountData::default();
    let _ = account_data.insert_json("", json);
    match account_data.state("") {
        EventState::Absent | EventState::Deleted | EventState::Null => None,
        EventState::Content(_) | EventState::Malformed(_) => Some(json),
    }
}

/// The same for two texts with the same value; for JSON that has no canonical form, for two texts
/// that are equal.
fn text(json: &str) -> Fingerprint {
    let normalised = canonical_json::from_json(json);
    Fingerprint {
        body: Sha256::digest(normalised.as_deref().unwrap_or(json)).into(),
        iv: None,
    }
}

fn of(kind: &str, parts: &[&[u8]]) -> Fingerprint {
    Fingerprint {
        body: hash(kind, parts),
        iv: None,
    }
}

/// Each part with its length, so that none runs into the next.
fn hash(kind: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [kind.as_bytes()].iter().chain(parts) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// The same entry in padded base64, which other clients write.
fn padded(entry: &Content) -> Content {
    let mut padded = Content::default();
    for member in entry.members() {
        if let Some(Ok(mut text)) = entry.get::<String>(member) {
            while text.len() % 4 != 0 {
                text.push('=');
            }
            padded.insert(member, &text);
        }
    }
    padded
}
