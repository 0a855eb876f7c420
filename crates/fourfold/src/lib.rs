//! Matrix Secure Secret Storage and Sharing (MSC1946, "4S", "SSSS"), without I/O.
//!
//! A client stores secrets in the user's account data so that the server cannot read them, encrypted
//! under one or more keys that a recovery key or a passphrase opens: the [Secrets
//! module](https://spec.matrix.org/v1.19/client-server-api/#secrets) of the Matrix specification, and
//! the text of 2019 that it grew out of. This crate is values and pure functions: it reads no clock,
//! opens no socket and no file, and takes its randomness as an argument. Fetching account data and
//! carrying out a [`Plan`] is the caller's part.
//!
//! # Which function for what
//!
//! | to | use |
//! |---|---|
//! | look at what is there | [`AccountData`], [`SecretStorage`] |
//! | turn what the user typed into a key | [`Snapshot::unlock`], [`SecretStorage::find_key`] |
//! | unlock, open and store in one call each | [`Snapshot`] |
//! | read a secret in parts | [`SecretStorage::open`], then [`PublishedKeys::judge`] |
//! | be allowed to write | [`SecretStorage::prove`] or [`NewKey`], which give a [`ProvenKey`] |
//! | find out what is wrong with an account, and what mends it | [`health`] |
//! | notice what a server rolls back, weakens or moves | [`history`], [`judged`] |
//! | set an account up, or complete it | [`plan::Bootstrap`] |
//! | look at the versions of the key backup and their private keys | [`backup`] |
//! | change anything | a function of [`plan`], which gives a [`Plan`]; [`Plan::state_of`] to apply it |
//! | tell errors apart in a program | their `code()`, such as [`UnlockError::code`](storage::UnlockError::code) |
//!
//! # What it takes care of
//!
//! - Only a [`ProvenKey`] can encrypt: its key check verified, a stored secret's MAC verified under
//!   it, or it was made here.
//! - Only a [`Signable`](signable::Signable) can be signed: an object that was built here, member by
//!   member, never one that arrived.
//! - What the server chooses (iterations, check data, the default key, names) is bounded and never
//!   decides what is written.
//! - Real accounts carry the quirks of a dozen clients. Reading accepts and reports them; writing
//!   emits what the specification says.
//! - Secrets are wiped when dropped, are never printed and are compared in constant time.
//!
//! # Example
//!
//! ```
//! use fourfold::{AccountData, NewKey, PublishedKeys, Secret, SecretName, SecretStorage, plan};
//! # use fourfold::SecretStorageKey;
//!
//! let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
//! let mut account_data = AccountData::default(); // as fetched from the server
//!
//! // On one device: make a key and store a secret. The steps of a plan are PUT to the server.
//! let new = NewKey::random(None, &mut rng);
//! let recovery_key = new.key().key().expose_recovery_key();
//! plan::set_up(&SecretStorage::new(&account_data), &new)?.apply_to(&mut account_data);
//! let name = SecretName::new("org.example.token")?;
//! plan::store(
//!     &SecretStorage::new(&account_data),
//!     &name,
//!     &Secret::new("s3cret"),
//!     &[plan::WritingKey::Proven(new.key())],
//!     &PublishedKeys::default(),
//!     &mut rng,
//! )?
//! .apply_to(&mut account_data);
//!
//! // On another one, with nothing but the recovery key: open it.
//! let storage = SecretStorage::new(&account_data);
//! let description = storage.key(storage.default_key().key_id().ok_or("no default key")?)?;
//! let key = SecretStorageKey::from_recovery_key(&description, &recovery_key)?;
//! assert_eq!(storage.open(&name, &key)?.secret.expose_secret(), "s3cret");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(fuzzing)]
compile_error!("checks of dependencies are off under cfg(fuzzing): build without it");

mod account_data;
pub mod algorithm;
pub mod backup;
mod backup_version;
pub mod base64;
pub mod canonical_json;
mod content;
pub mod cross_signing;
mod default_key;
mod encrypted_secret;
mod error_code;
pub mod export;
pub mod health;
pub mod history;
mod identifier;
pub mod identity;
pub mod judged;
mod key;
mod key_backup;
mod key_check;
mod key_description;
mod key_id;
mod login_password;
pub mod passphrase;
pub mod plan;
pub mod qr_login;
mod quirk;
pub mod recovery_key;
mod secret;
pub mod secret_kind;
mod secret_name;
pub mod sharing;
pub mod signable;
pub mod signed_json;
mod snapshot;
pub mod storage;
#[cfg(test)]
mod testing;
mod timestamp;

pub use account_data::{AccountData, EventState};
pub use algorithm::Algorithm;
pub use backup_version::{BackupVersion, BackupVersionError};
pub use content::{Content, ContentError, WrongType};
pub use default_key::DefaultKey;
pub use encrypted_secret::{EncryptedSecret, EncryptedSecretError, Entry, SecretState};
pub use identity::PublishedIdentity;
pub use key::{
    Authenticity, KeyInputError, NewKey, ProvenKey, SecretStorageKey, TrustError, TrustedPublicKey,
};
pub use key_backup::NewKeyBackup;
pub use key_check::{KeyCheck, KeyCheckOutcome};
pub use key_description::{KeyCheckError, KeyDescription, KeyDescriptionError};
pub use key_id::{KeyId, KeyIdError};
pub use login_password::{IsLoginPassword, LoginPasswords};
pub use plan::Plan;
pub use quirk::Quirk;
// Part of the public interface: every function that needs randomness takes a `CryptoRng`.
pub use rand_core;
pub use secret::Secret;
pub use secret_kind::{PublishedKeys, SecretKind, SecretValueError, Verdict};
pub use secret_name::{SecretName, SecretNameError};
pub use snapshot::Snapshot;
pub use storage::{NotProven, NotProvenReason, OpenError, OpenedSecret, SecretStorage};
pub use timestamp::Timestamp;
