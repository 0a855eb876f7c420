//! The current version of the server-side key backup.

use crate::signable::{BackupPassphrase, ForeignMember, Kind, Signable};
use crate::{Content, ContentError, base64};

/// What `GET /room_keys/version` says
/// ([Server-side key backups](https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups)).
#[derive(Clone, Debug)]
pub struct BackupVersion {
    version: String,
    public_key: [u8; 32],
    auth_data: Content,
}

impl BackupVersion {
    /// Reads the body of the answer.
    ///
    /// # Errors
    ///
    /// [`BackupVersionError`] when it is not of an algorithm with a Curve25519 key, damaged, or
    /// could be taken for something else that carries signatures, such as a cross-signing key.
    pub fn from_json(body: &str) -> Result<Self, BackupVersionError> {
        let body = Content::from_json(body)?;
        match body.get::<String>("algorithm") {
            Some(Ok(algorithm)) if algorithm == ALGORITHM => {}
            _ => return Err(BackupVersionError::UnsupportedAlgorithm),
        }
        let auth_data = body
            .object("auth_data")
            .ok_or(BackupVersionError::NoPublicKey)??;
        Kind::KeyBackup.check(&auth_data)?;
        let Some(Ok(public_key)) = auth_data.get::<String>("public_key") else {
            return Err(BackupVersionError::NoPublicKey);
        };
        let public_key =
            base64::decode_array(&public_key).map_err(BackupVersionError::PublicKey)?;
        let Some(Ok(version)) = body.get("version") else {
            return Err(BackupVersionError::NoVersion);
        };
        Ok(Self {
            version,
            public_key: *public_key,
            auth_data,
        })
    }

    /// The version, an opaque string.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The Curve25519 key that room keys are encrypted to, as unpadded base64.
    #[must_use]
    pub fn public_key(&self) -> String {
        base64::encode(self.public_key)
    }

    pub(crate) fn public_key_bytes(&self) -> &[u8; 32] {
        &self.public_key
    }

    /// `{"public_key", "signatures", …}` as it was received. Who signed it is for the reader to
    /// verify.
    #[must_use]
    pub fn auth_data(&self) -> &Content {
        &self.auth_data
    }

    /// The known members of `auth_data`, rebuilt: only these may be signed. The
    /// signatures of others stay if they can still fit.
    pub(crate) fn to_sign(&self) -> Signable {
        let passphrase = BackupPassphrase::from_auth_data(&self.auth_data);
        let known = Signable::key_backup(&self.public_key, passphrase.as_ref());
        if known.is_same(&self.auth_data) {
            known.with_signatures_of(&self.auth_data)
        } else {
            known
        }
    }

    /// The body of `PUT /room_keys/version/{version}`.
    pub(crate) fn with_auth_data(&self, auth_data: &Content) -> Content {
        let mut content = Content::default();
        content.insert("algorithm", ALGORITHM);
        content.insert("auth_data", auth_data);
        content.insert("version", &self.version);
        content
    }
}

/// Why the version of a key backup cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackupVersionError {
    /// The answer is not a JSON object.
    #[error("the backup version {0}")]
    Content(#[from] ContentError),
    /// `auth_data` has a member that belongs to something else that carries signatures.
    #[error("the backup version {0}")]
    Foreign(#[from] ForeignMember),
    /// `auth_data.public_key` is missing or no string.
    #[error("the backup version has no public key")]
    NoPublicKey,
    /// `version` is missing or no string.
    #[error("the backup version has no version")]
    NoVersion,
    /// `auth_data.public_key` is not base64 of 32 bytes.
    #[error("the public key of the backup version {0}")]
    PublicKey(base64::DecodeError),
    /// Another algorithm than `m.megolm_backup.v1.curve25519-aes-sha2`.
    #[error("the backup version uses an unknown algorithm")]
    UnsupportedAlgorithm,
}

crate::error_code::error_codes! {
    BackupVersionError:
    Self::Content { .. } => "backup_version_content",
    Self::Foreign { .. } => "backup_version_foreign",
    Self::NoPublicKey { .. } => "backup_version_no_public_key",
    Self::NoVersion { .. } => "backup_version_no_version",
    Self::PublicKey { .. } => "backup_version_public_key",
    Self::UnsupportedAlgorithm { .. } => "backup_version_unsupported_algorithm",
}

/// The algorithm of every backup that is made today.
pub(crate) const ALGORITHM: &str = "m.megolm_backup.v1.curve25519-aes-sha2";
