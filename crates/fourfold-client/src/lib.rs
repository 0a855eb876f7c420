//! The driver of Fourfold: HTTP to any Matrix homeserver, local state, and applying plans.
//!
//! The rules of secret storage are in [`fourfold`]; this crate fetches what they look at and carries
//! out what they decide. Its futures need a Tokio runtime with I/O and time.
//!
//! ```no_run
//! use fourfold::rand_core::UnwrapErr;
//! use fourfold::{Secret, SecretName};
//! use fourfold_client::{Homeserver, Password};
//! # async fn bot(password: &Password, text: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let client = Homeserver::discover("example.org").await?.log_in("bot", password).await?;
//! let snapshot = client.snapshot().await?;
//! let key = snapshot.unlock(text)?; // a recovery key or a passphrase, checked
//! let name = SecretName::new("org.example.token")?;
//! let token = snapshot.open(&name, &key)?; // opened, and compared with what is published
//! client.device().verify_self(&key).await?; // signed, and the signature read back
//! let mut rng = UnwrapErr(getrandom::SysRng);
//! let plan = snapshot.store(&name, &Secret::new("new"), &key, &mut rng)?;
//! client.apply(snapshot.clear(&plan)).await?; // step by step, each read back
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
//! | verify this device | [`OwnDevice::verify_self`] | [`NewDevice`], [`Device::sign_self`], [`Device::hold_on_to`] |
//! | set an account up | [`OwnDevice::set_up`] | [`Bootstrap`](fourfold::plan::Bootstrap), [`Device::prepare_bootstrap`], [`apply()`], [`Device::settle_bootstrap`] |
//! | ask for a secret | [`OwnDevice::request`] | [`Device::request_secret`] |
//! | share secrets | [`OwnDevice::share`] | [`Device::set_policy`], [`Device::run`] |
//! | stay in sync | [`OwnDevice::sync`] | [`Device::wait`], [`Device::take`] |
//! | print text that a server chose | [`escape_untrusted`], [`escape_line`], [`escape_json`] | |
//! | write a secret as JSON | [`to_wiped_json`], [`to_wiped_json_pretty`] | |
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

pub use account::{
    Account, BackupSample, DeviceInfo, DeviceLists, HistoryEntry, HistoryPage, RefusedSignature,
    ShownBackup,
};
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
pub use wiped_json::{to_wiped_json, to_wiped_json_pretty};
