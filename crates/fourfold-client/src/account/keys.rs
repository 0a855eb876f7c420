//! Device keys and one-time keys: uploading, querying and claiming them.

use std::collections::BTreeMap;

use fourfold::Content;
use fourfold::identity::UserKeys;
use serde::Deserialize;
use serde_json::json;
use tracing::instrument;

use super::Account;
use crate::error::Error;
use crate::path::Path;
use crate::transport::Request;

impl Account {
    /// The published keys of a user and of all their devices: the body of the answer to
    /// [`POST /keys/query`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery),
    /// the JSON text exactly as it was received.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](crate::ErrorKind::TooLarge) beyond 4 MiB,
    /// [`Malformed`](crate::ErrorKind::Malformed) when it is not JSON, and the errors of every call.
    #[instrument(level = "debug", skip_all, fields(user = self.user_id()))]
    pub async fn keys_query(&self, user_id: &str) -> Result<String, Error> {
        let answer = self
            .homeserver
            .transport
            .send(&self.signed(keys_query(user_id).with_limit(MAX_QUERY_BYTES)))
            .await?;
        answer.text("/keys/query")
    }

    /// Everything that the server publishes of the user's own keys: the identity and the devices.
    /// It proves nothing by itself.
    ///
    /// # Errors
    ///
    /// [`Malformed`](crate::ErrorKind::Malformed) when the answer says nothing about the user or
    /// cannot be read, and the errors of every call.
    pub async fn published_keys(&self) -> Result<UserKeys, Error> {
        let body = self.keys_query(self.user_id()).await?;
        UserKeys::from_keys_query(self.user_id(), &body)
            .map_err(|error| self.malformed("/keys/query").because(error))
    }

    /// Uploads keys of this device, and gives back how many one-time keys the server then holds. The
    /// same keys twice are the same as once.
    pub(crate) async fn keys_upload(&self, keys: &Content) -> Result<u64, Error> {
        let path = Path::fixed("/_matrix/client/v3/keys/upload");
        let request = self.signed(Request::post(path, keys).repeatable());
        let answer = self.homeserver.transport.send(&request).await?;
        let body: UploadBody = answer.json("/keys/upload")?;
        Ok(body.one_time_key_counts.signed_curve25519.unwrap_or(0))
    }

    /// Claims a one-time key of each of these devices. Not repeated, because every attempt uses up a
    /// key.
    ///
    /// The answer is what the server says, untested: device ID to the keys with their IDs.
    pub(crate) async fn keys_claim(
        &self,
        user_id: &str,
        device_ids: &[&str],
    ) -> Result<BTreeMap<String, Content>, Error> {
        let path = Path::fixed("/_matrix/client/v3/keys/claim");
        let devices: BTreeMap<_, _> = device_ids
            .iter()
            .map(|device_id| (*device_id, "signed_curve25519"))
            .collect();
        let body = json!({"one_time_keys": {user_id: devices}, "timeout": 10_000});
        let request = self.signed(Request::post(path, &body));
        let answer = self.homeserver.transport.send(&request).await?;
        let mut body: ClaimBody = answer.json("/keys/claim")?;
        Ok(body.one_time_keys.remove(user_id).unwrap_or_default())
    }
}

pub(super) fn keys_query(user_id: &str) -> Request<'static> {
    let path = Path::fixed("/_matrix/client/v3/keys/query");
    let body = json!({"device_keys": {user_id: []}});
    Request::post(path, &body).repeatable()
}

/// The largest answer to a query that is read: 4 MiB.
const MAX_QUERY_BYTES: usize = 4 * 1024 * 1024;

#[derive(Deserialize)]
struct UploadBody {
    one_time_key_counts: OneTimeKeyCounts,
}

/// The number of one-time keys that the server holds for this device.
#[derive(Default, Deserialize)]
struct OneTimeKeyCounts {
    #[serde(default)]
    signed_curve25519: Option<u64>,
}

#[derive(Deserialize)]
struct ClaimBody {
    one_time_keys: BTreeMap<String, BTreeMap<String, Content>>,
}
