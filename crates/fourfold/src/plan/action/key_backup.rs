//! Steps about the key backup.

use serde::{Deserialize, Serialize};

use super::state::StepState;
use crate::backup::ShownVersion;
use crate::signable::Signable;
use crate::signed_json::PublicKey;
use crate::{BackupVersion, Content, NewKeyBackup};

/// Make a new version, expecting that one to be the current one
/// ([`POST /room_keys/version`][create]).
///
/// [create]: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3room_keysversion
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct CreateKeyBackup {
    content: Content,
    public_key: String,
    /// The version that was the current one when the plan was made.
    expects: Option<String>,
    /// Whether there was one then that could not be read.
    #[serde(default)]
    expects_unreadable: bool,
}

impl CreateKeyBackup {
    /// Expects the version that is the current one now.
    pub(in crate::plan) fn over(current: Option<&BackupVersion>, new: &NewKeyBackup) -> Self {
        Self {
            content: new.to_content(),
            public_key: new.public_key(),
            expects: current.map(|current| current.version().to_owned()),
            expects_unreadable: false,
        }
    }

    /// Expects one that cannot be read, or none any more.
    pub(in crate::plan) fn over_unreadable(new: &NewKeyBackup) -> Self {
        Self {
            expects_unreadable: true,
            ..Self::over(None, new)
        }
    }

    /// The body of the request.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Compares the version that is the current one now with what the step expects.
    #[must_use]
    pub fn state(&self, now: Option<&BackupVersion>) -> StepState {
        if now.is_some_and(|now| now.public_key() == self.public_key) {
            StepState::Done
        } else if now.map(BackupVersion::version) == self.expects.as_deref() {
            StepState::Due
        } else {
            StepState::Conflict
        }
    }

    /// Whether one that cannot be read, or not even be had, is expected.
    #[must_use]
    pub fn expects_unreadable(&self) -> bool {
        self.expects_unreadable
    }

    /// The same while the current one cannot be read.
    #[must_use]
    pub(crate) fn state_over_unreadable(&self) -> StepState {
        if self.expects_unreadable {
            StepState::Due
        } else {
            StepState::Conflict
        }
    }
}

/// Put a signature to this version, expecting it to be the current one with that public key
/// ([`PUT /room_keys/version/{version}`][update]).
///
/// [update]: https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keysversionversion
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SignKeyBackup {
    version: String,
    content: Content,
    public_key: String,
    user_id: String,
    master_key: String,
}

impl SignKeyBackup {
    /// `signed` is the `auth_data` with the signature of this key.
    pub(in crate::plan) fn over(
        current: &BackupVersion,
        signed: &Signable,
        user_id: &str,
        master_key: PublicKey,
    ) -> Self {
        Self {
            version: current.version().to_owned(),
            content: current.with_auth_data(signed.content()),
            public_key: current.public_key(),
            user_id: user_id.to_owned(),
            master_key: master_key.to_base64(),
        }
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The body of the request.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Compares the version that is the current one now with what the step expects.
    #[must_use]
    pub fn state(&self, now: Option<&BackupVersion>) -> StepState {
        let (Some(now), Ok(master_key)) = (now, PublicKey::from_base64(&self.master_key)) else {
            return StepState::Conflict;
        };
        if now.version() != self.version || now.public_key() != self.public_key {
            StepState::Conflict
        } else if master_key.verify(now.auth_data(), &self.user_id).is_ok() {
            StepState::Done
        } else {
            StepState::Due
        }
    }
}

/// Delete this version with all room keys in it, expecting it to have that public key
/// ([`DELETE /room_keys/version/{version}`][delete]).
///
/// [delete]: https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3room_keysversionversion
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct DeleteKeyBackup {
    version: String,
    /// `None` for a version that cannot be read.
    public_key: Option<String>,
}

impl DeleteKeyBackup {
    /// Expects what is shown now.
    pub(in crate::plan) fn of(version: &str, shown: &ShownVersion) -> Self {
        Self {
            version: version.to_owned(),
            public_key: shown.usable().map(BackupVersion::public_key),
        }
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Compares what is shown of this very version now, `None` for nothing, with what the step
    /// expects.
    #[must_use]
    pub fn state(&self, now: Option<&ShownVersion>) -> StepState {
        match now {
            None => StepState::Done,
            Some(now) if now.usable().map(BackupVersion::public_key) == self.public_key => {
                StepState::Due
            }
            Some(_) => StepState::Conflict,
        }
    }

    /// The same while the server does not show what it has of the version.
    #[must_use]
    pub(crate) fn state_over_unreadable(&self) -> StepState {
        match self.public_key {
            None => StepState::Due,
            Some(_) => StepState::Conflict,
        }
    }
}
