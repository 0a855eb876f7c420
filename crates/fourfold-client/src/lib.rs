//! The driver of Fourfold: HTTP to any Matrix homeserver, local state, and applying plans.
//!
//! The rules of secret storage are in [`fourfold`]; this crate fetches what they look at and carries
//! out what they decide. Its futures need a Tokio runtime with I/O and time.
//!
//! # Which type for what
//!
//! | to | use |
//! |---|---|
//! | find a homeserver, register, log in | [`Homeserver`], [`LoginName`] |
//! | read and write account data | [`Account`] |
//! | keep the session and what was seen before | [`LocalState`] |
//! | be a device that other devices of the user can send secrets to | [`Device`], [`SealingKey`] |
//! | carry out a [`Plan`](fourfold::Plan) so that a crash loses nothing | [`apply()`], [`resume`] |
//! | print text that a server chose | [`escape_untrusted`], [`escape_line`], [`escape_json`] |
//!
//! # What it takes care of
//!
//! - Plain HTTP only to this machine, no redirects, no decompression, limits on size and time, and
//!   the access token only to the homeserver that it belongs to.
//! - What a server rolls back, takes away or weakens is noticed: see [`fourfold::history`].
//! - Access tokens and passwords are wiped when dropped and are never printed.
//!
//! # Example
//!
//! ```no_run
//! use fourfold_client::{Account, Homeserver, LocalState, LoginName, Options, Password};
//! # async fn example(folder: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options::default();
//! let alice = LoginName::new("@alice:example.org")?;
//! let homeserver = Homeserver::discover(alice.as_str(), &options).await?;
//! let password = Password::new("correct horse battery staple");
//! let session = homeserver.log_in(&alice, &password, None, Some("laptop")).await?;
//! let mut state = LocalState::create(folder, &session)?;
//!
//! let account = Account::new(session, &options)?;
//! let snapshot = account.snapshot().await?;
//! for change in state.compare(&snapshot)? {
//!     eprintln!("{change}");
//! }
//! state.pin(&snapshot)?;
//! # Ok(())
//! # }
//! ```

mod account;
mod apply;
#[cfg(test)]
mod canary;
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
pub use apply::{ApplyError, Progress, StepProgress, apply, resume};
pub use device::{
    Backoff, Device, DeviceError, DeviceEvent, NewDevice, NoSecrets, OlmError, ReceivedSecret,
    Remembered, SecretSource, SyncBatch, VerificationEvent,
};
pub use error::{Error, ErrorKind};
pub use escape::{escape_json, escape_line, escape_untrusted};
pub use homeserver::Homeserver;
pub use local_state::{LocalState, LocalStateError};
pub use login::{AccessToken, LoginName, Password, Session, WhoAmI};
pub use options::Options;
pub use sealing_key::SealingKey;
pub use verification::{CancelCode, Emoji, ShortString};
