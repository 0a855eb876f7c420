//! The devices of a user, and the sessions on them.

use std::collections::HashMap;

use crate::store::{Device, DeviceId, Session, TokenHash};

/// Devices in the order of their IDs, and sessions by their access tokens.
#[derive(Default)]
pub(in crate::store::sqlite) struct LogIns {
    devices: Vec<Device>,
    sessions: HashMap<TokenHash, Session>,
}

impl LogIns {
    /// Puts devices and sessions together: a session was seen when its device was.
    pub(in crate::store::sqlite) fn new(
        devices: Vec<Device>,
        sessions: impl IntoIterator<Item = Session>,
    ) -> Self {
        let mut log_ins = Self {
            devices,
            sessions: HashMap::new(),
        };
        for mut session in sessions {
            if let Some(device) = log_ins.device(&session.device) {
                session.last_seen_at = device.last_seen_at;
            }
            log_ins.sessions.insert(session.access, session);
        }
        log_ins
    }

    pub(in crate::store::sqlite) fn devices(&self) -> &[Device] {
        &self.devices
    }

    pub(in crate::store::sqlite) fn device(&self, id: &DeviceId) -> Option<&Device> {
        self.devices.iter().find(|device| device.id == *id)
    }

    pub(in crate::store::sqlite) fn session(&self, access: &TokenHash) -> Option<&Session> {
        self.sessions.get(access)
    }

    pub(super) fn rows(&self) -> usize {
        self.devices.len() + self.sessions.len()
    }
}
