//! The secrets that came.

use std::fmt;

use fourfold::sharing::{Assurance, DeviceSummary, Origin, Received, Settled};
use fourfold::{Secret, SecretName};
use serde::{Deserialize, Deserializer, Serialize};

use super::source::SecretSource;
use crate::device::error::DeviceError;
use crate::device::event::DeviceEvent;
use crate::device::event_queue::EventQueue;
use crate::device::outbox::random_id;
use crate::local_state::{SealedRows, Table};

/// A secret that came, kept sealed until it is [taken](crate::Device::discard_received).
#[non_exhaustive]
pub struct ReceivedSecret {
    /// The ID under which it is stored.
    pub id: String,
    /// Its name.
    pub name: SecretName,
    /// The sender.
    pub from: DeviceSummary,
    /// The assurance about the value.
    pub standing: Assurance,
    /// Whether nobody asked for it (MSC4385).
    pub is_pushed: bool,
    /// Whether another value was held under this name when it came. It must not be put in the place
    /// of that one without the user.
    pub is_conflict: bool,
    /// The value.
    pub secret: Secret,
}

impl fmt::Debug for ReceivedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedSecret")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("from", &self.from.device_id)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Row {
    name: SecretName,
    from: DeviceSummary,
    standing: Assurance,
    is_pushed: bool,
    is_conflict: bool,
    #[serde(deserialize_with = "secret")]
    secret: Secret,
}

pub(super) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}

#[derive(Serialize)]
struct RowToKeep<'a> {
    name: &'a SecretName,
    from: &'a DeviceSummary,
    standing: &'a Assurance,
    is_pushed: bool,
    is_conflict: bool,
    secret: &'a str,
}

/// The secrets that came and were not discarded.
pub(super) fn all(rows: &SealedRows) -> Result<Vec<ReceivedSecret>, DeviceError> {
    let mut received = Vec::new();
    for id in rows.names(Table::Received, "")? {
        let row: Row = rows
            .get(Table::Received, &id)?
            .ok_or(DeviceError::Damaged)?;
        received.push(ReceivedSecret {
            id,
            name: row.name,
            from: row.from,
            standing: row.standing,
            is_pushed: row.is_pushed,
            is_conflict: row.is_conflict,
            secret: row.secret,
        });
    }
    Ok(received)
}

/// Keeps a secret that came. Pending until the caller commits.
pub(super) async fn keep(
    rows: &mut SealedRows,
    received: Received,
    secrets: &mut impl SecretSource,
    events: &mut EventQueue,
) -> Result<(), DeviceError> {
    let (name, from) = (received.name.clone(), received.from.clone());
    let (standing, origin) = (received.standing.clone(), received.origin.clone());
    let held = secrets.secret(&name).await;
    let (secret, is_conflict) = match (received.settle(held.as_ref()), held) {
        (Settled::Same, Some(secret)) => {
            events.push(DeviceEvent::ReceivedSame {
                name,
                origin,
                from,
                standing,
                secret,
            });
            return Ok(());
        }
        // Nothing is the same as nothing.
        (Settled::Same, None) => return Ok(()),
        (Settled::New(secret), _) => (secret, false),
        (Settled::Conflict(secret), _) => (secret, true),
    };
    let id = random_id()?;
    let row = RowToKeep {
        name: &name,
        from: &from,
        standing: &standing,
        is_pushed: origin == Origin::Pushed,
        is_conflict,
        secret: secret.expose_secret(),
    };
    rows.put(Table::Received, &id, &row)?;
    events.push(DeviceEvent::Received {
        id,
        name,
        is_conflict,
    });
    Ok(())
}
