//! Olm: the account of this device, its sessions, and what goes through them.

pub(super) mod decrypt;
pub(super) mod encrypt;
pub(super) mod own_keys;
pub(super) mod payload;
pub(super) mod peer;
pub(super) mod sessions;
