//! The account that a command works on: its local state, its homeserver, its changes, this device.

pub(crate) mod change;
mod logged_in;
pub(crate) mod own_device;
pub(crate) mod password;

pub(crate) use self::logged_in::{
    LoggedIn, look, not_logged_in, read, remember_opened, runtime, state_folder, user_id,
};
