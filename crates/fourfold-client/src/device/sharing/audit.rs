//! Lines of the audit log: kept until they were handed over.

use fourfold::sharing::Audit;

use crate::device::{Device, DeviceError, DeviceEvent};
use crate::local_state::{SealedRows, Table};

impl Device {
    /// Keeps a line. Pending until the caller commits, together with what it tells about.
    pub(in crate::device) fn keep_audit(&mut self, audit: Audit) -> Result<(), DeviceError> {
        self.audit_number = self.audit_number.saturating_add(1);
        let name = format!("{:020}", self.audit_number);
        self.rows.put(Table::Audit, &name, &audit)?;
        Ok(())
    }

    /// Puts the lines that were kept among what is told. They are forgotten with the next call: a
    /// program that ended before it wrote them down is told again.
    pub(in crate::device) fn hand_over_audit(&mut self) -> Result<(), DeviceError> {
        for name in self.rows.names(Table::Audit, "")? {
            if self.handed_over.contains(&name) {
                continue;
            }
            if let Some(audit) = self.rows.get::<Audit>(Table::Audit, &name)? {
                self.events.push_back(DeviceEvent::Audit(audit));
            }
            self.handed_over.insert(name);
        }
        Ok(())
    }

    /// Forgets the lines that were handed over: whoever comes back has written them down. Pending
    /// until the caller commits.
    pub(in crate::device) fn forget_audit(&mut self) {
        for name in std::mem::take(&mut self.handed_over) {
            self.rows.delete(Table::Audit, &name);
        }
    }
}

/// The number of the last line that is kept.
pub(in crate::device) fn last_number(rows: &SealedRows) -> Result<u64, DeviceError> {
    let last = rows.names(Table::Audit, "")?.pop();
    Ok(last.and_then(|name| name.parse().ok()).unwrap_or(0))
}
