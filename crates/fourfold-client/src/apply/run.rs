//! Carrying out a plan, so that an interruption at any point loses nothing.

use fourfold::Plan;
use fourfold::judged::{Cleared, Writable};
use fourfold::plan::Step;
use tracing::{debug, instrument};

use super::error::ApplyError;
use super::step::{StepInPlan, StepProgress};
use crate::{Account, LocalState, Password};

/// Carries out a plan, step by step.
///
/// The plan was made of an account that was compared with what this machine remembers, which the
/// type of it shows. It is written to the journal first. Before each step what it is about is read again, and
/// after it too: nothing is overwritten that somebody else changed in the meantime, and nothing
/// counts as done that the server does not show. At the end what was written is pinned and the
/// journal is cleared. `observe` is told about every step; what it does takes time from the plan.
///
/// `password` is for the steps for which a server wants the user to be there. Without it they fail
/// with [`NeedsPassword`](crate::ErrorKind::NeedsPassword), and carrying out the same plan again, with
/// it, goes on.
///
/// ```no_run
/// use fourfold::judged::Cleared;
/// use fourfold_client::{Account, LocalState, StepProgress, apply};
/// # async fn example(
/// #     account: &Account, state: &mut LocalState, plan: Cleared<'_>,
/// # ) -> Result<(), fourfold_client::ApplyError> {
/// apply(account, state, plan, None, |progress| {
///     if progress.state == StepProgress::Written {
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
#[instrument(level = "debug", skip_all, fields(user = account.user_id(), steps = plan.plan().steps.len()))]
pub async fn apply(
    account: &Account,
    state: &mut LocalState,
    plan: Cleared<'_>,
    password: Option<&Password>,
    mut observe: impl FnMut(Progress<'_>),
) -> Result<(), ApplyError> {
    let plan = plan.plan();
    if account.user_id() != state.user_id() {
        return Err(ApplyError::OtherAccount);
    }
    let mut is_untouched = state.journal()?.is_none();
    state.begin(plan)?;
    for (index, step) in plan.steps.iter().enumerate() {
        let mut tell = |state| {
            debug!(step = index, ?state, "step");
            is_untouched &= state == StepProgress::Writing;
            observe(Progress {
                index,
                total: plan.steps.len(),
                step,
                state,
            });
        };
        let this = StepInPlan {
            account,
            plan,
            index,
            step,
            password,
        };
        if let Err(error) = this.carry_out(&mut tell).await {
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
/// `now` is the account as it is: nobody knows how long ago the plan was made, so what is there is
/// compared again before it. What the plan has done itself is no change.
///
/// # Errors
///
/// As [`apply`].
pub async fn resume(
    account: &Account,
    state: &mut LocalState,
    now: &Writable,
    password: Option<&Password>,
    observe: impl FnMut(Progress<'_>),
) -> Result<Option<Plan>, ApplyError> {
    let Some(plan) = state.journal()? else {
        return Ok(None);
    };
    apply(account, state, now.clear(&plan), password, observe).await?;
    Ok(Some(plan))
}

/// The progress of [`apply`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// The place of the step in the plan, from 0.
    pub index: usize,
    /// The number of steps of the plan.
    pub total: usize,
    /// The step.
    pub step: &'a Step,
    /// The state of the step.
    pub state: StepProgress,
}
