//! What is at the server, as far as a step is about it.

use crate::BackupVersion;
use crate::backup::ShownVersion;
use crate::identity::UserKeys;

/// The current state at the server, as far as one step depends on it: what the driver of a plan
/// reads before writing, and again after it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Found<'a> {
    /// The JSON text of the event of account data, `None` for nothing
    /// ([`GET /user/{userId}/account_data/{type}`][get]): for
    /// [`PutAccountData`](super::PutAccountData).
    ///
    /// [get]: https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridaccount_datatype
    AccountData(Option<&'a str>),
    /// The published keys of the user ([`POST /keys/query`][query]): for
    /// [`PublishDevice`](super::PublishDevice), [`PublishIdentity`](super::PublishIdentity) and
    /// [`SignDevice`](super::SignDevice).
    ///
    /// [query]: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery
    Keys(&'a UserKeys),
    /// The same, and whether the device is among those that are logged in
    /// ([`GET /devices`][devices]): for [`RemoveDevice`](super::RemoveDevice).
    ///
    /// [devices]: https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devices
    Device {
        /// The published keys of the user.
        keys: &'a UserKeys,
        /// Whether the device is logged in.
        is_logged_in: bool,
    },
    /// The current version of the key backup, `None` for none ([`GET /room_keys/version`][version]):
    /// for [`CreateKeyBackup`](super::CreateKeyBackup) and [`SignKeyBackup`](super::SignKeyBackup).
    ///
    /// [version]: https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keysversion
    KeyBackup(Option<&'a BackupVersion>),
    /// One version of the key backup, the current one or not, `None` for none ([`GET
    /// /room_keys/version/{version}`][one]): for [`DeleteKeyBackup`](super::DeleteKeyBackup).
    ///
    /// [one]: https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keysversionversion
    KeyBackupVersion(Option<&'a ShownVersion>),
    /// There is a current version of the key backup, and it is of an unknown algorithm or damaged; or
    /// the server fails to show the version.
    UnreadableKeyBackup,
}
