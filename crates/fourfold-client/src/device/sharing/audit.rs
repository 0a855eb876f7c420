//! Lines of the audit log: kept until they were handed over.

use std::collections::BTreeSet;

use fourfold::sharing::Audit;

use crate::device::error::DeviceError;
use crate::device::event::DeviceEvent;
use crate::device::event_queue::EventQueue;
use crate::local_state::{SealedRows, Table};

/// The lines that are kept, and which of them were told.
#[derive(Debug)]
pub(super) struct AuditLog {
    last_number: u64,
    /// Told, and perhaps not forgotten yet.
    handed_over: BTreeSet<String>,
}

impl AuditLog {
    pub(super) fn load(rows: &SealedRows) -> Result<Self, DeviceError> {
        let last = rows.names(Table::Audit, "")?.pop();
        Ok(Self {
            last_number: last.and_then(|name| name.parse().ok()).unwrap_or(0),
            handed_over: BTreeSet::new(),
        })
    }

    /// Keeps a line. Pending until the caller commits, together with what it tells about.
    pub(super) fn keep(&mut self, rows: &mut SealedRows, audit: &Audit) -> Result<(), DeviceError> {
        self.last_number = self.last_number.saturating_add(1);
        let name = format!("{:020}", self.last_number);
        rows.put(Table::Audit, &name, audit)?;
        Ok(())
    }

    /// Puts the lines that were kept among what is told. They are forgotten with the next call: a
    /// program that ended before it wrote them down is told again.
    pub(super) fn hand_over(
        &mut self,
        rows: &SealedRows,
        events: &mut EventQueue,
    ) -> Result<(), DeviceError> {
        let names = rows.names(Table::Audit, "")?;
        self.handed_over.retain(|name| names.contains(name));
        let mut lines = Vec::new();
        for name in names {
            if self.handed_over.contains(&name) {
                continue;
            }
            if let Some(audit) = rows.get::<Audit>(Table::Audit, &name)? {
                lines.push((name, audit));
            }
        }
        // All or none: what is among them was told.
        for (name, audit) in lines {
            events.push(DeviceEvent::Audit(audit));
            self.handed_over.insert(name);
        }
        Ok(())
    }

    /// Forgets the lines that were handed over: whoever comes back has written them down. Pending
    /// until the caller commits.
    pub(super) fn forget(&self, rows: &mut SealedRows) {
        for name in &self.handed_over {
            rows.delete(Table::Audit, name);
        }
    }
}
