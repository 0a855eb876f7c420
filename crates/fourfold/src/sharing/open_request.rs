//! A request of this device that is open.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::effects::Effects;
use super::{back_off, wire};
use crate::identity::{Curve25519PublicKey, KnownDevice};
use crate::sharing::{Context, RequestId};
use crate::{SecretName, Timestamp};

/// A request that is open.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Request {
    pub(super) name: SecretName,
    /// The devices that it was sent to, with the keys that they had. Answers of others are not
    /// taken.
    pub(super) asked: BTreeMap<String, Curve25519PublicKey>,
    pub(super) expires: Timestamp,
    /// Whether devices are asked that are verified only later.
    pub(super) grows: bool,
    /// Whether it went to `*`.
    pub(super) to_everyone: bool,
    pub(super) rounds: u32,
    pub(super) next_round: Timestamp,
    /// Whether devices wait for the next round.
    #[serde(skip)]
    pub(super) has_unasked: bool,
}

impl Request {
    /// The verified devices that were not asked yet.
    pub(super) fn unasked<'a>(
        &self,
        context: &Context<'a>,
    ) -> impl Iterator<Item = &'a KnownDevice> {
        context
            .trust
            .verified_devices()
            .filter(|device| self.asked.get(&device.device_id) != Some(&device.curve25519))
    }

    pub(super) fn send_to<'a>(
        &mut self,
        devices: impl Iterator<Item = &'a KnownDevice>,
        request_id: &RequestId,
        io: &mut Effects<'_>,
        context: &Context<'_>,
    ) {
        let ids = self.remember(devices);
        if !ids.is_empty() {
            self.send(ids, request_id, io, context);
        }
    }

    pub(super) fn remember<'a>(
        &mut self,
        devices: impl Iterator<Item = &'a KnownDevice>,
    ) -> Vec<String> {
        devices
            .map(|device| {
                self.asked
                    .insert(device.device_id.clone(), device.curve25519);
                device.device_id.clone()
            })
            .collect()
    }

    pub(super) fn send(
        &mut self,
        devices: Vec<String>,
        request_id: &RequestId,
        io: &mut Effects<'_>,
        context: &Context<'_>,
    ) {
        self.rounds = self.rounds.saturating_add(1);
        self.next_round = context.now + back_off::after(self.rounds);
        let content = wire::request(context.trust.device_id(), &self.name, request_id);
        io.outbox.queue(request_id, content, devices, self.expires);
    }
}
