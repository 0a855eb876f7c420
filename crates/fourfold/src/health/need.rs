//! What a condition cannot be checked without.

use serde::Serialize;

/// What a condition cannot be checked without.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Need {
    /// A key of secret storage that is proven.
    Key,
    /// The answer to `POST /keys/query`.
    KeysQuery,
    /// The answer to `GET /room_keys/version`.
    BackupVersion,
    /// An earlier snapshot, or what this machine remembers.
    Baseline,
    /// What only a server says, such as who is logged in.
    Server,
}
