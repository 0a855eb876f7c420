//! Carrying out a plan, so that an interruption at any point loses nothing.

use fourfold::{
    Plan,
    plan::{Step, StepState},
};
use tracing::{debug, instrument};

use crate::{
    Account, Error, LocalState, LocalStateError,
    account::{Stored, Written},
    escape_untrusted,
};

/// Carries out a plan, step by step.
///
/// The plan is written to the journal first. Before each step the event is read again, and after it
/// too: nothing is overwritten that somebody else changed in the meantime, and nothing counts as
/// written that the server does not give back. At the end what was written is pinned and the journal
/// is cleared. `observe` is told about every step; what it does takes time from the plan.
///
/// ```no_run
/// use fourfold_client::{Account, LocalState, ProgressState, apply};
/// # async fn example(
/// #     account: &Account, state: &mut LocalState, plan: &fourfold::Plan,
/// # ) -> Result<(), fourfold_client::ApplyError> {
/// apply(account, state, plan, |progress| {
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
/// [`ApplyError`]. The journal stays after any of them but [`ApplyError::OtherAccount`]: the account
/// is usable as it is, and [`resume`] goes on where it stopped.
///
/// # Cancellation
///
/// When the future is dropped, it is as after a crash: [`resume`] goes on.
#[instrument(level = "debug", skip_all, fields(user = account.user_id(), steps = plan.steps.len()))]
pub async fn apply(
    account: &Account,
    state: &mut LocalState,
    plan: &Plan,
    mut observe: impl FnMut(Progress<'_>),
) -> Result<(), ApplyError> {
    if account.user_id() != state.user_id() {
        return Err(ApplyError::OtherAccount);
    }
    state.begin(plan)?;
    for (index, step) in plan.steps.iter().enumerate() {
        let mut tell = |state| {
            debug!(step = index, ?state, "step");
            observe(Progress {
                index,
                total: plan.steps.len(),
                step,
                state,
            });
        };
        let now = read(account, step, index).await?;
        match state_in_plan(plan, index, now.json.as_deref()) {
            StepState::Done => tell(ProgressState::Skipped),
            StepState::Conflict => return Err(conflict(step, index)),
            StepState::Due => {
                tell(ProgressState::Writing);
                write(account, step, index, now).await?;
                let back = read(account, step, index).await?;
                if step.state(back.json.as_deref()) != StepState::Done {
                    return Err(ApplyError::ReadBack {
                        event_type: step.event_type.clone(),
                        step: index,
                    });
                }
                tell(ProgressState::Written);
            }
        }
    }
    state.finish()?;
    Ok(())
}

/// Goes on with a plan that was begun and not finished, and returns it; `None` when there is none.
///
/// # Errors
///
/// As [`apply`].
pub async fn resume(
    account: &Account,
    state: &mut LocalState,
    observe: impl FnMut(Progress<'_>),
) -> Result<Option<Plan>, ApplyError> {
    let Some(plan) = state.journal()? else {
        return Ok(None);
    };
    apply(account, state, &plan, observe).await?;
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
    /// The event is neither as the plan expects nor as it wants it: somebody else changed it.
    #[error(
        "{} was changed by somebody else since the change was planned: give the plan up and make \
         a new one",
        escape_untrusted(event_type)
    )]
    Conflict {
        /// The event type, untrusted text.
        event_type: String,
        /// The place of the step in the plan, from 0.
        step: usize,
    },
    /// The local state could not be read or written.
    #[error(transparent)]
    LocalState(#[from] LocalStateError),
    /// The local state belongs to another account.
    #[error("the local state belongs to another account")]
    OtherAccount,
    /// The server said that it stored the content, and gave back something else.
    #[error(
        "the server did not keep what was written to {}: nothing after it was changed; resume \
         later, or ask its administrator",
        escape_untrusted(event_type)
    )]
    ReadBack {
        /// The event type, untrusted text.
        event_type: String,
        /// The place of the step in the plan, from 0.
        step: usize,
    },
    /// A call to the server did not succeed.
    #[error("{source}; what was begun can be resumed")]
    Request {
        /// The event type, untrusted text.
        event_type: String,
        /// The place of the step in the plan, from 0.
        step: usize,
        /// What went wrong.
        source: Error,
    },
}

/// How a step stands to what is there now, in view of the whole plan.
///
/// A plan may write the same event twice: first a secret gets an entry under the new key, later the
/// entry of the old key goes. When such a plan is resumed after the second write, the event is
/// neither what the first step expects nor what it wants. Then the later step tells: when what is
/// there is what *it* wants or expects, the first one has been done.
fn state_in_plan(plan: &Plan, index: usize, now: Option<&str>) -> StepState {
    let mut rest = plan.steps.iter().skip(index);
    let Some(step) = rest.next() else {
        return StepState::Done;
    };
    match step.state(now) {
        StepState::Conflict
            if rest
                .filter(|later| later.event_type == step.event_type)
                .any(|later| later.state(now) != StepState::Conflict) =>
        {
            StepState::Done
        }
        state => state,
    }
}

async fn read(account: &Account, step: &Step, index: usize) -> Result<Stored, ApplyError> {
    account
        .read(&step.event_type)
        .await
        .map_err(|error| request(step, index, error))
}

/// Writes a step that is due. When it is not known whether a write arrived, the event is read again
/// before the next attempt: what somebody else wrote in between is not overwritten.
async fn write(
    account: &Account,
    step: &Step,
    index: usize,
    mut now: Stored,
) -> Result<(), ApplyError> {
    let attempts = account.attempts();
    for attempt in 1..=attempts.max(1) {
        match account.write(&step.event_type, &step.content, &now).await {
            Ok(Written::Done) => return Ok(()),
            Ok(Written::ChangedMeanwhile) => {}
            Err(error) if error.is_uncertain() && attempt < attempts => {
                account.pause(attempt).await;
            }
            Err(error) => return Err(request(step, index, error)),
        }
        now = read(account, step, index).await?;
        match step.state(now.json.as_deref()) {
            StepState::Done => return Ok(()),
            StepState::Due => {}
            StepState::Conflict => break,
        }
    }
    Err(conflict(step, index))
}

fn conflict(step: &Step, index: usize) -> ApplyError {
    ApplyError::Conflict {
        event_type: step.event_type.clone(),
        step: index,
    }
}

fn request(step: &Step, index: usize, source: Error) -> ApplyError {
    ApplyError::Request {
        event_type: step.event_type.clone(),
        step: index,
        source,
    }
}

#[cfg(test)]
mod tests;
