//! Asking the other devices for a secret.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::announce::Announcements;
use super::outbox::Outbox;
use super::{accept, back_off, wire};
use crate::identity::{Curve25519PublicKey, KnownDevice};
use crate::sharing::{
    Alert, AskRefusal, AuditDecision, Channel, Ignored, Origin, Outcome, Output, Policy, Received,
    Recipients, RequestId, SecretSharing, World,
};
use crate::{Secret, SecretName, Timestamp};

/// The requests of this device: those that are open, and what answered those that are over.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Requests {
    open: BTreeMap<RequestId, Request>,
    over: BTreeMap<RequestId, Over>,
}

/// A request that is open.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Request {
    pub(super) name: SecretName,
    /// The devices that it was sent to, with the keys that they had. Answers of others are not
    /// taken.
    pub(super) asked: BTreeMap<String, Curve25519PublicKey>,
    pub(super) expires: Timestamp,
    /// Whether devices are asked that are verified only later.
    grows: bool,
    /// Whether it went to `*`.
    to_everyone: bool,
    rounds: u32,
    next_round: Timestamp,
    /// Whether devices wait for the next round.
    #[serde(skip)]
    has_unasked: bool,
}

/// A request that is over, so that late answers are known for what they are.
#[derive(Debug, Deserialize, Serialize)]
struct Over {
    name: SecretName,
    until: Timestamp,
    /// What was accepted, to notice a device that says something else. Not kept over a restart.
    #[serde(skip)]
    value: Option<Secret>,
}

impl Requests {
    /// The most requests that are open at once.
    const MAX_OPEN: usize = 64;
    /// The most requests that are over and remembered.
    const MAX_OVER: usize = 256;
    const LIFETIME: Duration = SecretSharing::REQUEST_LIFETIME;

    pub(super) fn ask(
        &mut self,
        name: SecretName,
        request_id: RequestId,
        recipients: &Recipients,
        policy: &Policy,
        io: &mut Effects<'_>,
        world: &World<'_>,
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
            .audit(AuditDecision::Asked, &name, None, world.now);
        let mut request = Request {
            name,
            asked: BTreeMap::new(),
            expires: world.now + Self::LIFETIME,
            grows: !matches!(recipients, Recipients::Devices(_)),
            to_everyone: *recipients == Recipients::Everyone,
            rounds: 0,
            next_round: world.now,
            has_unasked: false,
        };
        let verified = world.trust.verified_devices();
        match recipients {
            Recipients::Verified => request.send_to(verified, &request_id, io, world),
            Recipients::Devices(ids) => {
                let chosen = verified.filter(|device| ids.contains(&device.device_id));
                request.send_to(chosen, &request_id, io, world);
            }
            Recipients::Everyone => {
                request.remember(verified);
                request.send(vec!["*".to_owned()], &request_id, io, world);
            }
        }
        self.open.insert(request_id, request);
    }

    pub(super) fn abort(
        &mut self,
        request_id: &RequestId,
        io: &mut Effects<'_>,
        world: &World<'_>,
    ) {
        self.end(request_id, Outcome::Aborted, io, world);
    }

    /// Takes in an answer, and says why it was ignored if it was.
    pub(super) fn answered(
        &mut self,
        channel: &Channel,
        request_id: RequestId,
        secret: Secret,
        locked: bool,
        io: &mut Effects<'_>,
        world: &World<'_>,
    ) -> Option<Ignored> {
        let request = self.open.get(&request_id);
        let accepted = match accept::answer(channel, &secret, request, locked, world) {
            Ok(accepted) => accepted,
            Err(accept::Rejection::NotOpen) => {
                return Some(self.late(channel, &request_id, &secret, io, world));
            }
            Err(rejection) => return Some(io.reject(rejection, world)),
        };
        let Some(request) = self.open.get_mut(&request_id) else {
            return Some(Ignored::NotOpen);
        };
        // Everyone but the device that answered is told that the request is over.
        request.asked.remove(&accepted.device.device_id);
        let name = request.name.clone();
        let from = accepted.device;
        io.announcements
            .audit(AuditDecision::Received, &name, Some(from.into()), world.now);
        io.announcements.push(Output::Received(Received {
            name,
            from: from.into(),
            origin: Origin::Requested(request_id.clone()),
            standing: accepted.standing,
            value: Secret::new(secret.expose_secret()),
        }));
        self.end(&request_id, Outcome::Received, io, world);
        if let Some(over) = self.over.get_mut(&request_id) {
            over.value = Some(secret);
        }
        None
    }

    /// Ends what is too old, and asks devices that became verified.
    pub(super) fn advance(&mut self, io: &mut Effects<'_>, world: &World<'_>) {
        let expired: Vec<RequestId> = self
            .open
            .iter()
            .filter(|(_, request)| request.expires <= world.now)
            .map(|(id, _)| id.clone())
            .collect();
        for request_id in expired {
            self.end(&request_id, Outcome::TimedOut, io, world);
        }
        self.over.retain(|_, over| world.now < over.until);
        for (request_id, request) in &mut self.open {
            if request.grows && request.next_round <= world.now {
                let new: Vec<&KnownDevice> = request.unasked(world).collect();
                request.send_to(new.into_iter(), request_id, io, world);
            }
            request.has_unasked = request.grows && request.unasked(world).next().is_some();
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
        world: &World<'_>,
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
            wire::cancellation(world.trust.device_id(), &request.name, request_id),
            devices,
            world.now + Self::LIFETIME,
        );
        if outcome != Outcome::Received {
            io.announcements.audit(
                AuditDecision::EndedUnanswered,
                &request.name,
                None,
                world.now,
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
            until: world.now + Self::LIFETIME,
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
        world: &World<'_>,
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
        let device = world.trust.device_by_keys(*curve25519, *ed25519);
        if let Some(device) = device.filter(|_| differs)
            && world.trust.verdict(&device.device_id).is_verified()
        {
            let alert = Alert::ConflictingAnswers {
                name: over.name.clone(),
                device_id: device.device_id.clone(),
            };
            io.announcements.alert(alert, world.now);
        }
        Ignored::Late
    }
}

impl Request {
    /// The verified devices that were not asked yet.
    fn unasked<'a>(&self, world: &World<'a>) -> impl Iterator<Item = &'a KnownDevice> {
        world
            .trust
            .verified_devices()
            .filter(|device| self.asked.get(&device.device_id) != Some(&device.curve25519))
    }

    fn send_to<'a>(
        &mut self,
        devices: impl Iterator<Item = &'a KnownDevice>,
        request_id: &RequestId,
        io: &mut Effects<'_>,
        world: &World<'_>,
    ) {
        let ids = self.remember(devices);
        if !ids.is_empty() {
            self.send(ids, request_id, io, world);
        }
    }

    fn remember<'a>(&mut self, devices: impl Iterator<Item = &'a KnownDevice>) -> Vec<String> {
        devices
            .map(|device| {
                self.asked
                    .insert(device.device_id.clone(), device.curve25519);
                device.device_id.clone()
            })
            .collect()
    }

    fn send(
        &mut self,
        devices: Vec<String>,
        request_id: &RequestId,
        io: &mut Effects<'_>,
        world: &World<'_>,
    ) {
        self.rounds = self.rounds.saturating_add(1);
        self.next_round = world.now + back_off::after(self.rounds);
        let content = wire::request(world.trust.device_id(), &self.name, request_id);
        io.outbox.queue(request_id, content, devices, self.expires);
    }
}

/// What the parts of the machine write to.
pub(super) struct Effects<'a> {
    pub(super) outbox: &'a mut Outbox,
    pub(super) announcements: &'a mut Announcements,
}

impl Effects<'_> {
    /// Says about a rejected secret what the user should know.
    pub(super) fn reject(&mut self, rejection: accept::Rejection, world: &World<'_>) -> Ignored {
        use accept::Rejection;
        match rejection {
            Rejection::Invalid { name, device_id } => {
                let alert = Alert::InvalidValue { name, device_id };
                self.announcements.alert(alert, world.now);
                Ignored::InvalidValue
            }
            Rejection::NotTrusted { device_id, trust } => {
                if trust.is_gone() {
                    let alert = Alert::GoneDevice { device_id, trust };
                    self.announcements.alert(alert, world.now);
                }
                Ignored::NotTrusted
            }
            Rejection::Locked => Ignored::Locked,
            Rejection::NotAsked => Ignored::NotAsked,
            Rejection::NotEncrypted => Ignored::NotEncrypted,
            Rejection::NotOpen => Ignored::NotOpen,
            Rejection::OtherUser => Ignored::OtherUser,
            Rejection::UnknownDevice => Ignored::UnknownDevice,
        }
    }
}
