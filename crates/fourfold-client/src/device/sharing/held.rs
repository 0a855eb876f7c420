//! Answers that come while sharing is locked: kept sealed, and looked at when it is not any more.
//!
//! The other device sends each only once. What is worth it is decided after the lock, by what holds
//! then: a request that is over by that time gets nothing.

use std::borrow::Cow;

use fourfold::Secret;
use fourfold::identity::Curve25519PublicKey;
use fourfold::sharing::{Channel, ToDeviceEvent};
use fourfold::signed_json::PublicKey;
use serde::{Deserialize, Serialize};
use tracing::debug;

use super::secrets::{SecretSource, secret};
use crate::Account;
use crate::device::olm::decrypt::Decrypted;
use crate::device::{Device, DeviceError};
use crate::local_state::Table;

#[derive(Deserialize)]
struct Row {
    event_type: String,
    curve25519: String,
    ed25519: String,
    #[serde(deserialize_with = "secret")]
    content: Secret,
}

#[derive(Serialize)]
struct RowToKeep<'a> {
    event_type: &'a str,
    curve25519: String,
    ed25519: String,
    content: &'a str,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    request_id: Cow<'a, str>,
}

impl Device {
    /// Keeps an answer to a request that is open. Anything else is of no use later. Pending until
    /// the caller commits.
    pub(in crate::device) fn hold(&mut self, decrypted: &Decrypted) -> Result<(), DeviceError> {
        let answer: Option<Answer<'_>> = serde_json::from_str(&decrypted.content).ok();
        let is_open = answer.is_some_and(|answer| {
            let mut open = self.machine.open_requests();
            open.any(|(id, ..)| id.as_str() == answer.request_id)
        });
        let number = self.rows.names(Table::Held, "")?.len();
        if !is_open || number >= MAX_HELD || decrypted.content.len() > LARGEST {
            debug!("a secret is left out: sharing is locked");
            return Ok(());
        }
        let row = RowToKeep {
            event_type: &decrypted.event_type,
            curve25519: decrypted.from.curve25519.to_base64(),
            ed25519: decrypted.from.ed25519.to_base64(),
            content: &decrypted.content,
        };
        // In order; all go at once.
        Ok(self.rows.put(Table::Held, &format!("{number:04}"), &row)?)
    }

    /// Looks at what was kept, if sharing is not locked any more.
    pub(in crate::device) async fn take_up_held(
        &mut self,
        account: &Account,
        secrets: &mut impl SecretSource,
    ) -> Result<(), DeviceError> {
        if self.machine.is_locked() || self.rows.names(Table::Held, "")?.is_empty() {
            return Ok(());
        }
        let taken = self.run_sharing(account, secrets).await;
        self.or_rolled_back(taken)?;
        self.commit()
    }

    /// Puts what was kept before what arrived. Pending until the caller commits.
    pub(in crate::device) fn release_held(&mut self) -> Result<(), DeviceError> {
        if self.machine.is_locked() {
            return Ok(());
        }
        let mut released = Vec::new();
        for id in self.rows.names(Table::Held, "")? {
            let row: Row = self
                .rows
                .get(Table::Held, &id)?
                .ok_or(DeviceError::Damaged)?;
            self.rows.delete(Table::Held, &id);
            let curve25519 = Curve25519PublicKey::from_base64(&row.curve25519);
            let ed25519 = PublicKey::from_base64(&row.ed25519);
            let (Ok(curve25519), Ok(ed25519)) = (curve25519, ed25519) else {
                return Err(DeviceError::Damaged);
            };
            released.push(ToDeviceEvent {
                event_type: row.event_type,
                content: row.content,
                channel: Channel::Olm {
                    sender: self.user_id.clone(),
                    curve25519,
                    ed25519,
                },
            });
        }
        self.arrived.splice(0..0, released);
        Ok(())
    }
}

/// As many as there are requests that can be open.
const MAX_HELD: usize = 64;

/// More than any answer has.
const LARGEST: usize = 2 * Secret::MAX_BYTES;
