//! Carrying out a plan, so that an interruption at any point loses nothing.

mod account_data;
mod change;
mod device;
mod identity;
mod key_backup;

pub(crate) use change::Written;
use fourfold::Plan;
use fourfold::plan::{Action, Step};
use tracing::{debug, instrument};

use self::account_data::InPlan;
use self::change::Failure;
use crate::{
    Account, Error, ErrorKind, LocalState, LocalStateError, Password, RefusedSignature,
    escape_untrusted,
};

/// Carries out a plan, step by step.
///
/// The plan is written to the journal first. Before each step what it is about is read again, and
/// after it too: nothing is overwritten that somebody else changed in the meantime, and nothing
/// counts as done that the server does not show. At the end what was written is pinned and the
/// journal is cleared. `observe` is told about every step; what it does takes time from the plan.
///
/// `password` is for the steps for which a server wants the user to be there. Without it they fail
/// with [`NeedsPassword`](crate::ErrorKind::NeedsPassword), and carrying out the same plan again, with
/// it, goes on.
///
/// ```no_run
/// use fourfold_client::{Account, LocalState, ProgressState, apply};
/// # async fn example(
/// #     account: &Account, state: &mut LocalState, plan: &fourfold::Plan,
/// # ) -> Result<(), fourfold_client::ApplyError> {
/// apply(account, state, plan, None, |progress| {
///     if progress.state == ProgressState::Written {
///         println!("{} of {}: {}", progress.index + 1, progress.total, progress.step.reason);
///     }
/// })
/// .await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`ApplyError`]. The journal stays after any of them but [`ApplyError::OtherAccount`], and but a
/// password that is missing or wrong before anything was written: the account is usable as it is,
/// and [`resume`] goes on where it stopped.
///
/// # Cancellation
///
/// When the future is dropped, it is as after a crash: [`resume`] goes on.
#[instrument(level = "debug", skip_all, fields(user = account.user_id(), steps = plan.steps.len()))]
pub async fn apply(
    account: &Account,
    state: &mut LocalState,
    plan: &Plan,
    password: Option<&Password>,
    mut observe: impl FnMut(Progress<'_>),
) -> Result<(), ApplyError> {
    if account.user_id() != state.user_id() {
        return Err(ApplyError::OtherAccount);
    }
    let mut is_untouched = state.journal()?.is_none();
    state.begin(plan)?;
    for (index, step) in plan.steps.iter().enumerate() {
        let mut tell = |state| {
            debug!(step = index, ?state, "step");
            is_untouched &= state == ProgressState::Writing;
            observe(Progress {
                index,
                total: plan.steps.len(),
                step,
                state,
            });
        };
        if let Err(failure) = carry_out(account, plan, index, password, &mut tell).await {
            let error = ApplyError::of(failure, step, index);
            if is_untouched && error.is_about_authentication() {
                state.abandon()?;
            }
            return Err(error);
        }
    }
    state.finish()?;
    Ok(())
}

/// Goes on with a plan that was begun and not finished, and returns it; `None` when there is none.
///
/// As before any plan, [compare](LocalState::compare) first what is there with what is remembered:
/// nobody knows how long ago the plan was made. What it has done itself is no change.
///
/// # Errors
///
/// As [`apply`].
pub async fn resume(
    account: &Account,
    state: &mut LocalState,
    password: Option<&Password>,
    observe: impl FnMut(Progress<'_>),
) -> Result<Option<Plan>, ApplyError> {
    let Some(plan) = state.journal()? else {
        return Ok(None);
    };
    apply(account, state, &plan, password, observe).await?;
    Ok(Some(plan))
}

/// What [`apply`] is doing.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// The place of the step in the plan, from 0.
    pub index: usize,
    /// How many steps the plan has.
    pub total: usize,
    /// The step.
    pub step: &'a Step,
    /// What happens with it.
    pub state: ProgressState,
}

/// What happens with a step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ProgressState {
    /// It has been done before.
    Skipped,
    /// It is being written.
    Writing,
    /// It is written, and the server gave it back.
    Written,
}

/// Why a plan was not carried out to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// What is there is neither as the step expects nor as it wants it: somebody else changed it.
    #[error("{}; give the plan up and make a new one", conflict(action))]
    Conflict {
        /// What was to be done.
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
        /// What was to be done.
        action: Box<Action>,
        /// The place of the step in the plan, from 0.
        step: usize,
    },
    /// The server did not take a signature.
    #[error("{refused}; what was begun can be resumed")]
    Refused {
        /// The place of the step in the plan, from 0.
        step: usize,
        /// What was refused, and why.
        refused: RefusedSignature,
    },
    /// A call to the server did not succeed.
    #[error("{source}; what was begun can be resumed")]
    Request {
        /// What was to be done.
        action: Box<Action>,
        /// The place of the step in the plan, from 0.
        step: usize,
        /// What went wrong.
        source: Error,
    },
}

impl ApplyError {
    fn of(failure: Failure, step: &Step, index: usize) -> Self {
        let (action, step) = (Box::new(step.action.clone()), index);
        match failure {
            Failure::Conflict => Self::Conflict { action, step },
            Failure::ReadBack => Self::ReadBack { action, step },
            Failure::Refused(refused) => Self::Refused { step, refused },
            Failure::Request(source) => Self::Request {
                action,
                step,
                source,
            },
        }
    }

    /// Whether all that is missing is the password of the account: with it, the same plan goes on.
    #[must_use]
    pub fn needs_password(&self) -> bool {
        matches!(self, Self::Request { source, .. } if *source.kind() == ErrorKind::NeedsPassword)
    }

    /// Whether the server wants the user to be there, and this is all that is wrong.
    fn is_about_authentication(&self) -> bool {
        matches!(self, Self::Request { source, .. } if source.is_about_authentication())
    }
}

async fn carry_out(
    account: &Account,
    plan: &Plan,
    index: usize,
    password: Option<&Password>,
    tell: &mut impl FnMut(ProgressState),
) -> Result<(), Failure> {
    let Some(step) = plan.steps.get(index) else {
        return Ok(());
    };
    match &step.action {
        Action::PutAccountData(_) => match InPlan::find(plan, index) {
            Some(put) => change::carry_out(&put, account, password, tell).await,
            None => Ok(()),
        },
        Action::PublishDevice(step) => change::carry_out(step, account, password, tell).await,
        Action::PublishIdentity(step) => change::carry_out(step, account, password, tell).await,
        Action::SignDevice(step) => change::carry_out(step, account, password, tell).await,
        Action::RemoveDevice(step) => change::carry_out(step, account, password, tell).await,
        Action::CreateKeyBackup(step) => change::carry_out(step, account, password, tell).await,
        Action::SignKeyBackup(step) => change::carry_out(step, account, password, tell).await,
        // A plan of a later version of the core.
        _ => Err(Failure::Conflict),
    }
}

fn conflict(action: &Action) -> String {
    match action {
        Action::PutAccountData(put) => format!(
            "{} was changed by somebody else since the change was planned",
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
            "the device {} is another one since the change was planned",
            escape_untrusted(step.device_id())
        ),
        _ => "the key backup was changed by somebody else since the change was planned".to_owned(),
    }
}

fn shows_others(device_id: &str) -> String {
    let id = escape_untrusted(device_id);
    format!("the server shows other keys for the device {id} than it has")
}

fn read_back(action: &Action) -> String {
    match action {
        Action::PutAccountData(put) => format!(
            "the server did not keep what was written to {}",
            escape_untrusted(&put.event_type)
        ),
        Action::SignDevice(step) => format!(
            "the server accepted the signature of the device {}, but does not show it",
            escape_untrusted(step.device_id())
        ),
        action => format!(
            "the server said yes, but did not {}",
            escape_untrusted(&action.to_string())
        ),
    }
}

#[cfg(test)]
mod tests;
