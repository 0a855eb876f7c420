//! Olm: the account of this device, its sessions, and what goes through them.

mod decrypt;
mod encrypt;
mod error;
mod own_device;
mod own_keys;
mod payload;
mod peer;
mod sessions;
mod times;

pub(super) use self::decrypt::Decrypted;
#[cfg(test)]
pub(super) use self::encrypt::OneTimeKeyError;
pub use self::error::OlmError;
pub(super) use self::own_device::OwnDevice;
pub(super) use self::own_keys::OwnKeys;
pub(super) use self::peer::{Peer, PeerNotes};
#[cfg(test)]
pub(super) use self::sessions::Sessions;
