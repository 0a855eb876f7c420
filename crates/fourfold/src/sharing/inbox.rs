//! Secrets that nobody asked for (MSC4385): taken only when the policy names them, and not too many.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::accept;
use super::request::Effects;
use crate::sharing::{AuditDecision, Channel, Ignored, Origin, Output, Policy, Received, World};
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
        world: &World<'_>,
    ) -> Option<Ignored> {
        let (policy, locked) = rules;
        let accepted = match accept::push(channel, &name, &secret, policy, locked, world) {
            Ok(accepted) => accepted,
            Err(rejection) => return Some(io.reject(rejection, world)),
        };
        self.taken.retain(|at| world.now.since(*at) < Self::WINDOW);
        if self.taken.len() >= Self::MAX {
            return Some(Ignored::QueueFull);
        }
        self.taken.push_back(world.now);
        let from = accepted.device;
        let decision = AuditDecision::PushReceived;
        io.announcements
            .audit(decision, &name, Some(from.into()), world.now);
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
