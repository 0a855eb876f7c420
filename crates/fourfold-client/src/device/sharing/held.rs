//! Answers that come while sharing is locked: kept sealed, and looked at when it is not any more.
//!
//! The other device sends each only once. What is worth it is decided after the lock, by what holds
//! then: a request that is over by that time gets nothing.

use fourfold::Secret;
use fourfold::identity::Curve25519PublicKey;
use fourfold::sharing::{Channel, ToDeviceEvent};
use fourfold::signed_json::PublicKey;
use serde::{Deserialize, Serialize};

use super::received::secret;
use crate::device::error::DeviceError;
use crate::device::olm::Decrypted;
use crate::local_state::{SealedRows, Table};

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

/// Keeps an answer, if there is room. Pending until the caller commits.
pub(super) fn keep(rows: &mut SealedRows, decrypted: &Decrypted) -> Result<bool, DeviceError> {
    let number = rows.names(Table::Held, "")?.len();
    if number >= MAX_HELD || decrypted.content.len() > MAX_HELD_BYTES {
        return Ok(false);
    }
    let row = RowToKeep {
        event_type: &decrypted.event_type,
        curve25519: decrypted.from.curve25519.to_base64(),
        ed25519: decrypted.from.ed25519.to_base64(),
        content: &decrypted.content,
    };
    // In order; all go at once.
    rows.put(Table::Held, &format!("{number:04}"), &row)?;
    Ok(true)
}

/// Whether anything is kept.
pub(super) fn is_any(rows: &SealedRows) -> Result<bool, DeviceError> {
    Ok(!rows.names(Table::Held, "")?.is_empty())
}

/// Takes out what is kept. Pending until the caller commits.
pub(super) fn take(
    rows: &mut SealedRows,
    user_id: &str,
) -> Result<Vec<ToDeviceEvent>, DeviceError> {
    let mut taken = Vec::new();
    for id in rows.names(Table::Held, "")? {
        let row: Row = rows.get(Table::Held, &id)?.ok_or(DeviceError::Damaged)?;
        rows.delete(Table::Held, &id);
        let curve25519 = Curve25519PublicKey::from_base64(&row.curve25519);
        let ed25519 = PublicKey::from_base64(&row.ed25519);
        let (Ok(curve25519), Ok(ed25519)) = (curve25519, ed25519) else {
            return Err(DeviceError::Damaged);
        };
        taken.push(ToDeviceEvent {
            event_type: row.event_type,
            content: row.content,
            channel: Channel::Olm {
                sender: user_id.to_owned(),
                curve25519,
                ed25519,
            },
        });
    }
    Ok(taken)
}

/// As many as there are requests that can be open.
const MAX_HELD: usize = 64;

/// More than any answer has.
const MAX_HELD_BYTES: usize = 2 * Secret::MAX_BYTES;
