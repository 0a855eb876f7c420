//! Signing a device of the user.

use fourfold::cross_signing::{ConfirmedDevice, SignDeviceError};
use fourfold::identity::UserKeys;
use fourfold::judged::Writable;
use fourfold::plan::{self, Action};
use fourfold::signed_json::SigningKey;

use super::error::ApplyError;
use super::run::apply;
use crate::{Account, LocalState, LocalStateError};

/// Signs a device, unless it is signed already, and reads the signature back. Whether it was signed
/// now.
///
/// `now` shows that the account may be changed. An interrupted attempt is not resumed: the signature is made again.
///
/// # Errors
///
/// [`SignError`]. Nothing is left to be resumed after any of them.
pub async fn sign_device(
    account: &Account,
    state: &mut LocalState,
    now: &Writable,
    device: &ConfirmedDevice,
    self_signing_key: &SigningKey,
    published: &UserKeys,
) -> Result<bool, SignError> {
    forget_signature(state)?;
    let plan = plan::sign_device(published, device, self_signing_key)?;
    if plan.is_empty() {
        return Ok(false);
    }
    if let Err(error) = apply(account, state, now.clear(&plan), None, |_| {}).await {
        forget_signature(state)?;
        return Err(error.into());
    }
    Ok(true)
}

/// Forgets a signature that an interrupted attempt has left: a plan that does nothing else.
///
/// # Errors
///
/// If the local state cannot be read or written.
pub fn forget_signature(state: &mut LocalState) -> Result<(), LocalStateError> {
    let is_signature = |plan: fourfold::Plan| {
        let mut steps = plan.steps.iter();
        steps.all(|step| matches!(step.action, Action::SignDevice(_)))
    };
    if state.journal()?.is_some_and(is_signature) {
        state.abandon()?;
    }
    Ok(())
}

/// Why a device is not signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The server did not take the signature, or does not show it.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The local state could not be read or written.
    #[error(transparent)]
    LocalState(#[from] LocalStateError),
    /// The published keys do not match the signature.
    #[error("{0}; nothing was signed")]
    Refused(#[from] SignDeviceError),
}

impl SignError {
    /// Returns `true` if the server said that it took the signature, and does not show it.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        matches!(
            self,
            Self::Apply(ApplyError::ReadBack { .. } | ApplyError::StaleSignature { .. })
        )
    }
}
