//! Fetching everything that secret storage is about.

use fourfold::{AccountData, Snapshot};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tracing::{instrument, warn};

use super::{Account, keys::keys_query};
use crate::{
    error::{Error, ErrorKind},
    path::Path,
    transport::Request,
};

impl Account {
    /// Fetches all global account data, the published keys of the user and the version of the key
    /// backup. Nothing changes on the server by it.
    ///
    /// A server without device keys or without key backup is fine; those parts are left out.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](ErrorKind::TooLarge) beyond 64 MiB, [`Malformed`](ErrorKind::Malformed), and the
    /// errors of every call.
    #[instrument(level = "debug", skip_all, fields(user = self.user_id()))]
    pub async fn snapshot(&self) -> Result<Snapshot, Error> {
        let (account_data, keys_query, backup_version) = tokio::try_join!(
            self.all_account_data(),
            self.published_if_any(),
            self.backup_version(),
        )?;
        Snapshot::new(self.user_id(), account_data, keys_query, backup_version)
            .map_err(|error| self.malformed("/keys/query").because(error))
    }

    async fn all_account_data(&self) -> Result<AccountData, Error> {
        // Synapse answers a first sync with the same parameters from a cache for two minutes, and so
        // without what was written since. The type that nothing has makes each one different.
        let nonce = format!("fourfold.{:016x}", getrandom::u64().unwrap_or_default());
        let filter = json!({
            "presence": {"not_types": ["*", nonce], "types": []},
            "room": {
                "rooms": [],
                "account_data": {"types": []},
                "ephemeral": {"types": []},
                "state": {"types": [], "lazy_load_members": true},
                "timeline": {"limit": 1, "types": []},
            },
        });
        let path = Path::fixed("/_matrix/client/v3/sync")
            .query("filter", &filter.to_string())
            .query("timeout", "0")
            .query("set_presence", "offline");
        let request = self.signed(Request::get(path).with_limit(SYNC_LIMIT));
        let answer = self.homeserver.transport.send(&request).await?;
        let body: SyncBody = answer.json("/sync")?;
        let mut account_data = AccountData::default();
        for event in body.account_data.unwrap_or_default().events {
            // One damaged event never hides another.
            match serde_json::from_str::<Event>(event.get()) {
                Ok(event) => account_data
                    .insert_json(event.kind, event.content.get())
                    .map_err(|error| self.malformed("/sync").because(error))?,
                Err(_) => warn!("an event of account data without a type or a content is left out"),
            }
        }
        Ok(account_data)
    }

    async fn published_if_any(&self) -> Result<Option<String>, Error> {
        self.optional(keys_query(self.user_id()), "/keys/query")
            .await
    }

    pub(crate) async fn backup_version(&self) -> Result<Option<String>, Error> {
        let path = Path::fixed("/_matrix/client/v3/room_keys/version");
        self.optional(Request::get(path), "/room_keys/version")
            .await
    }

    /// The body of an answer, or `None` when the server has no such thing.
    async fn optional(
        &self,
        request: Request<'_>,
        to: &'static str,
    ) -> Result<Option<String>, Error> {
        let request = self.signed(request.with_limit(SYNC_LIMIT));
        let answer = self.homeserver.transport.send(&request).await?;
        if matches!(answer.status(), 404 | 405) || answer.is_matrix_error("M_UNRECOGNIZED") {
            return Ok(None);
        }
        answer.text(to).map(Some)
    }

    pub(super) fn malformed(&self, to: &'static str) -> Error {
        Error::from(ErrorKind::Malformed { to }).at(self.homeserver.base_url())
    }
}

/// The largest answer that is read: 64 MiB.
const SYNC_LIMIT: usize = 64 * 1024 * 1024;

#[derive(Deserialize)]
struct SyncBody {
    // So that a page that happens to be JSON is not taken for an empty account.
    #[expect(dead_code, reason = "only its presence counts")]
    next_batch: String,
    #[serde(default)]
    account_data: Option<SyncAccountData>,
}

#[derive(Default, Deserialize)]
struct SyncAccountData {
    #[serde(default)]
    events: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    content: Box<RawValue>,
}
