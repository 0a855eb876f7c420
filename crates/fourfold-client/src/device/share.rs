//! Sharing a secret with another device, when the machine said so.

use std::collections::BTreeMap;

use fourfold::sharing::{Input, Share};
use serde_json::value::RawValue;
use tracing::{debug, warn};

use super::olm::peer::Peer;
use super::sharing::secrets::SecretSource;
use super::{Device, DeviceError};
use crate::Account;

impl Device {
    /// Carries out the shares that wait: fetches the secret, makes a session where there is none,
    /// asks the machine for the final word, encrypts, keeps, and sends.
    pub(super) async fn share_waiting(
        &mut self,
        account: &Account,
        secrets: &mut impl SecretSource,
    ) -> Result<(), DeviceError> {
        while let Some(share) = self.shares.pop_front() {
            let shared = self.share(account, secrets, &share).await;
            self.or_rolled_back(shared)?;
            self.tick_sharing()?;
            self.commit()?;
            self.send_waiting(account).await?;
        }
        Ok(())
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
        let to = self.verified_peer(&share.device.device_id);
        let Some(to) = to.filter(|to| is_same(to, share)) else {
            debug!("a device is not trusted any more");
            self.tell(Input::ShareFailed { id: share.id });
            return Ok(());
        };
        if !self.has_session(&to)? {
            let claimed = self.claim(account, std::slice::from_ref(&to)).await;
            if let Err(DeviceError::Server(error)) = claimed {
                warn!(%error, "no one-time key could be claimed");
            } else {
                claimed?;
            }
        }
        if !self.has_session(&to)? {
            self.tell(Input::ShareFailed { id: share.id });
            return Ok(());
        }
        // A password may have been typed meanwhile, or the server not have been there.
        self.doubt_old_list();
        let world = fourfold::sharing::World {
            trust: &self.trust,
            evidence: &self.evidence,
            now: self.clock.now(),
        };
        self.is_machine_changed = true;
        let authorised = match self.machine.authorise(share.id, &world) {
            Ok(authorised) => authorised,
            Err(refusal) => {
                debug!(%refusal, "a secret is not shared after all");
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
            .encrypt(&to, authorised.event_type(), content)?
            .ok_or(DeviceError::Damaged)?;
        let contents = BTreeMap::from([(to.device_id.clone(), encrypted)]);
        self.enqueue("m.room.encrypted", &contents)
    }
}

fn is_same(to: &Peer, share: &Share) -> bool {
    is_same_device(to, &share.device)
}

/// Whether a device has exactly these keys.
fn is_same_device(to: &Peer, device: &fourfold::sharing::DeviceSummary) -> bool {
    to.device_id == device.device_id
        && to.ed25519 == device.ed25519
        && to.curve25519.as_bytes() == device.curve25519.as_bytes()
}
