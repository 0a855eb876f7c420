//! A snapshot of an account: everything of it that secret storage is about.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{AccountData, BackupVersion, ContentError, Evidence, PublishedIdentity};

/// An account at one moment: what is fetched from a server, or kept in a file.
///
/// `{"user_id": …, "account_data": {type: content, …}, "keys_query": …, "backup_version": …}`; the
/// last two are the bodies of the answers to `POST /keys/query` and `GET /room_keys/version`, and
/// optional. Other members are ignored. It holds ciphertext only, so a file of it is safe to keep.
///
/// ```
/// let snapshot = fourfold::Snapshot::from_json(
///     r#"{"user_id": "@a:example.org", "account_data": {"m.direct": {}}}"#,
/// )?;
/// assert_eq!(snapshot.account_data.event_types().count(), 1);
/// # Ok::<(), fourfold::ContentError>(())
/// ```
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// The user, such as `@alice:example.org`.
    pub user_id: String,
    /// All global account data.
    pub account_data: AccountData,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keys_query: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backup_version: Option<Box<RawValue>>,
}

impl Snapshot {
    /// Puts together what was fetched.
    ///
    /// # Errors
    ///
    /// [`ContentError::NotJson`] when one of the bodies is not JSON.
    pub fn new(
        user_id: impl Into<String>,
        account_data: AccountData,
        keys_query: Option<String>,
        backup_version: Option<String>,
    ) -> Result<Self, ContentError> {
        let raw = |body: Option<String>| body.map(RawValue::from_string).transpose();
        Ok(Self {
            user_id: user_id.into(),
            account_data,
            keys_query: raw(keys_query).map_err(|_| ContentError::NotJson)?,
            backup_version: raw(backup_version).map_err(|_| ContentError::NotJson)?,
        })
    }

    /// Reads a snapshot that was kept.
    ///
    /// # Errors
    ///
    /// [`ContentError::NotJson`] when it is not a snapshot, [`ContentError::TooManyEvents`].
    pub fn from_json(json: &str) -> Result<Self, ContentError> {
        let snapshot: Self = serde_json::from_str(json).map_err(|_| ContentError::NotJson)?;
        snapshot.account_data.check_number()?;
        Ok(snapshot)
    }

    /// Writes the snapshot to be kept.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Whether there is a key backup, even one that cannot be read.
    #[must_use]
    pub fn has_key_backup(&self) -> bool {
        self.backup_version.is_some()
    }

    /// What secrets can be compared with. What cannot be read is left out, as if it were not
    /// published.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        let identity = self
            .keys_query
            .as_ref()
            .and_then(|body| PublishedIdentity::from_keys_query(&self.user_id, body.get()).ok());
        let backup = self
            .backup_version
            .as_ref()
            .and_then(|body| BackupVersion::from_json(body.get()).ok());
        Evidence { identity, backup }
    }
}
