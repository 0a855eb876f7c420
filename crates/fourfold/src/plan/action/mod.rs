//! What the steps of plans do, each with what it expects to find.

mod account_data;
mod device;
mod found;
mod identity;
mod key_backup;
mod state;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::account_data::PutAccountData;
pub use self::device::{PublishDevice, RemoveDevice, SignDevice};
pub use self::found::Found;
pub use self::identity::PublishIdentity;
pub use self::key_backup::{CreateKeyBackup, DeleteKeyBackup, SignKeyBackup};
pub use self::state::StepState;

/// The action of a step. Each action knows the state that it expects, and tells from the current
/// state whether it is [due](StepState).
///
/// Its `Display` is a few words, such as `put m.secret_storage.default_key`; they may hold untrusted
/// text.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Puts a content under an event type of account data.
    PutAccountData(PutAccountData),
    /// Publishes the keys of this device.
    PublishDevice(PublishDevice),
    /// Publishes a cross-signing identity.
    PublishIdentity(PublishIdentity),
    /// Signs a device with the self-signing key.
    SignDevice(SignDevice),
    /// Logs a device out.
    RemoveDevice(RemoveDevice),
    /// Makes a new version of the key backup.
    CreateKeyBackup(CreateKeyBackup),
    /// Signs the current version of the key backup with the master key.
    SignKeyBackup(SignKeyBackup),
    /// Deletes a version of the key backup.
    DeleteKeyBackup(DeleteKeyBackup),
}

impl Action {
    /// Compares what is there now with what the action expects and with what it makes of it. What it
    /// is not about is a [conflict](StepState::Conflict).
    ///
    /// A driver that applies a plan asks [`Plan::state_of`](super::Plan::state_of), which knows the
    /// steps after it too.
    #[must_use]
    pub fn state(&self, found: Found<'_>) -> StepState {
        match (self, found) {
            (Self::PutAccountData(put), Found::AccountData(now)) => put.state(now),
            (Self::PublishDevice(step), Found::Keys(now)) => step.state(now),
            (Self::PublishIdentity(step), Found::Keys(now)) => step.state(now.identity()),
            (Self::SignDevice(step), Found::Keys(now)) => step.state(now),
            (Self::RemoveDevice(step), Found::Device { keys, is_logged_in }) => {
                step.state(keys, is_logged_in)
            }
            (Self::CreateKeyBackup(step), Found::KeyBackup(now)) => step.state(now),
            (Self::CreateKeyBackup(step), Found::UnreadableKeyBackup) => {
                step.state_over_unreadable()
            }
            (Self::SignKeyBackup(step), Found::KeyBackup(now)) => step.state(now),
            (Self::DeleteKeyBackup(step), Found::KeyBackupVersion(now)) => step.state(now),
            (Self::DeleteKeyBackup(step), Found::UnreadableKeyBackup) => {
                step.state_over_unreadable()
            }
            _ => StepState::Conflict,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PutAccountData(put) if put.is_removal() => write!(f, "empty {}", put.event_type),
            Self::PutAccountData(put) => write!(f, "put {}", put.event_type),
            Self::PublishDevice(step) => write!(f, "publish the device {}", step.device_id()),
            Self::PublishIdentity(_) => f.write_str("publish the identity"),
            Self::SignDevice(step) => write!(f, "sign the device {}", step.device_id()),
            Self::RemoveDevice(step) => write!(f, "log out the device {}", step.device_id()),
            Self::CreateKeyBackup(_) => f.write_str("create a key backup"),
            Self::SignKeyBackup(step) => write!(f, "sign the key backup {}", step.version()),
            Self::DeleteKeyBackup(step) => write!(f, "delete the key backup {}", step.version()),
        }
    }
}
