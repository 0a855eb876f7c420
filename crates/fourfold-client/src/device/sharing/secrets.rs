//! Where the secrets are that a device may share, and those that came.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;

use fourfold::sharing::{DeviceSummary, Origin, Received, Settled, Standing};
use fourfold::{Secret, SecretName};
use serde::{Deserialize, Deserializer, Serialize};

use crate::device::outbox::random_id;
use crate::device::{Device, DeviceError, DeviceEvent};
use crate::local_state::Table;

/// Whoever holds the secrets of this machine. It is asked at the moment at which one is needed, and
/// may say no at that moment.
pub trait SecretSource: Send {
    /// A secret; `None` when it is not held, or not to be shared now.
    fn secret(&mut self, name: &SecretName) -> impl Future<Output = Option<Secret>> + Send;
}

/// No secrets: nothing is shared.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct NoSecrets;

impl NoSecrets {
    /// No secrets.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Default for NoSecrets {
    fn default() -> Self {
        Self::new()
    }
}

impl SecretSource for NoSecrets {
    async fn secret(&mut self, _: &SecretName) -> Option<Secret> {
        None
    }
}

impl SecretSource for BTreeMap<SecretName, Secret> {
    async fn secret(&mut self, name: &SecretName) -> Option<Secret> {
        self.get(name)
            .map(|secret| Secret::new(secret.expose_secret()))
    }
}

/// A secret that came, kept sealed until it is [taken](Device::discard_received).
#[non_exhaustive]
pub struct ReceivedSecret {
    /// What it is kept under.
    pub id: String,
    /// Its name.
    pub name: SecretName,
    /// Who sent it.
    pub from: DeviceSummary,
    /// What is known about the value.
    pub standing: Standing,
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
    standing: Standing,
    is_pushed: bool,
    is_conflict: bool,
    #[serde(deserialize_with = "secret")]
    secret: Secret,
}

pub(in crate::device) fn secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}

#[derive(Serialize)]
struct RowToKeep<'a> {
    name: &'a SecretName,
    from: &'a DeviceSummary,
    standing: &'a Standing,
    is_pushed: bool,
    is_conflict: bool,
    secret: &'a str,
}

impl Device {
    /// The secrets that came and were not discarded, also in earlier runs of the program.
    ///
    /// # Errors
    ///
    /// The errors of the file system.
    pub fn received_secrets(&self) -> Result<Vec<ReceivedSecret>, DeviceError> {
        let mut received = Vec::new();
        for id in self.rows.names(Table::Received, "")? {
            let row: Row = self
                .rows
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

    /// Forgets a secret that came, after it was put where it belongs.
    ///
    /// # Errors
    ///
    /// The errors of the file system.
    pub fn discard_received(&mut self, id: &str) -> Result<(), DeviceError> {
        self.rows.delete(Table::Received, id);
        self.commit()
    }

    /// Keeps a secret that came. Pending until the caller commits.
    pub(in crate::device) async fn keep_received(
        &mut self,
        received: Received,
        secrets: &mut impl SecretSource,
    ) -> Result<(), DeviceError> {
        let (name, from) = (received.name.clone(), received.from.clone());
        let (standing, origin) = (received.standing.clone(), received.origin.clone());
        let held = secrets.secret(&name).await;
        let (secret, is_conflict) = match (received.settle(held.as_ref()), held) {
            (Settled::Same, Some(secret)) => {
                self.events.push_back(DeviceEvent::ReceivedSame {
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
        self.rows.put(Table::Received, &id, &row)?;
        self.events.push_back(DeviceEvent::Received {
            id,
            name,
            is_conflict,
        });
        Ok(())
    }
}
