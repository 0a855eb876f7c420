//! Which devices are logged in, as the server says.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The devices of the user that are logged in, by their IDs: what the server lists in an answer to
/// [`GET /devices`][devices].
///
/// It is the other half of what a server says about devices. `POST /keys/query` shows their keys;
/// only here it says that somebody is logged in with them, and this is the list that people look at
/// and log devices out of. A server that shows the keys of a device that it does not list here says
/// two things at once, of which one is false.
///
/// [devices]: https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devices
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LoggedInDevices {
    ids: BTreeSet<String>,
}

impl LoggedInDevices {
    /// Returns `true` if a device is among them.
    #[must_use]
    pub fn contains(&self, device_id: &str) -> bool {
        self.ids.contains(device_id)
    }
}

impl<S: Into<String>> FromIterator<S> for LoggedInDevices {
    fn from_iter<I: IntoIterator<Item = S>>(ids: I) -> Self {
        Self {
            ids: ids.into_iter().map(Into::into).collect(),
        }
    }
}

/// The log-in state of a device.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[non_exhaustive]
pub enum LogIn {
    /// The server has not said yet, since this machine knows the device with these keys.
    #[default]
    Unknown,
    /// The server listed it when it said so last.
    Listed,
    /// The server did not list it when it said so last, and shows its keys anyway.
    Missing,
}
