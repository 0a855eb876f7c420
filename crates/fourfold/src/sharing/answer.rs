//! Answering the requests of other devices, and pushing secrets to them.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::announce::Announcements;
use super::back_off;
use super::pending::{Pending, ShareKind, Stage};
use super::prompt::Prompts;
use super::rate_limit::RateLimit;
use super::recent::Recent;
use super::request::Requests;
use super::share::{self, Rules};
use crate::identity::DeviceTrust;
use crate::sharing::{
    Alert, AuditDecision, Authorised, Context, DeviceSummary, Ignored, Output, Prompt, PromptId,
    RequestId, Share, ShareId, ShareRefusal,
};
use crate::{SecretName, Timestamp};

/// The state of answering other devices.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Answers {
    pending: Vec<Pending>,
    /// Shared, denied or given up: a copy of such a request is not looked at again.
    settled: Recent,
    /// Taken back, perhaps before they came.
    cancelled: Recent,
    prompts: Prompts,
    /// What the driver has. Not kept: after a restart it comes again.
    #[serde(skip)]
    handed_out: BTreeSet<ShareId>,
    next_share: u64,
}

impl Answers {
    /// The most requests that wait at once.
    const MAX_PENDING: usize = 64;
    /// The most requests of one device that wait at once.
    const MAX_OF_DEVICE: usize = 16;
    const LIFETIME: Duration = Requests::LIFETIME;

    /// Takes in a request, and says why it was ignored if it was. The sender is the user; nothing
    /// else was checked.
    pub(super) fn requested(
        &mut self,
        name: SecretName,
        device_id: String,
        request_id: RequestId,
        io: &mut Announcements,
        context: &Context<'_>,
    ) -> Option<Ignored> {
        let trust = context.trust.verdict(&device_id);
        match trust {
            DeviceTrust::ThisDevice => return Some(Ignored::ThisDevice),
            DeviceTrust::Unknown => return Some(Ignored::UnknownDevice),
            gone if gone.is_gone() => {
                io.alert(Alert::GoneDevice { device_id, trust }, context.now);
                return Some(Ignored::NotTrusted);
            }
            refused if !refused.is_verified() && !ShareRefusal::NotTrusted(refused).may_pass() => {
                return Some(Ignored::NotTrusted);
            }
            _ => {}
        }
        if self.settled.contains(&device_id, &request_id)
            || self.position(&device_id, &request_id).is_some()
        {
            return Some(Ignored::Duplicate);
        }
        if self.cancelled.contains(&device_id, &request_id) {
            return Some(Ignored::Cancelled);
        }
        if self.is_over_rate(&device_id, &name) {
            if let Some(device) = context
                .trust
                .device(&device_id)
                .filter(|_| trust.is_verified())
            {
                report_rate_limited(&name, &device.into(), io, context.now);
            }
            return Some(Ignored::QueueFull);
        }
        if !self.make_room(&device_id, trust, context) {
            return Some(Ignored::QueueFull);
        }
        self.queue(name, device_id, request_id, ShareKind::Answer, context);
        None
    }

    /// Takes a request back. It may come later than its cancellation.
    pub(super) fn cancelled(
        &mut self,
        device_id: &str,
        request_id: &RequestId,
        context: &Context<'_>,
    ) -> Option<Ignored> {
        if context.trust.device(device_id).is_none() {
            return Some(Ignored::UnknownDevice);
        }
        self.cancelled.insert(device_id, request_id);
        self.pending.retain(|one| {
            one.kind == ShareKind::Push
                || one.device_id != device_id
                || one.request_id != *request_id
        });
        None
    }

    /// Sends a secret to every device that is verified now.
    pub(super) fn push(&mut self, name: &SecretName, push_id: &RequestId, context: &Context<'_>) {
        for device in context.trust.verified_devices() {
            if self.position(&device.device_id, push_id).is_none()
                && !self.settled.contains(&device.device_id, push_id)
            {
                let (name, id) = (name.clone(), push_id.clone());
                self.queue(name, device.device_id.clone(), id, ShareKind::Push, context);
            }
        }
    }

    pub(super) fn prompt_answered(
        &mut self,
        prompt: PromptId,
        allowed: &[SecretName],
        io: &mut Announcements,
        context: &Context<'_>,
    ) {
        if !self.prompts.close(prompt) {
            return;
        }
        for pending in &mut self.pending {
            if pending.stage == Stage::Prompted(Some(prompt)) && allowed.contains(&pending.name) {
                pending.agreed = true;
                pending.stage = Stage::Waiting { from: context.now };
            }
        }
        self.deny_unanswered(io, context.now);
    }

    pub(super) fn share_dropped(&mut self, share: ShareId) {
        if let Some(position) = self.position_of_share(share) {
            self.settle(position);
        }
    }

    pub(super) fn share_failed(&mut self, share: ShareId, now: Timestamp) {
        let position = self.position_of_share(share);
        if let Some(pending) = position.and_then(|position| self.pending.get_mut(position)) {
            pending.attempts = pending.attempts.saturating_add(1);
            let from = now + back_off::after(pending.attempts);
            pending.stage = Stage::Waiting { from };
            self.handed_out.remove(&share);
        }
    }

    /// The final word on a share.
    pub(super) fn authorise(
        &mut self,
        share: ShareId,
        rules: &Rules<'_>,
        io: &mut Announcements,
        context: &Context<'_>,
    ) -> Result<Authorised, ShareRefusal> {
        let position = self.position_of_share(share).ok_or(ShareRefusal::Over)?;
        let pending = self.pending.get_mut(position).ok_or(ShareRefusal::Over)?;
        match share::check(pending, rules, context) {
            Ok(device) => {
                let authorised = Authorised {
                    device: device.into(),
                    name: pending.name.clone(),
                    request_id: pending.request_id.clone(),
                    kind: pending.kind,
                };
                self.settle(position);
                let device = Some(authorised.device.clone());
                io.audit(AuditDecision::Shared, &authorised.name, device, context.now);
                Ok(authorised)
            }
            Err(refusal) => {
                self.handed_out.remove(&share);
                if refusal.may_pass() {
                    pending.stage = Stage::Waiting { from: context.now };
                } else {
                    report(pending, refusal, io, context.now);
                    self.pending.remove(position);
                }
                Err(refusal)
            }
        }
    }

    /// Looks at everything that waits.
    pub(super) fn advance(
        &mut self,
        rules: &Rules<'_>,
        io: &mut Announcements,
        context: &Context<'_>,
    ) {
        let is_needed = |prompt| {
            let stage = Stage::Prompted(Some(prompt));
            !rules.locked && self.pending.iter().any(|one| one.stage == stage)
        };
        self.prompts.withdraw_unless(is_needed, io, context.now);
        self.deny_unanswered(io, context.now);
        let mut position = 0;
        while position < self.pending.len() {
            if self.is_still_due(position, rules, io, context) {
                position += 1;
            } else {
                self.pending.remove(position);
            }
        }
    }

    /// Prompts for everything that one device asks for, if a prompt about it may be shown.
    pub(super) fn next_prompt(&mut self, io: &mut Announcements, now: Timestamp) -> Option<Prompt> {
        let device = self
            .pending
            .iter()
            .filter(|one| one.stage == Stage::Prompted(None))
            .find(|one| self.prompts.may_ask_about(&one.device_id, now))?
            .device
            .clone()?;
        let mut asked: Vec<&mut Pending> = self
            .pending
            .iter_mut()
            .filter(|one| one.stage == Stage::Prompted(None) && one.device_id == device.device_id)
            .collect();
        let expires = asked.iter().map(|one| one.expires).min()?;
        let names: BTreeSet<SecretName> = asked.iter().map(|one| one.name.clone()).collect();
        let names: Vec<SecretName> = names.into_iter().collect();
        let prompt = self.prompts.open(device, names, expires, now);
        for pending in &mut asked {
            pending.stage = Stage::Prompted(Some(prompt.id));
        }
        for name in &prompt.names {
            let device = Some(prompt.device.clone());
            io.audit(AuditDecision::Prompted, name, device, now);
        }
        Some(prompt)
    }

    pub(super) fn deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let of_pending = |one: &Pending| match one.stage {
            Stage::Waiting { from } if now < from => from.min(one.expires),
            Stage::Prompted(None) => self.prompts.next_about(&one.device_id).min(one.expires),
            Stage::Waiting { .. } | Stage::Prompted(Some(_)) | Stage::Shared(_) => one.expires,
        };
        self.pending.iter().map(of_pending).min()
    }

    /// Moves a request on as far as it goes now, and says whether it is to be kept.
    fn is_still_due(
        &mut self,
        position: usize,
        rules: &Rules<'_>,
        io: &mut Announcements,
        context: &Context<'_>,
    ) -> bool {
        let Some(pending) = self.pending.get_mut(position) else {
            return false;
        };
        if matches!(pending.stage, Stage::Shared(share) if !self.handed_out.contains(&share)) {
            pending.stage = Stage::Waiting { from: context.now };
        }
        let is_waiting = match pending.stage {
            Stage::Waiting { from } => from <= context.now,
            // Not shown yet: what is asked then must still hold.
            Stage::Prompted(prompt) => prompt.is_none(),
            Stage::Shared(_) => false,
        };
        match share::check(pending, rules, context) {
            Ok(device) if is_waiting => {
                let device = DeviceSummary::from(device);
                let id = ShareId(self.next_share);
                self.next_share = self.next_share.saturating_add(1);
                self.handed_out.insert(id);
                pending.stage = Stage::Shared(id);
                pending.device = Some(device.clone());
                let name = pending.name.clone();
                io.push(Output::Share(Share { id, name, device }));
            }
            Err(ShareRefusal::ConsentNeeded) if is_waiting => {
                pending.stage = Stage::Prompted(None);
                pending.device = context.trust.device(&pending.device_id).map(Into::into);
            }
            Err(refusal) if !refusal.may_pass() => {
                if let Stage::Shared(share) = pending.stage {
                    self.handed_out.remove(&share);
                }
                report(pending, refusal, io, context.now);
                return false;
            }
            Err(_) if is_waiting => pending.stage = Stage::Waiting { from: context.now },
            Ok(_) | Err(_) => {}
        }
        true
    }

    /// A user who was asked and gave no answer, before a restart or until it was too late, said
    /// "No".
    fn deny_unanswered(&mut self, io: &mut Announcements, now: Timestamp) {
        let is_denied = |one: &Pending| matches!(one.stage, Stage::Prompted(Some(prompt)) if !self.prompts.is_open(prompt));
        for pending in self.pending.extract_if(.., |one| is_denied(one)) {
            self.settled.insert(&pending.device_id, &pending.request_id);
            io.audit(
                AuditDecision::UserDenied,
                &pending.name,
                pending.device,
                now,
            );
        }
    }

    /// Takes a request out for good: a copy of it is not looked at again.
    fn settle(&mut self, position: usize) {
        let pending = self.pending.remove(position);
        if let Stage::Shared(share) = pending.stage {
            self.handed_out.remove(&share);
        }
        self.settled.insert(&pending.device_id, &pending.request_id);
    }

    fn queue(
        &mut self,
        name: SecretName,
        device_id: String,
        request_id: RequestId,
        kind: ShareKind,
        context: &Context<'_>,
    ) {
        self.pending.push(Pending {
            request_id,
            name,
            kind,
            expires: context.now + Self::LIFETIME,
            device: context.trust.device(&device_id).map(Into::into),
            device_id,
            // Who pushes has agreed.
            agreed: kind == ShareKind::Push,
            attempts: 0,
            stage: Stage::Waiting { from: context.now },
        });
    }

    /// Returns `true` if so many requests of a device for one secret wait already that one more
    /// would not be answered in an hour.
    fn is_over_rate(&self, device_id: &str, name: &SecretName) -> bool {
        let is_same = |one: &&Pending| {
            one.kind == ShareKind::Answer && one.device_id == device_id && one.name == *name
        };
        self.pending.iter().filter(is_same).count() >= RateLimit::PER_DEVICE_AND_SECRET
    }

    /// Returns `true` if one more request has room.
    ///
    /// A server can forge requests in the name of any device. So that a flood of them does not shut
    /// out what the device really asks for, what waits for the user, without having been shown, gives
    /// way. So does a request of a device that is not verified, and that waits in case it becomes so,
    /// to one of a device that is.
    fn make_room(&mut self, device_id: &str, trust: DeviceTrust, context: &Context<'_>) -> bool {
        let is_answer = |one: &Pending| one.kind == ShareKind::Answer;
        let is_of_device = |one: &Pending| is_answer(one) && one.device_id == device_id;
        let is_unseen = |one: &Pending| one.stage == Stage::Prompted(None);
        let is_unverified =
            |one: &Pending| is_answer(one) && !context.trust.verdict(&one.device_id).is_verified();
        let count =
            |of: &dyn Fn(&Pending) -> bool| self.pending.iter().filter(|one| of(one)).count();
        let first = |of: &dyn Fn(&Pending) -> bool| self.pending.iter().position(of);

        let gives_way = if count(&is_of_device) >= Self::MAX_OF_DEVICE {
            first(&|one| is_of_device(one) && is_unseen(one))
        } else if count(&is_answer) < Self::MAX_PENDING {
            return true;
        } else if trust.is_verified() {
            first(&is_unverified).or_else(|| first(&|one| is_answer(one) && is_unseen(one)))
        } else {
            None
        };
        if let Some(position) = gives_way {
            self.pending.remove(position);
        }
        gives_way.is_some()
    }

    fn position(&self, device_id: &str, request_id: &RequestId) -> Option<usize> {
        self.pending
            .iter()
            .position(|one| one.device_id == device_id && one.request_id == *request_id)
    }

    fn position_of_share(&self, share: ShareId) -> Option<usize> {
        if !self.handed_out.contains(&share) {
            return None;
        }
        self.pending
            .iter()
            .position(|one| one.stage == Stage::Shared(share))
    }
}

/// Says about a request that is given up what the user should know. The device learns nothing.
fn report(pending: &Pending, refusal: ShareRefusal, io: &mut Announcements, now: Timestamp) {
    match (refusal, &pending.device) {
        (ShareRefusal::Denied, Some(device)) => {
            io.audit_once(AuditDecision::Denied, &pending.name, device.clone(), now);
        }
        (ShareRefusal::RateLimited, Some(device)) => {
            report_rate_limited(&pending.name, device, io, now);
        }
        _ => {}
    }
}

fn report_rate_limited(
    name: &SecretName,
    device: &DeviceSummary,
    io: &mut Announcements,
    now: Timestamp,
) {
    let (device_id, secret) = (device.device_id.clone(), name.clone());
    io.alert(
        Alert::RateLimited {
            device_id,
            name: secret,
        },
        now,
    );
    io.audit_once(AuditDecision::RateLimited, name, device.clone(), now);
}
