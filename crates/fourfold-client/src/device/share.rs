//! Secret sharing at work: what arrived, and what is to be shared.

use std::collections::BTreeMap;

use fourfold::sharing::{DeviceSummary, Input, Share, ToDeviceEvent};
use fourfold::{BackupVersion, SecretName};
use serde_json::value::RawValue;
use tracing::{debug, warn};

use super::error::DeviceError;
use super::olm::Peer;
use super::sharing::SecretSource;
use super::step::Step;
use super::this_device::Device;
use super::wedged::claim;
use crate::Account;

impl Device {
    /// Carries out the shares that wait: fetches the secret, makes a session where there is none,
    /// asks the machine for the final word, encrypts, keeps, and sends.
    pub(super) async fn share_waiting(
        &mut self,
        account: &Account,
        secrets: &mut impl SecretSource,
    ) -> Result<(), DeviceError> {
        // Until it is done it stays the next one: nothing of it is pending while others are waited
        // for, so that a future that is dropped leaves it as it was.
        while let Some(share) = self.sharing.next_share() {
            let shared = self.share(account, secrets, &share).await;
            self.or_rolled_back(shared)?;
            self.sharing.share_is_done(share.id);
            self.tick_and_keep()?;
            self.send_waiting(account).await?;
        }
        Ok(())
    }

    /// Looks at what was kept while sharing was locked, if it is not any more.
    pub(super) async fn take_up_held(
        &mut self,
        account: &Account,
        secrets: &mut impl SecretSource,
    ) -> Result<(), DeviceError> {
        if !self.sharing.has_held(&self.rows)? {
            return Ok(());
        }
        let step = Step::begin(self);
        let taken = step.device.run_sharing(account, secrets).await;
        step.end(taken)?;
        self.commit()
    }

    /// Shows secret sharing what arrived, and carries out what it wants except for sharing, which
    /// waits for [`share_waiting`](Self::share_waiting). Pending until the caller commits.
    pub(super) async fn run_sharing(
        &mut self,
        account: &Account,
        secrets: &mut impl SecretSource,
    ) -> Result<(), DeviceError> {
        self.sharing
            .release_held(&mut self.rows, self.own.user_id())?;
        let arrived = self.sharing.take_arrived();
        // The key of a backup is compared with the version that is current now.
        let is_answer = |event: &ToDeviceEvent| event.event_type != "m.secret.request";
        if arrived.iter().any(is_answer) {
            let is_needed = self.open_request(&SecretName::backup_key()).is_some();
            let version = match account.backup_version().await {
                // A server that fails to say so keeps nobody from the other secrets.
                Err(error) if error.is_answer() && !is_needed => None,
                Err(error) if !error.is_final_answer() => return Err(error.into()),
                version => version.ok().flatten(),
            };
            let version = version.and_then(|version| BackupVersion::from_json(&version).ok());
            self.devices.observe_backup(version);
        }
        for event in arrived {
            self.tell(Input::Event(event));
        }
        self.poll_sharing()?;
        self.sharing
            .keep_received(&mut self.rows, secrets, &mut self.events)
            .await
    }

    /// Lets time pass for secret sharing. Kept when this returns.
    pub(super) fn tick_and_keep(&mut self) -> Result<(), DeviceError> {
        self.keep(Self::tick_sharing)
    }

    /// Lets time pass for secret sharing. Pending until the caller commits.
    pub(super) fn tick_sharing(&mut self) -> Result<(), DeviceError> {
        let deadline = self.sharing.next_deadline();
        if deadline.is_some_and(|deadline| deadline <= self.now()) {
            self.tell(Input::Tick);
        }
        self.poll_sharing()
    }

    async fn share(
        &mut self,
        account: &Account,
        secrets: &mut impl SecretSource,
        share: &Share,
    ) -> Result<(), DeviceError> {
        // First of all, so that what goes over the network does not tell why nothing comes.
        let Some(secret) = secrets.secret(&share.name).await else {
            self.tell(Input::ShareDropped { id: share.id });
            return Ok(());
        };
        let to = self.devices.verified_peer(&share.device.device_id);
        let Some(to) = to.filter(|to| is_same(to, share)) else {
            debug!("a device is no longer trusted");
            self.tell(Input::ShareFailed { id: share.id });
            return Ok(());
        };
        if !self.own.has_session(&self.rows, &to)? {
            let to = std::slice::from_ref(&to);
            match claim(account, to).await {
                Ok(claimed) => self.begin_outbound_with(to, &claimed)?,
                Err(error) => warn!(%error, "no one-time key could be claimed"),
            }
        }
        if !self.own.has_session(&self.rows, &to)? {
            self.tell(Input::ShareFailed { id: share.id });
            return Ok(());
        }
        // A password may have been typed meanwhile, or the server not have been there.
        if self.devices.doubt(self.now()) {
            self.tell(Input::TrustChanged);
        }
        let context = self.devices.context(self.clock.now());
        let authorised = match self.sharing.authorise(share.id, &context) {
            Ok(authorised) => authorised,
            Err(refusal) => {
                debug!(%refusal, "a secret is not shared");
                return Ok(());
            }
        };
        if !is_same_device(&to, authorised.device()) {
            return Err(DeviceError::Damaged);
        }
        let content = authorised.content(&secret);
        let content: &RawValue =
            serde_json::from_str(&content).map_err(|_| DeviceError::Unsignable)?;
        let encrypted = self
            .own
            .encrypt(&mut self.rows, &to, authorised.event_type(), content)?
            .ok_or(DeviceError::Damaged)?;
        let contents = BTreeMap::from([(to.device_id.clone(), encrypted)]);
        self.outbox
            .put(&mut self.rows, "m.room.encrypted", &contents)
    }
}

fn is_same(to: &Peer, share: &Share) -> bool {
    is_same_device(to, &share.device)
}

/// Returns `true` if a device has exactly these keys.
fn is_same_device(to: &Peer, device: &DeviceSummary) -> bool {
    to.device_id == device.device_id
        && to.ed25519 == device.ed25519
        && to.curve25519.as_bytes() == device.curve25519.as_bytes()
}
