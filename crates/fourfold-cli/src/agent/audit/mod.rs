//! The audit log: what was asked, by whom, and what came of it. Never a secret.

mod follow;
mod log;

pub(crate) use self::follow::Following;
pub(crate) use self::log::{ALERT, AuditLog, Record, SHARED, TRUST};
