//! What a step of account data finds, in view of the steps after it.

use fourfold::Plan;
use fourfold::plan::{Action, PutAccountData, Step, StepState};

/// A step that changes account data, in view of the steps after it.
///
/// A plan may write the same event twice: first a secret gets an entry under the new key, later the
/// entry of the old key goes. When such a plan is resumed after the second write, the event is
/// neither what the first step expects nor what it wants. Then the later step tells: when what is
/// there is what *it* wants or expects, the first one has been done.
pub(super) struct InPlan<'a> {
    put: &'a PutAccountData,
    later: Vec<&'a PutAccountData>,
}

impl<'a> InPlan<'a> {
    /// The step with this place in the plan, if it is one of account data.
    pub(super) fn find(plan: &'a Plan, index: usize) -> Option<Self> {
        let put = |step: &'a Step| match &step.action {
            Action::PutAccountData(put) => Some(put),
            _ => None,
        };
        let mut rest = plan.steps.iter().skip(index);
        let this = put(rest.next()?)?;
        let later = rest
            .filter_map(put)
            .filter(|later| later.event_type == this.event_type);
        Some(Self {
            put: this,
            later: later.collect(),
        })
    }

    pub(super) fn state_of(&self, now: Option<&str>) -> StepState {
        match self.put.state(now) {
            StepState::Conflict
                if self
                    .later
                    .iter()
                    .any(|later| later.state(now) != StepState::Conflict) =>
            {
                StepState::Done
            }
            state => state,
        }
    }
}
