//! The outbox: what waits to be sent, exactly as it will be sent.

use std::collections::BTreeMap;

use fourfold::Content;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use tracing::warn;

use super::error::DeviceError;
use crate::local_state::{SealedRows, Table};
use crate::{Account, Error, ErrorKind};

/// An event that waits. Its ciphertext and its transaction ID never change, so that sending it again
/// is the same as sending it once.
#[derive(Deserialize, Serialize)]
struct Waiting {
    event_type: String,
    transaction_id: String,
    body: Box<RawValue>,
}

/// The outbox of this device. What is put there is pending until the caller commits, and cannot
/// leave before: what is sent is read from the disk.
#[derive(Debug)]
pub(super) struct Outbox {
    user_id: String,
}

impl Outbox {
    pub(super) fn new(user_id: &str) -> Self {
        Self {
            user_id: user_id.to_owned(),
        }
    }

    /// Puts an event for devices of the user into it.
    pub(super) fn put(
        &self,
        rows: &mut SealedRows,
        event_type: &str,
        contents: &BTreeMap<String, Content>,
    ) -> Result<(), DeviceError> {
        self.put_as(rows, event_type, random_id()?, contents)
    }

    /// As [`put`](Self::put), under a transaction ID that was chosen elsewhere.
    pub(super) fn put_as(
        &self,
        rows: &mut SealedRows,
        event_type: &str,
        transaction_id: String,
        contents: &BTreeMap<String, Content>,
    ) -> Result<(), DeviceError> {
        let messages = json!({"messages": {&self.user_id: contents}});
        let body =
            serde_json::value::to_raw_value(&messages).map_err(|_| DeviceError::Unsignable)?;
        let waiting = Waiting {
            event_type: event_type.to_owned(),
            transaction_id,
            body,
        };
        let last = rows.names(Table::Outbox, "")?.pop();
        let number = last.and_then(|name| name.parse::<u64>().ok()).unwrap_or(0);
        // As many digits for every number, so that the order of the names is that of the numbers.
        let name = format!("{:020}", number.saturating_add(1));
        Ok(rows.put(Table::Outbox, &name, &waiting)?)
    }

    /// Sends what was committed, in order, and forgets each event when the server has it. The inner
    /// error is the server's, the outer one of this machine.
    ///
    /// Events that the server refuses permanently are dropped, so that the others do not wait
    /// forever. After another error the rest waits for the next time.
    pub(super) async fn send(
        &self,
        rows: &mut SealedRows,
        account: &Account,
    ) -> Result<Result<(), Error>, DeviceError> {
        let names = rows.on_disk().names(Table::Outbox)?;
        for name in names {
            let waiting: Option<Waiting> = rows.on_disk().get(Table::Outbox, &name)?;
            let Some(waiting) = waiting else {
                continue;
            };
            let sent = account
                .send_to_device(
                    &waiting.event_type,
                    &waiting.transaction_id,
                    waiting.body.get().to_owned(),
                )
                .await;
            match sent {
                Ok(()) => {}
                Err(error) if is_refused(error.kind()) => {
                    warn!(%error, event_type = waiting.event_type, "an event is dropped");
                }
                Err(error) => return Ok(Err(error)),
            }
            rows.delete(Table::Outbox, &name);
            rows.commit()?;
        }
        Ok(Ok(()))
    }
}

/// Returns `true` if the server does not take it, in its own words: those of a proxy say nothing
/// for good.
fn is_refused(kind: &ErrorKind) -> bool {
    match kind {
        ErrorKind::InvalidSegment => true,
        // An inbox of the user that is full: what had room was delivered, and a device that nobody uses
        // must not keep what comes next from the others.
        ErrorKind::Matrix {
            status: 507,
            errcode,
            ..
        } => errcode == "M_RESOURCE_LIMIT_EXCEEDED",
        ErrorKind::Matrix { status, .. } => (400..500).contains(status) && *status != 408,
        _ => false,
    }
}

/// A random ID: 128 bits in hexadecimal.
pub(super) fn random_id() -> Result<String, DeviceError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| DeviceError::Randomness)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
