//! A room key in the key backup.
//!
//! `session_data` of `m.megolm_backup.v1.curve25519-aes-sha2` has the form and the ciphers of the
//! secrets of 2019, their flaw included: libolm computed the MAC over nothing, so that every client
//! does. A MAC that fits shows which key it was encrypted to, and not that the ciphertext is whole.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::BackupKey;
use crate::algorithm::OpenEntryError;
use crate::algorithm::curve25519_aes_sha2::{Entry, open};
use crate::{Content, ContentError};

/// A room key in the key backup, as the server gives it back. It is opened to see whether it opens;
/// what is in it is wiped, and never handed out.
#[derive(Clone, Debug)]
pub struct BackedUpRoomKey {
    entry: Result<Entry, RoomKeyError>,
}

impl BackedUpRoomKey {
    /// Reads `{"session_data": {"ephemeral", "ciphertext", "mac"}, …}`. What is malformed is found
    /// when it is [tried](Self::try_key).
    #[must_use]
    pub fn from_json(json: &str) -> Self {
        let read = || -> Result<Entry, RoomKeyError> {
            let session_data = Content::from_json(json)?.object("session_data");
            let session_data = session_data.ok_or(RoomKeyError::NoSessionData)??;
            Ok(Entry::from_content(&session_data)?)
        };
        Self { entry: read() }
    }

    /// Whether a private key opens it, and a room key is in it.
    ///
    /// # Errors
    ///
    /// [`RoomKeyError`], of which [`RoomKeyError::Entry`] with
    /// [`OpenEntryError::Mac`] is the key of another version.
    pub fn try_key(&self, key: &BackupKey) -> Result<(), RoomKeyError> {
        let entry = self.entry.as_ref().map_err(Clone::clone)?;
        let (opened, _) = open(key.bytes(), entry)?;
        let is_room_key = serde_json::from_str::<RoomKey<'_>>(opened.expose_secret());
        is_room_key.map(drop).map_err(|_| RoomKeyError::NoRoomKey)
    }
}

/// What of a room key must be there. Borrowed: nothing of it is copied.
#[derive(Deserialize)]
struct RoomKey<'a> {
    #[serde(borrow, rename = "algorithm")]
    _algorithm: &'a RawValue,
    #[serde(borrow, rename = "session_key")]
    _session_key: &'a RawValue,
}

/// Why a room key in the key backup does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RoomKeyError {
    /// It is no JSON object.
    #[error("it {0}")]
    Content(#[from] ContentError),
    /// It is malformed, or is encrypted to another key.
    #[error("{0}")]
    Entry(#[from] OpenEntryError),
    /// It opens, and is no room key.
    #[error("it opens, and is no room key")]
    NoRoomKey,
    /// `session_data` is missing.
    #[error("it has no session_data")]
    NoSessionData,
}

crate::error_code::error_codes! {
    RoomKeyError:
    Self::Content { .. } => "room_key_content",
    Self::Entry { .. } => "room_key_entry",
    Self::NoRoomKey { .. } => "room_key_no_room_key",
    Self::NoSessionData { .. } => "room_key_no_session_data",
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::curve25519_aes_sha2::{MacMode, seal};
    use crate::testing::{rng, rng_from};
    use crate::{NewKeyBackup, Secret};

    fn sealed(key: &BackupKey, plaintext: &str, mode: MacMode) -> BackedUpRoomKey {
        let secret = Secret::new(plaintext);
        let entry = seal(key.public_bytes(), &secret, mode, &mut rng()).unwrap();
        let mut json = Content::default();
        json.insert("session_data", &entry.to_content());
        BackedUpRoomKey::from_json(&json.to_json())
    }

    const ROOM_KEY: &str = r#"{"algorithm":"m.megolm.v1.aes-sha2","session_key":"AQAA"}"#;

    #[test]
    fn it_opens_with_its_key_alone() {
        let key = |number| {
            let new = NewKeyBackup::random(&mut rng_from(number));
            BackupKey::read(&new.secret()).unwrap()
        };
        let (own, other) = (key(1), key(2));
        for mode in [MacMode::Libolm, MacMode::Spec] {
            assert_eq!(sealed(&own, ROOM_KEY, mode).try_key(&own), Ok(()));
            let error = sealed(&own, ROOM_KEY, mode).try_key(&other);
            assert_eq!(error, Err(RoomKeyError::Entry(OpenEntryError::Mac)));
        }
        for plaintext in ["", "no JSON", "{}", r#"{"algorithm":"a"}"#] {
            let error = sealed(&own, plaintext, MacMode::Libolm).try_key(&own);
            assert_eq!(error, Err(RoomKeyError::NoRoomKey), "{plaintext}");
        }
        for (json, code) in [
            ("7", "room_key_content"),
            ("{}", "room_key_no_session_data"),
            (r#"{"session_data":"text"}"#, "room_key_content"),
            (r#"{"session_data":{"ephemeral":"a"}}"#, "room_key_entry"),
        ] {
            let error = BackedUpRoomKey::from_json(json).try_key(&own);
            assert_eq!(error.unwrap_err().code(), code, "{json}");
        }
    }
}
