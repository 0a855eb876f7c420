//! The versions of the key backup, their private keys, and the room keys in them.
//!
//! A homeserver keeps every version of the [server-side key
//! backup](https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups) until somebody
//! deletes it, and each has a key pair of its own. The secret `m.megolm_backup.v1` has room for one
//! private key, so that the one of a former version is kept under a [name of its own](former).

mod copies;
mod current;
pub mod former;
mod private_key;
mod room_key;
mod shown;

pub use self::copies::{CopyFrom, KeyCopy, fitting, stored_copies};
pub use self::current::CurrentBackup;
pub use self::private_key::BackupKey;
pub use self::room_key::{BackedUpRoomKey, RoomKeyError};
pub use self::shown::ShownVersion;
