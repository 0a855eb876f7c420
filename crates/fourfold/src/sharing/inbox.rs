//! Secrets that nobody asked for (MSC4385): taken only when the policy names them, and not too many.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::accept;
use super::effects::Effects;
use crate::sharing::{AuditDecision, Channel, Context, Ignored, Origin, Output, Policy, Received};
use crate::{Secret, SecretName, Timestamp};

/// When pushes were taken.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Inbox {
    taken: VecDeque<Timestamp>,
}

impl Inbox {
    /// The most pushes that are taken in an hour.
    const MAX: usize = 20;
    const WINDOW: Duration = Duration::from_hours(1);

    /// Takes in a push, and says why it was ignored if it was.
    pub(super) fn pushed(
        &mut self,
        channel: &Channel,
        name: SecretName,
        secret: Secret,
        rules: (&Policy, bool),
        io: &mut Effects<'_>,
        context: &Context<'_>,
    ) -> Option<Ignored> {
        let (policy, locked) = rules;
        let accepted = match accept::push(channel, &name, &secret, policy, locked, context) {
            Ok(accepted) => accepted,
            Err(rejection) => return Some(rejection.report(io, context)),
        };
        self.taken
            .retain(|at| context.now.since(*at) < Self::WINDOW);
        if self.taken.len() >= Self::MAX {
            return Some(Ignored::QueueFull);
        }
        self.taken.push_back(context.now);
        let from = accepted.device;
        let decision = AuditDecision::PushReceived;
        io.announcements
            .audit(decision, &name, Some(from.into()), context.now);
        io.announcements.push(Output::Received(Received {
            name,
            from: from.into(),
            origin: Origin::Pushed,
            standing: accepted.standing,
            value: secret,
        }));
        None
    }
}
