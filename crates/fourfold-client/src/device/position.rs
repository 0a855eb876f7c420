//! How far the device has read.

use fourfold::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::DeviceError;
use crate::local_state::{SealedRows, Table};

/// The position of the device in its inbox.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Position {
    pub(super) since: Option<String>,
    /// The last moment that is known, so that time does not turn back.
    pub(super) moment: Option<Timestamp>,
}

impl Position {
    /// The position as it was kept.
    pub(super) fn load(rows: &SealedRows) -> Result<Self, DeviceError> {
        Ok(rows.get(Table::Sync, "")?.unwrap_or_default())
    }

    /// Pending until the caller commits.
    pub(super) fn save(&self, rows: &mut SealedRows) -> Result<(), DeviceError> {
        Ok(rows.put(Table::Sync, "", self)?)
    }
}
