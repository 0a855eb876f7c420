//! A version of the key backup as a server shows it, readable or not.

use crate::{BackupVersion, BackupVersionError, Content};

/// A version of the key backup as the server shows it, whether it can be used or not. All texts are
/// untrusted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShownVersion {
    /// The version; `None` when the server does not say so.
    pub version: Option<String>,
    /// The algorithm; `None` when there is none.
    pub algorithm: Option<String>,
    /// How many room keys are in it; `None` when the server does not say so.
    pub count: Option<u64>,
    /// The rest of it, or why it cannot be used.
    pub read: Result<BackupVersion, BackupVersionError>,
}

impl ShownVersion {
    /// Reads the body of `GET /room_keys/version` or `GET /room_keys/version/{version}`, which is
    /// JSON of whatever kind.
    #[must_use]
    pub fn from_json(body: &str) -> Self {
        let content = Content::from_json(body).unwrap_or_default();
        let text = |member| content.get::<String>(member).and_then(Result::ok);
        Self {
            version: text("version"),
            algorithm: text("algorithm"),
            count: content.get::<u64>("count").and_then(Result::ok),
            read: BackupVersion::from_json(body),
        }
    }

    /// What of it can be used.
    #[must_use]
    pub fn usable(&self) -> Option<&BackupVersion> {
        self.read.as_ref().ok()
    }
}
