//! `/room_keys/*`: the backup of room keys on the server.
//!
//! What is in a backup is encrypted by the client; `auth_data` and `session_data` are kept and given
//! back as the bytes that came.

mod keys;
mod version;

pub(crate) use self::keys::{
    all_keys, delete_keys, key, put_all_keys, put_key, put_room_keys, room_keys,
};
pub(crate) use self::version::{create, current, delete, replace, show};
