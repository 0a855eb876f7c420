//! The driver of Fourfold: HTTP to any Matrix homeserver, local state, and applying plans.
//!
//! The rules of secret storage are in [`fourfold`]; this crate fetches what they look at and carries
//! out what they decide. Its futures need a Tokio runtime with I/O and time.
//!
//! ```no_run
//! use fourfold::plan::{self, WritingKey};
//! use fourfold::rand_core::UnwrapErr;
//! use fourfold::{Secret, SecretName, SecretStorage, SecretStorageKey};
//! use fourfold_client::{Homeserver, Password};
//! # async fn bot(password: &Password, text: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let client = Homeserver::discover("example.org").await?.log_in("bot", password).await?;
//! let snapshot = client.snapshot().await?;
//! let storage = SecretStorage::new(&snapshot.account_data);
//! let description = storage.keys().next().ok_or("there is no key")?;
//! let key = storage.prove(SecretStorageKey::from_recovery_key(&description, text)?)?;
//! let name = SecretName::new("org.example.token")?;
//! let token = storage.open(&name, key.key())?.secret;
//! client.device().verify_self(key.key()).await?; // signed, and the signature read back
//! let (keys, new) = ([WritingKey::Proven(&key)], Secret::new("new"));
//! let mut rng = UnwrapErr(getrandom::SysRng);
//! let plan = plan::store(&storage, &name, &new, &keys, &snapshot.evidence(), &mut rng)?;
//! client.apply(&plan).await?; // step by step, each read back
//! # drop(token);
//! # Ok(())
//! # }
//! ```
//!
//! This is `examples/bot.rs`; `examples/answer.rs` answers the requests of other devices.
//!
//! # Each in one call, and in parts
//!
//! | to | one call | in parts |
//! |---|---|---|
//! | find a homeserver | [`Homeserver::discover`] | [`Homeserver::new`] |
//! | log in | [`Homeserver::log_in`] | [`LogIn::session`], [`Homeserver::session_of`] for a token, [`LocalState::create`] |
//! | log in again later | [`Client::open`] | [`LocalState::open`], [`Account::new`] |
//! | fetch the account | [`Client::snapshot`] | [`Account::snapshot`], [`LocalState::follow`] |
//! | carry out a [`Plan`](fourfold::Plan) | [`Client::apply`] | [`apply()`], [`resume`] |
//! | verify this device | [`OwnDevice::verify_self`] | [`NewDevice`], [`Device::verify_self`], [`sign_device`] |
//! | ask for a secret | [`OwnDevice::request`] | [`Device::request_secret`] |
//! | share secrets | [`OwnDevice::share`] | [`Device::set_policy`], [`Device::run`] |
//! | stay in sync | [`OwnDevice::sync`] | [`Device::wait`], [`Device::take`] |
//! | print text that a server chose | [`escape_untrusted`], [`escape_line`], [`escape_json`] | |
//!
//! # What it takes care of
//!
//! - Plain HTTP only to this machine, no redirects, no decompression, limits on size and time, and
//!   the access token only to the homeserver that it belongs to.
//! - What a server rolls back, takes away or weakens is noticed: see [`fourfold::history`]. This
//!   needs a memory: keep the log-in in a folder ([`LogIn::kept_in`]).
//! - Access tokens and passwords are wiped when dropped and are never printed.

mod account;
mod apply;
#[cfg(test)]
mod canary;
mod client;
mod device;
mod discovery;
mod error;
mod escape;
mod homeserver;
mod local_state;
mod login;
mod options;
mod path;
mod sealing_key;
#[cfg(test)]
mod testing;
mod transport;
mod verification;
mod wiped_json;

pub use account::{Account, DeviceInfo, DeviceLists, RefusedSignature};
pub use apply::{
    ApplyError, Progress, SignError, StepProgress, apply, forget_signature, resume, sign_device,
};
pub use client::{Client, ClientError, LogIn, OwnDevice, Unanswered};
pub use device::{
    Backoff, Device, DeviceError, DeviceEvent, NewDevice, NoSecrets, OlmError, ReceivedSecret,
    Remembered, SecretSource, SelfVerification, SyncBatch, VerificationEvent, VerifySelfError,
};
pub use error::{Error, ErrorKind};
pub use escape::{escape_json, escape_line, escape_untrusted};
pub use homeserver::Homeserver;
pub use local_state::{LocalState, LocalStateError};
pub use login::{AccessToken, LoginName, Password, Session, WhoAmI};
pub use options::Options;
pub use sealing_key::SealingKey;
pub use verification::{CancelCode, Emoji, ShortString};
