//! Why a plan was not carried out.

use fourfold::plan::Action;

use crate::account::RefusedSignature;
use crate::{Error, ErrorKind, LocalStateError, escape_untrusted};

/// Why a plan was not carried out to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The current state is neither the one that the step expects nor its result: somebody else
    /// changed it.
    #[error("{}; abandon the plan and make a new one", conflict(action))]
    Conflict {
        /// The action.
        action: Box<Action>,
        /// The place of the step in the plan, from 0.
        step: usize,
    },
    /// The local state could not be read or written.
    #[error(transparent)]
    LocalState(#[from] LocalStateError),
    /// The local state belongs to another account.
    #[error("the local state belongs to another account")]
    OtherAccount,
    /// The server said that it did what it was asked to, and shows something else.
    #[error("{}; nothing after it was changed", read_back(action))]
    ReadBack {
        /// The action.
        action: Box<Action>,
        /// The place of the step in the plan, from 0.
        step: usize,
    },
    /// The server did not take a signature.
    #[error("{refused}; the change can be resumed")]
    Refused {
        /// The place of the step in the plan, from 0.
        step: usize,
        /// The refused object, and the reason.
        refused: RefusedSignature,
    },
    /// A call to the server did not succeed.
    #[error("{source}; the change can be resumed")]
    Request {
        /// The action.
        action: Box<Action>,
        /// The place of the step in the plan, from 0.
        step: usize,
        /// The problem.
        source: Error,
    },
    /// The server keeps a signature of an earlier device with the same ID, and dropped the new one.
    #[error(
        "the homeserver keeps the signature of an earlier device with the ID {}, and drops the new \
         one without a word, as some do",
        escape_untrusted(device_id)
    )]
    StaleSignature {
        /// The device.
        device_id: String,
        /// The place of the step in the plan, from 0.
        step: usize,
    },
}

impl ApplyError {
    /// Returns `true` if all that is missing is the password of the account: with it, the same plan
    /// goes on.
    #[must_use]
    pub fn needs_password(&self) -> bool {
        matches!(self, Self::Request { source, .. } if *source.kind() == ErrorKind::NeedsPassword)
    }

    /// Returns `true` if the server wants the user to be there, and this is all that is wrong.
    pub(super) fn is_about_authentication(&self) -> bool {
        matches!(self, Self::Request { source, .. } if source.is_about_authentication())
    }
}

fn conflict(action: &Action) -> String {
    match action {
        Action::PutAccountData(put) => format!(
            "{} was changed by another client since the change was planned",
            escape_untrusted(&put.event_type)
        ),
        Action::PublishIdentity(_) => {
            "the identity of the account was changed since the change was planned".to_owned()
        }
        Action::PublishDevice(step) => shows_others(step.device_id()),
        Action::SignDevice(step) => {
            shows_others(step.device_id()) + ", or another identity; nothing was signed"
        }
        Action::RemoveDevice(step) => format!(
            "the device {} was replaced since the change was planned",
            escape_untrusted(step.device_id())
        ),
        _ => "the key backup was changed by another client since the change was planned".to_owned(),
    }
}

fn shows_others(device_id: &str) -> String {
    let id = escape_untrusted(device_id);
    format!("the server shows different keys for the device {id} than the device has")
}

fn read_back(action: &Action) -> String {
    match action {
        Action::PutAccountData(put) => format!(
            "the server did not store what was written to {}",
            escape_untrusted(&put.event_type)
        ),
        Action::SignDevice(step) => format!(
            "the server accepted the signature of the device {}, but does not show it",
            escape_untrusted(step.device_id())
        ),
        action => format!(
            "the server reported success, but did not {}",
            escape_untrusted(&action.to_string())
        ),
    }
}
