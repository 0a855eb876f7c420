//! One-time keys and the fallback key, as the server says to hold them; and noticing that the files
//! of this device are an older copy.
//!
//! A copy that was put back by a backup or a snapshot of the machine has lost the private halves of
//! the one-time keys that were uploaded since, and knows older states of its sessions. Both are
//! handled:
//!
//! - No message key is ever used twice, whether the copy is noticed or not: a sending chain is never
//!   continued by another run of the program (see `Sessions::for_sending`).
//! - It is noticed when the server holds more one-time keys than there are private halves here, or
//!   refuses new ones because it holds others under the same IDs. Then the sessions are dropped, the
//!   keys that nobody can use any more are claimed back so that no device gets them, new ones are
//!   uploaded, and the user is told.
//!
//! A counter on the server would notice a little earlier, but would stand where the user's other
//! devices and the server see how often this one is used. A server that lies about its count costs
//! new sessions, once a day at most.

use tracing::warn;

use super::error::DeviceError;
use super::this_device::Device;
use crate::Account;
use crate::account::SyncAnswer;
use crate::local_state::Table;

impl Device {
    /// Takes in what the server says to hold. Pending until the caller commits. `true` when this
    /// shows that the files are an older copy.
    pub(super) fn observe_counts(&mut self, answer: &SyncAnswer) -> Result<bool, DeviceError> {
        let now = self.clock.now().as_millis();
        let mut keys = self.keys()?;
        let count = answer
            .device_one_time_keys_count
            .map(|count| count.signed_curve25519);
        let unused = answer.device_unused_fallback_key_types.as_ref();
        let has_fallback_key = unused.map(|types| types.have("signed_curve25519"));
        let Some(is_older_copy) = keys.observe(count, has_fallback_key, now) else {
            return Ok(false);
        };
        keys.save(&mut self.rows)?;
        Ok(is_older_copy)
    }

    /// Makes the best of files that are an older copy: no session, and no one-time key on the server
    /// whose private half is gone, and tells it. At most once a day; `false` when it was done within
    /// a day.
    pub(super) async fn start_over(&mut self, account: &Account) -> Result<bool, DeviceError> {
        let now = self.clock.now().as_millis();
        let mut keys = self.keys()?;
        if !keys.start_over(now) {
            return Ok(false);
        }
        warn!("the files of this device are an older copy: its sessions are dropped");
        self.keep(|device| {
            keys.save(&mut device.rows)?;
            for session in device.rows.names(Table::Session, "")? {
                device.rows.delete(Table::Session, &session);
            }
            Ok(())
        })?;
        // Before anything is waited for: it was done.
        self.events.note_restored();
        self.claim_back(account).await;
        Ok(true)
    }

    /// Claims the keys of this device until the server has none, so that nobody else gets one.
    async fn claim_back(&mut self, account: &Account) {
        for _ in 0..MAX_CLAIMED_BACK {
            let claimed = account
                .keys_claim(self.user_id(), &[self.device_id()])
                .await
                .ok()
                .and_then(|mut claimed| claimed.remove(self.device_id()));
            let is_one_time_key = claimed.is_some_and(|claimed| {
                claimed.members().any(|id| {
                    let key = claimed.object(id).and_then(Result::ok);
                    key.is_some_and(|key| key.get("fallback") != Some(Ok(true)))
                })
            });
            if !is_one_time_key {
                return;
            }
        }
    }
}

/// The maximum number of one-time keys that are claimed back.
const MAX_CLAIMED_BACK: usize = 200;
