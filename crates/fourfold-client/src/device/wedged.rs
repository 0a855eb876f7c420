//! Devices whose messages do not decrypt any more: a new session is begun, once an hour.

use std::collections::BTreeMap;

use fourfold::Content;
use serde_json::value::RawValue;
use tracing::{debug, warn};

use super::error::DeviceError;
use super::olm::{Peer, PeerNotes};
use super::this_device::Device;
use crate::local_state::Table;
use crate::{Account, Error};

impl Device {
    /// Begins new sessions with the verified devices whose messages did not decrypt, and tells them
    /// with an empty message, so that they use these sessions from now on.
    pub(super) async fn replace_wedged(&mut self, account: &Account) -> Result<(), DeviceError> {
        // Kept first: whatever happens next, it is not tried again within the hour.
        let wedged = self.keep(Self::note_replaced)?;
        if wedged.is_empty() {
            return Ok(());
        }
        let claimed = claim(account, &wedged).await?;
        self.keep(|device| device.begin_anew(&wedged, &claimed))?;
        self.send_waiting(account).await
    }

    /// Begins a session with each of these devices, where the server has a key that the device
    /// signed. The devices must be verified: their keys are what the signatures are checked with.
    /// Pending until the caller commits.
    pub(super) fn begin_outbound_with(
        &mut self,
        devices: &[Peer],
        claimed: &BTreeMap<String, Content>,
    ) -> Result<(), DeviceError> {
        for peer in devices {
            let Some(keys) = claimed.get(&peer.device_id) else {
                debug!(device = peer.device_id, "no one-time key");
                continue;
            };
            if let Err(error) = self.own.begin_outbound(&mut self.rows, peer, keys)? {
                warn!(%error, device = peer.device_id, "a one-time key is rejected");
            }
        }
        Ok(())
    }

    /// The devices with which it is time to begin anew, noted as if that was done. Pending until the
    /// caller commits.
    fn note_replaced(&mut self) -> Result<Vec<Peer>, DeviceError> {
        let mut wedged = Vec::new();
        for name in self.rows.names(Table::Peer, "")? {
            let peer = vodozemac::Curve25519PublicKey::from_base64(&name)
                .ok()
                .and_then(|key| self.devices.peer_by_key(&key))
                .and_then(|peer| self.devices.verified_peer(&peer.device_id));
            let Some(peer) = peer else { continue };
            let now = self.clock.now().as_millis();
            let mut notes = PeerNotes::load(&self.rows, &peer)?;
            if notes.may_replace(now) {
                notes.replaced(now);
                notes.save(&mut self.rows, &peer)?;
                wedged.push(peer);
            }
        }
        Ok(wedged)
    }

    /// Begins the sessions, with an empty message in each. Pending until the caller commits.
    fn begin_anew(
        &mut self,
        wedged: &[Peer],
        claimed: &BTreeMap<String, Content>,
    ) -> Result<(), DeviceError> {
        self.begin_outbound_with(wedged, claimed)?;
        let empty = RawValue::from_string("{}".to_owned()).map_err(|_| DeviceError::Damaged)?;
        for peer in wedged {
            if let Some(content) = self.own.encrypt(&mut self.rows, peer, "m.dummy", &empty)? {
                let contents = BTreeMap::from([(peer.device_id.clone(), content)]);
                self.outbox
                    .put(&mut self.rows, "m.room.encrypted", &contents)?;
            }
        }
        Ok(())
    }
}

/// One-time keys of these devices of the user, by device.
pub(super) async fn claim(
    account: &Account,
    devices: &[Peer],
) -> Result<BTreeMap<String, Content>, Error> {
    let ids: Vec<_> = devices.iter().map(|peer| peer.device_id.as_str()).collect();
    account.keys_claim(account.user_id(), &ids).await
}
