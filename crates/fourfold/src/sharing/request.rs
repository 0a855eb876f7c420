//! Asking the other devices for a secret.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::effects::Effects;
use super::open_request::Request;
use super::{accept, wire};
use crate::identity::KnownDevice;
use crate::sharing::{
    Alert, AskRefusal, AuditDecision, Channel, Context, Ignored, Origin, Outcome, Output, Policy,
    Received, Recipients, RequestId,
};
use crate::{Secret, SecretName, Timestamp};

/// The requests of this device: those that are open, and what answered those that are over.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Requests {
    open: BTreeMap<RequestId, Request>,
    over: BTreeMap<RequestId, Over>,
}

/// A request that is over, so that late answers are known for what they are.
#[derive(Debug, Deserialize, Serialize)]
struct Over {
    name: SecretName,
    until: Timestamp,
    /// The accepted value, to detect a device that sends a different one. Not kept over a restart.
    #[serde(skip)]
    value: Option<Secret>,
}

impl Requests {
    /// The most requests that are open at once.
    const MAX_OPEN: usize = 64;
    /// The most requests that are over and remembered.
    const MAX_OVER: usize = 256;
    /// The time for which a request stays open, and for which one of another device waits here.
    pub(super) const LIFETIME: Duration = Duration::from_mins(15);

    pub(super) fn ask(
        &mut self,
        name: SecretName,
        request_id: RequestId,
        recipients: &Recipients,
        policy: &Policy,
        io: &mut Effects<'_>,
        context: &Context<'_>,
    ) {
        let refusal = if self.open.contains_key(&request_id) || self.over.contains_key(&request_id)
        {
            Some(AskRefusal::IdUsed)
        } else if !policy.may_request(&name) {
            Some(AskRefusal::Forbidden)
        } else if self.open.values().any(|request| request.name == name) {
            Some(AskRefusal::AlreadyOpen)
        } else if self.open.len() >= Self::MAX_OPEN {
            Some(AskRefusal::TooMany)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return io.announcements.push(Output::Ended {
                request_id,
                name,
                outcome: Outcome::Refused(refusal),
            });
        }
        io.announcements
            .audit(AuditDecision::Asked, &name, None, context.now);
        let mut request = Request {
            name,
            asked: BTreeMap::new(),
            expires: context.now + Self::LIFETIME,
            grows: !matches!(recipients, Recipients::Devices(_)),
            to_everyone: *recipients == Recipients::Everyone,
            rounds: 0,
            next_round: context.now,
            has_unasked: false,
        };
        let verified = context.trust.verified_devices();
        match recipients {
            Recipients::Verified => request.send_to(verified, &request_id, io, context),
            Recipients::Devices(ids) => {
                let chosen = verified.filter(|device| ids.contains(&device.device_id));
                request.send_to(chosen, &request_id, io, context);
            }
            Recipients::Everyone => {
                request.remember(verified);
                request.send(vec!["*".to_owned()], &request_id, io, context);
            }
        }
        self.open.insert(request_id, request);
    }

    pub(super) fn abort(
        &mut self,
        request_id: &RequestId,
        io: &mut Effects<'_>,
        context: &Context<'_>,
    ) {
        self.end(request_id, Outcome::Aborted, io, context);
    }

    /// Takes in an answer, and says why it was ignored if it was.
    pub(super) fn answered(
        &mut self,
        channel: &Channel,
        request_id: RequestId,
        secret: Secret,
        locked: bool,
        io: &mut Effects<'_>,
        context: &Context<'_>,
    ) -> Option<Ignored> {
        let request = self.open.get(&request_id);
        let accepted = match accept::answer(channel, &secret, request, locked, context) {
            Ok(accepted) => accepted,
            Err(accept::Rejection::NotOpen) => {
                return Some(self.late(channel, &request_id, &secret, io, context));
            }
            Err(rejection) => return Some(rejection.report(io, context)),
        };
        let Some(request) = self.open.get_mut(&request_id) else {
            return Some(Ignored::NotOpen);
        };
        // Everyone but the device that answered is told that the request is over.
        request.asked.remove(&accepted.device.device_id);
        let name = request.name.clone();
        let from = accepted.device;
        io.announcements.audit(
            AuditDecision::Received,
            &name,
            Some(from.into()),
            context.now,
        );
        io.announcements.push(Output::Received(Received {
            name,
            from: from.into(),
            origin: Origin::Requested(request_id.clone()),
            standing: accepted.standing,
            value: Secret::new(secret.expose_secret()),
        }));
        self.end(&request_id, Outcome::Received, io, context);
        if let Some(over) = self.over.get_mut(&request_id) {
            over.value = Some(secret);
        }
        None
    }

    /// Ends what is too old, and asks devices that became verified.
    pub(super) fn advance(&mut self, io: &mut Effects<'_>, context: &Context<'_>) {
        let expired: Vec<RequestId> = self
            .open
            .iter()
            .filter(|(_, request)| request.expires <= context.now)
            .map(|(id, _)| id.clone())
            .collect();
        for request_id in expired {
            self.end(&request_id, Outcome::TimedOut, io, context);
        }
        self.over.retain(|_, over| context.now < over.until);
        for (request_id, request) in &mut self.open {
            if request.grows && request.next_round <= context.now {
                let new: Vec<&KnownDevice> = request.unasked(context).collect();
                request.send_to(new.into_iter(), request_id, io, context);
            }
            request.has_unasked = request.grows && request.unasked(context).next().is_some();
        }
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let open = self.open.values().map(|request| {
            if request.has_unasked {
                request.next_round.min(request.expires)
            } else {
                request.expires
            }
        });
        open.min()
    }

    /// The requests that are open: their IDs, the secrets, and how many devices were asked.
    pub(super) fn open(&self) -> impl Iterator<Item = (&RequestId, &Request)> {
        self.open.iter()
    }

    /// Forgets the values that were accepted.
    pub(super) fn forget_values(&mut self) {
        for over in self.over.values_mut() {
            over.value = None;
        }
    }

    fn end(
        &mut self,
        request_id: &RequestId,
        outcome: Outcome,
        io: &mut Effects<'_>,
        context: &Context<'_>,
    ) {
        let Some(request) = self.open.remove(request_id) else {
            return;
        };
        io.outbox.forget(request_id);
        let devices = if request.to_everyone {
            vec!["*".to_owned()]
        } else {
            request.asked.into_keys().collect()
        };
        io.outbox.queue(
            request_id,
            wire::cancellation(context.trust.device_id(), &request.name, request_id),
            devices,
            context.now + Self::LIFETIME,
        );
        if outcome != Outcome::Received {
            io.announcements.audit(
                AuditDecision::EndedUnanswered,
                &request.name,
                None,
                context.now,
            );
        }
        io.announcements.push(Output::Ended {
            request_id: request_id.clone(),
            name: request.name.clone(),
            outcome,
        });
        if self.over.len() >= Self::MAX_OVER {
            let oldest = self.over.iter().min_by_key(|(_, over)| over.until);
            if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                self.over.remove(&oldest);
            }
        }
        let over = Over {
            name: request.name,
            until: context.now + Self::LIFETIME,
            value: None,
        };
        self.over.insert(request_id.clone(), over);
    }

    /// An answer to no open request. When it comes from a device that could have answered and says
    /// something else than the one that was taken, the user should know.
    fn late(
        &self,
        channel: &Channel,
        request_id: &RequestId,
        secret: &Secret,
        io: &mut Effects<'_>,
        context: &Context<'_>,
    ) -> Ignored {
        let Some(over) = self.over.get(request_id) else {
            return Ignored::NotOpen;
        };
        let Channel::Olm {
            curve25519,
            ed25519,
            ..
        } = channel
        else {
            return Ignored::NotOpen;
        };
        let differs = over
            .value
            .as_ref()
            .is_some_and(|value| !value.is_same(secret));
        let device = context.trust.device_by_keys(*curve25519, *ed25519);
        if let Some(device) = device.filter(|_| differs)
            && context.trust.verdict(&device.device_id).is_verified()
        {
            let alert = Alert::ConflictingAnswers {
                name: over.name.clone(),
                device_id: device.device_id.clone(),
            };
            io.announcements.alert(alert, context.now);
        }
        Ignored::Late
    }
}
