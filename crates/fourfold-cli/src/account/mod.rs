//! The account that a command works on: what is read of it, how it is changed, and this device.

pub(crate) mod change;
mod known_here;
mod local_state;
mod logged_in;
pub(crate) mod own_device;
pub(crate) mod password;
mod reading;
mod settling;
mod shown_plan;

pub(crate) use self::known_here::KnownHere;
pub(crate) use self::logged_in::LoggedIn;
pub(crate) use self::reading::{in_file, look, read, remember_opened, settle, warn_of_backup};
