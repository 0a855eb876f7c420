//! Fetching everything that secret storage is about.

use std::borrow::Cow;
use std::fmt;

use fourfold::{AccountData, Content, Snapshot};
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use serde_json::value::RawValue;
use tracing::{instrument, warn};

use super::Account;
use super::keys::keys_query;
use crate::error::{Error, ErrorKind};
use crate::path::Path;
use crate::transport::Request;

impl Account {
    /// Fetches all global account data, the published keys of the user and the version of the key
    /// backup. Nothing changes on the server by it.
    ///
    /// A server without device keys or without key backup is fine; those parts are omitted. That there is
    /// no version of the key backup is kept as such: then
    /// [`backup_version`](Snapshot::backup_version) is `null`. Where the server answers, and fails to say
    /// which version there is, the snapshot [says so](Snapshot::why_unavailable): nothing but the backup
    /// depends on it.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](ErrorKind::TooLarge) beyond 64 MiB,
    /// [`TooManyEvents`](ErrorKind::TooManyEvents) beyond [`AccountData::MAX_EVENTS`],
    /// [`Malformed`](ErrorKind::Malformed), and the errors of every call.
    #[instrument(level = "debug", skip_all, fields(user = self.user_id()))]
    pub async fn snapshot(&self) -> Result<Snapshot, Error> {
        let (account_data, keys_query, backup_version) = tokio::try_join!(
            self.all_account_data(),
            self.published_if_any(),
            self.shown_backup_version(),
        )?;
        let (backup_version, unavailable) = match backup_version {
            Ok(body) => (Some(body), None),
            Err(unavailable) => (None, unavailable),
        };
        let device_id = self.device_id().map(str::to_owned);
        let snapshot = Snapshot::new(self.user_id(), account_data, keys_query, backup_version)
            .map_err(|error| self.malformed("/keys/query").because(error))?
            .seen_by(device_id);
        Ok(match unavailable {
            None => snapshot,
            Some(unavailable) => {
                snapshot.without(Snapshot::BACKUP_VERSION, unavailable.to_string())
            }
        })
    }

    /// As [`snapshot`](Self::snapshot), with the devices that are logged in and with older versions of
    /// the key backup: for who examines the account. Where the server does not tell, they are omitted.
    ///
    /// # Errors
    ///
    /// As [`snapshot`](Self::snapshot).
    #[instrument(level = "debug", skip_all, fields(user = self.user_id()))]
    pub async fn snapshot_with_devices(&self) -> Result<Snapshot, Error> {
        let (snapshot, devices) = tokio::join!(self.snapshot(), self.listed_devices());
        let snapshot = self.with_older_backups(snapshot?).await;
        match devices {
            Ok(Some(body)) => {
                let snapshot = snapshot.with_devices(body);
                snapshot.map_err(|error| self.malformed("/devices").because(error))
            }
            Ok(None) => Ok(snapshot),
            Err(error) => {
                warn!(%error, "it is unknown which devices are logged in");
                Ok(snapshot)
            }
        }
    }

    async fn listed_devices(&self) -> Result<Option<String>, Error> {
        let path = Path::fixed("/_matrix/client/v3/devices");
        let part = self.part(Request::get(path).with_attempts(1), "/devices");
        Ok(part.await?.into_body())
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
        let request = self.signed(Request::get(path).with_limit(MAX_ANSWER_BYTES));
        let answer = self.homeserver.transport.send(&request).await?;
        let body: SyncBody = answer.json("/sync")?;
        let events = body.account_data.unwrap_or_default().events;
        if events.are_too_many {
            // To read some of them would let the server choose which.
            let limit = AccountData::MAX_EVENTS;
            return Err(self.at_server(ErrorKind::TooManyEvents { limit }));
        }
        Ok(events.read)
    }

    async fn published_if_any(&self) -> Result<Option<String>, Error> {
        let part = self.part(keys_query(self.user_id()), "/keys/query").await?;
        Ok(part.into_body())
    }

    pub(crate) async fn backup_version(&self) -> Result<Option<String>, Error> {
        Ok(self.asked_backup_version(u32::MAX).await?.into_body())
    }

    /// What the server shows of the current version, or why it does not; nothing of a server that has no
    /// key backups.
    async fn shown_backup_version(&self) -> Result<Result<String, Option<Error>>, Error> {
        // A hiccup is overcome; a record that is damaged keeps nobody waiting.
        match self.asked_backup_version(2).await {
            Ok(Part::Body(body)) => Ok(Ok(body)),
            Ok(Part::NotThere) => Ok(Ok(NULL.to_owned())),
            Ok(Part::NotServed {
                is_matrix: true, ..
            }) => Ok(Err(None)),
            Ok(Part::NotServed { status, .. }) => Ok(Err(Some(
                self.at_server(ErrorKind::NotAHomeserver { status }),
            ))),
            Err(error) if error.is_answer() => Ok(Err(Some(error))),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn found_backup_version(&self) -> Result<Option<String>, Error> {
        Ok(self.asked_backup_version(2).await?.into_body())
    }

    async fn asked_backup_version(&self, attempts: u32) -> Result<Part, Error> {
        let path = Path::fixed("/_matrix/client/v3/room_keys/version");
        let request = Request::get(path).with_attempts(attempts);
        self.part(request, "/room_keys/version").await
    }

    /// What the server shows of one version of the key backup; `None` when it has no such version.
    pub(super) async fn one_backup_version(&self, version: &str) -> Result<Option<String>, Error> {
        let path = Path::fixed("/_matrix/client/v3/room_keys/version")
            .segment(version)
            .map_err(|error| error.at(self.homeserver.base_url()))?;
        let request = Request::get(path).with_attempts(2);
        let part = self.part(request, "/room_keys/version").await?;
        match part {
            Part::Body(body) => Ok(Some(body)),
            Part::NotThere => Ok(None),
            Part::NotServed { status, .. } => {
                Err(self.at_server(ErrorKind::NotAHomeserver { status }))
            }
        }
    }

    async fn part(&self, request: Request<'_>, to: &'static str) -> Result<Part, Error> {
        let request = self.signed(request.with_limit(MAX_PART_BYTES));
        let answer = self.homeserver.transport.send(&request).await?;
        if answer.status() == 404 && answer.is_matrix_error("M_NOT_FOUND") {
            return Ok(Part::NotThere);
        }
        if matches!(answer.status(), 404 | 405) || answer.is_matrix_error("M_UNRECOGNIZED") {
            return Ok(Part::NotServed {
                status: answer.status(),
                is_matrix: answer.has_matrix_error(),
            });
        }
        answer.text(to).map(Part::Body)
    }

    pub(super) fn malformed(&self, to: &'static str) -> Error {
        self.at_server(ErrorKind::Malformed { to })
    }

    fn at_server(&self, kind: ErrorKind) -> Error {
        Error::from(kind).at(self.homeserver.base_url())
    }
}

/// What a server said of one thing of the account.
enum Part {
    Body(String),
    /// It was asked, and says that there is none.
    NotThere,
    /// It does not have such things, or a proxy answered in its place.
    NotServed {
        status: u16,
        /// Whether the answer is in the words of Matrix.
        is_matrix: bool,
    },
}

impl Part {
    fn into_body(self) -> Option<String> {
        match self {
            Self::Body(body) => Some(body),
            Self::NotThere | Self::NotServed { .. } => None,
        }
    }
}

/// What a snapshot says of something that does not exist.
const NULL: &str = "null";

/// The largest answer with account data that is read: 64 MiB. Held twice for a moment: as it came,
/// and as the contents in it.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// The largest answer about one thing of the account that is read. Four times what is understood, so
/// that it is told why it is not.
const MAX_PART_BYTES: usize = 4 * Content::MAX_BYTES;

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
    events: Events,
}

/// The events, read one by one out of the answer: nothing is copied but the contents.
#[derive(Default)]
struct Events {
    read: AccountData,
    /// Whether there are more than are read.
    are_too_many: bool,
}

impl<'de> Deserialize<'de> for Events {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(EventsVisitor)
    }
}

struct EventsVisitor;

impl<'de> Visitor<'de> for EventsVisitor {
    type Value = Events;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Events, A::Error> {
        let mut events = Events::default();
        while let Some(event) = sequence.next_element::<&RawValue>()? {
            // One damaged event never hides another.
            let Ok(event) = serde_json::from_str::<Event<'_>>(event.get()) else {
                warn!("an event of account data without a type or a content is ignored");
                continue;
            };
            if events
                .read
                .insert_json(event.kind, event.content.get())
                .is_err()
            {
                events.are_too_many = true;
                break;
            }
        }
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(events)
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    content: &'a RawValue,
}
