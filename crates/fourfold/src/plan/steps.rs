//! A plan: its steps, and how far each of them is.

use serde::{Deserialize, Serialize};

use super::action::{Action, Found, PutAccountData, StepState};
use crate::{AccountData, ContentError};

/// An ordered list of steps that change what the server holds.
///
/// Titles, reasons and warnings name secrets, keys and devices. Other clients and the server choose
/// those names, so the texts are untrusted: one line each, but escape what a terminal or a page would
/// take for more than text.
///
/// A driver that applies a plan reads what each step is about, asks [`state_of`](Self::state_of),
/// writes when the step is [`Due`](StepState::Due), skips it when it is [`Done`](StepState::Done),
/// stops at a [`Conflict`](StepState::Conflict), and after a write reads again: then the step must
/// be `Done`. To resume a plan is to apply it again from the first step.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The title: what the plan achieves, in a few words.
    pub title: String,
    /// The steps, in this order.
    pub steps: Vec<Step>,
    /// The warnings that the user should read before agreeing.
    pub warnings: Vec<String>,
}

impl Plan {
    /// One plan that does what these do, in this order. A warning that several of them have is given
    /// once.
    ///
    /// They must be about different things, or each made of what the ones before it leave.
    #[must_use]
    pub fn of(title: impl Into<String>, plans: impl IntoIterator<Item = Self>) -> Self {
        let mut whole = Self::new(title);
        for plan in plans {
            whole.steps.extend(plan.steps);
            for warning in plan.warnings {
                if !whole.warnings.contains(&warning) {
                    whole.warnings.push(warning);
                }
            }
        }
        whole
    }

    /// Returns `true` if there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The state of one step, compared with what is at the server now.
    ///
    /// A plan may write the same event twice: first a secret gets an entry under the new key, later
    /// the entry of the old key goes. When such a plan is resumed after the second write, the event
    /// is neither what the first step expects nor what it makes of it, and the step alone would
    /// report a [conflict](StepState::Conflict). Here the later step decides: when what is there is
    /// what *it* expects or makes of it, the earlier one was done.
    ///
    /// `index` is the place of the step in [`steps`](Self::steps); what is not there is a conflict.
    /// `found` must be of the kind that the step is about.
    ///
    /// ```
    /// # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
    /// use fourfold::{AccountData, NewKey, SecretStorage, plan, plan::{Action, Found, StepState}};
    /// let mut server = AccountData::default();
    /// let plan = plan::set_up(&SecretStorage::new(&server), &NewKey::random(None, &mut rng))?;
    /// for (index, step) in plan.steps.iter().enumerate() {
    ///     let Action::PutAccountData(put) = &step.action else {
    ///         continue; // other actions are about other things
    ///     };
    ///     match plan.state_of(index, Found::AccountData(server.raw(&put.event_type))) {
    ///         StepState::Due => server.insert(&put.event_type, &put.content),
    ///         StepState::Done => continue,
    ///         StepState::Conflict => panic!("somebody else changed it"),
    ///     }
    ///     let back = Found::AccountData(server.raw(&put.event_type));
    ///     assert_eq!(plan.state_of(index, back), StepState::Done);
    /// }
    /// # Ok::<(), plan::SetUpError>(())
    /// ```
    #[must_use]
    pub fn state_of(&self, index: usize, found: Found<'_>) -> StepState {
        let mut steps = self.steps.iter().skip(index).map(|step| &step.action);
        let Some(action) = steps.next() else {
            return StepState::Conflict;
        };
        match action.state(found) {
            StepState::Conflict if steps.any(|later| continues(action, later, found)) => {
                StepState::Done
            }
            state => state,
        }
    }

    /// The steps that change account data.
    pub fn account_data(&self) -> impl Iterator<Item = &PutAccountData> {
        self.steps.iter().filter_map(|step| match &step.action {
            Action::PutAccountData(put) => Some(put),
            _ => None,
        })
    }

    /// Carries out what the plan does to account data on a snapshot, as a server would hold it
    /// afterwards.
    pub fn apply_to(&self, account_data: &mut AccountData) {
        for put in self.account_data() {
            account_data.insert(&put.event_type, &put.content);
        }
    }

    pub(super) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            steps: Vec::new(),
            warnings: Vec::new(),
        }
    }

    pub(super) fn step(&mut self, reason: impl Into<String>, action: Action) {
        let reason = reason.into();
        self.steps.push(Step { reason, action });
    }

    pub(super) fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }
}

/// One change, and why.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Step {
    /// Why, in words for the user.
    pub reason: String,
    /// The action.
    pub action: Action,
}

/// Returns `true` if a later action goes on from what an earlier one made, and what is there is on
/// its way or done.
fn continues(earlier: &Action, later: &Action, found: Found<'_>) -> bool {
    match (earlier, later) {
        (Action::PutAccountData(earlier), Action::PutAccountData(put)) => {
            put.event_type == earlier.event_type && later.state(found) != StepState::Conflict
        }
        _ => false,
    }
}

/// Reads a plan that was stored.
///
/// # Errors
///
/// [`ContentError::NotJson`] when it is not a plan.
impl std::str::FromStr for Plan {
    type Err = ContentError;

    fn from_str(json: &str) -> Result<Self, ContentError> {
        serde_json::from_str(json).map_err(|_| ContentError::NotJson)
    }
}
