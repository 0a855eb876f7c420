//! The history of account data, where the homeserver keeps one.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;
use tracing::instrument;

use super::Account;
use crate::error::{Error, ErrorKind};
use crate::path::Path;
use crate::transport::Request;

impl Account {
    /// A page of the history of global account data, newest change first: of one type or of all, from
    /// the beginning or from where an earlier page ended. `None` when the homeserver keeps no history,
    /// which is so of every homeserver but Fourfold's.
    ///
    /// It is what the server says. Nothing of it is authenticated, so that it tells where to look and
    /// proves nothing.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](ErrorKind::TooLarge) beyond 4 MiB, [`Malformed`](ErrorKind::Malformed), and the
    /// errors of every call.
    #[instrument(level = "debug", skip_all, fields(user = self.user_id(), event_type))]
    pub async fn account_data_history(
        &self,
        event_type: Option<&str>,
        from: Option<&str>,
    ) -> Result<Option<HistoryPage>, Error> {
        let mut path = Path::fixed("/_matrix/client/unstable/org.fourfold/account_data_history");
        for (name, value) in [("type", event_type), ("from", from)] {
            if let Some(value) = value {
                path = path.query(name, value);
            }
        }
        let request = self.signed(Request::get(path).with_limit(MAX_PAGE_BYTES));
        let answer = self.homeserver.transport.send(&request).await?;
        if answer.status() == 404 && answer.is_matrix_error("M_UNRECOGNIZED") {
            return Ok(None);
        }
        let to = "/account_data_history";
        let page: HistoryPage = answer.json(to)?;
        // A page that names itself as the next one would be read forever.
        if page.next_batch.is_some() && page.next_batch.as_deref() == from {
            return Err(Error::from(ErrorKind::Malformed { to }).at(self.homeserver.base_url()));
        }
        Ok(Some(page))
    }
}

/// A page of the history of account data.
#[derive(Debug, Deserialize)]
#[non_exhaustive]
pub struct HistoryPage {
    /// The contents, newest change first.
    #[serde(rename = "chunk")]
    pub entries: Vec<HistoryEntry>,
    /// Where the next page begins; `None` on the last one.
    #[serde(default)]
    pub next_batch: Option<String>,
}

/// One content that global account data has or had.
#[derive(Deserialize)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// The event type, untrusted text.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The content: the JSON text exactly as it was received.
    pub content: Box<RawValue>,
    /// When it was stored, in milliseconds since 1970, if the server knows.
    #[serde(default, rename = "origin_server_ts")]
    pub stored_at: Option<u64>,
    /// The device that stored it, untrusted text, if the server knows.
    #[serde(default)]
    pub device_id: Option<String>,
    /// When another content replaced it; `None` for the current one.
    #[serde(default, rename = "replaced_ts")]
    pub replaced_at: Option<u64>,
}

impl fmt::Debug for HistoryEntry {
    /// The length of the content, never the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("HistoryEntry");
        debug
            .field("event_type", &self.event_type)
            .field("stored_at", &self.stored_at)
            .field("device_id", &self.device_id)
            .field("replaced_at", &self.replaced_at)
            .field("length", &self.content.get().len());
        debug.finish_non_exhaustive()
    }
}

/// The largest page that is read: 4 MiB, four times what the server returns.
const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Reply, Server, once};

    #[tokio::test]
    async fn a_page_is_what_the_server_says() {
        let page = r#"{"chunk":[
            {"type":"m.x","etag":"\"2\"","content":{"n" : 1.0},"origin_server_ts":5,"device_id":"D"},
            {"type":"m.x","content":{},"replaced_ts":5}],"next_batch":"1"}"#;
        let server = Server::scripted([
            Reply::json(200, page),
            Reply::json(200, r#"{"chunk":[]}"#),
            Reply::json(200, page),
            Reply::json(200, "{}"),
        ])
        .await;
        let (account, _) = server.account(&once());
        let read = account.account_data_history(Some("m.x&y"), None).await;
        let read = read.unwrap().unwrap();
        let [current, earlier] = &read.entries[..] else {
            panic!("{read:?}");
        };
        assert_eq!(current.content.get(), r#"{"n" : 1.0}"#);
        assert_eq!(
            (current.stored_at, current.device_id.as_deref()),
            (Some(5), Some("D"))
        );
        assert_eq!((earlier.stored_at, earlier.replaced_at), (None, Some(5)));
        let next = read.next_batch.as_deref();
        let last = account.account_data_history(None, next).await;
        assert_eq!(last.unwrap().unwrap().next_batch, None);
        let to = "/account_data_history";
        for from in [next, None] {
            let error = account.account_data_history(None, from).await.unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::Malformed { to }, "{from:?}");
        }
        let targets: Vec<_> = server.received().into_iter().map(|it| it.target).collect();
        let path = "/_matrix/client/unstable/org.fourfold/account_data_history";
        assert_eq!(targets[0], format!("{path}?type=m.x%26y"));
        assert_eq!(targets[1], format!("{path}?from=1"));
    }

    #[tokio::test]
    async fn a_homeserver_without_history_has_none() {
        let server = Server::scripted([
            Reply::error(404, "M_UNRECOGNIZED"),
            Reply::html(404),
            Reply::error(403, "M_FORBIDDEN"),
        ])
        .await;
        let (account, _) = server.account(&once());
        assert!(
            account
                .account_data_history(None, None)
                .await
                .unwrap()
                .is_none()
        );
        assert!(account.account_data_history(None, None).await.is_err());
        assert!(account.account_data_history(None, None).await.is_err());
    }
}
