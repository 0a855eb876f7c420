//! `/room_keys/*`: the backup of room keys on the server.
//!
//! What is in a backup is encrypted by the client; `auth_data` and `session_data` are kept and given
//! back as the bytes that came.

mod download;
mod keys;
mod version;

pub(crate) use self::download::{all_keys, key, room_keys};
pub(crate) use self::keys::{delete_keys, put_all_keys, put_key, put_room_keys};
pub(crate) use self::version::{create, current, delete, replace, show};
