//! Waiting for what is sent to this device.

use std::fmt;
use std::time::Duration;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use serde_json::value::RawValue;
use tracing::instrument;

use super::Account;
use super::names::Names;
use crate::error::Error;
use crate::path::Path;
use crate::transport::Request;

impl Account {
    /// Waits until there is something for this device, at most so long. To-device events that came
    /// with an earlier token are gone from the server as soon as a later one is sent as `since`.
    ///
    /// Attempted once: anyone who calls it in a loop pauses in its own way.
    #[instrument(level = "debug", skip_all, fields(user = self.user_id()))]
    pub(crate) async fn sync(
        &self,
        since: Option<&str>,
        timeout: Duration,
    ) -> Result<SyncAnswer, Error> {
        // No rooms, no account data, nobody's presence: only what is for the device.
        let nothing = json!({"types": [], "not_types": ["*"]});
        let filter = json!({
            "presence": nothing,
            "account_data": nothing,
            "room": {"rooms": [], "include_leave": false},
        });
        let mut path = Path::fixed("/_matrix/client/v3/sync")
            .query("filter", &filter.to_string())
            .query("set_presence", "offline")
            .query("timeout", &timeout.as_millis().to_string());
        if let Some(since) = since {
            path = path.query("since", since);
        }
        let request = Request::get(path)
            .with_limit(MAX_ANSWER_BYTES)
            .with_attempts(1);
        let answer = self
            .homeserver
            .transport
            .send(&self.signed(request))
            .await?;
        let answer: SyncAnswer = answer.json("/sync")?;
        // It is kept and sent back: one that cannot be sent would keep the device out for good.
        if answer.next_batch.is_empty() || answer.next_batch.len() > MAX_TOKEN_BYTES {
            return Err(self.malformed("/sync"));
        }
        Ok(answer)
    }
}

/// The parts of a sync response that concern the device.
#[derive(Debug, Deserialize)]
pub(crate) struct SyncAnswer {
    pub(crate) next_batch: String,
    #[serde(default, deserialize_with = "events")]
    pub(crate) to_device: ToDevice,
    #[serde(default)]
    pub(crate) device_lists: DeviceLists,
    /// The number of one-time keys that the server holds, by algorithm.
    #[serde(default)]
    pub(crate) device_one_time_keys_count: Option<OneTimeKeysCount>,
    /// The algorithms of fallback keys that were not used yet.
    #[serde(default)]
    pub(crate) device_unused_fallback_key_types: Option<Names>,
}

/// The users whose devices changed, and those with whom nothing is shared any more.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct DeviceLists {
    #[serde(default)]
    pub(crate) changed: Names,
    #[serde(default)]
    pub(crate) left: Names,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct OneTimeKeysCount {
    #[serde(default)]
    pub(crate) signed_curve25519: u64,
}

/// To-device events as they came, in order.
#[derive(Debug, Default)]
pub(crate) struct ToDevice {
    pub(crate) events: Vec<Box<RawValue>>,
    /// Those that were left out because they are too large or too many.
    pub(crate) left_out: u64,
}

/// The largest event that is looked at: 128 KiB. Servers pass on 64 KiB.
pub(crate) const MAX_EVENT_BYTES: usize = 128 * 1024;

/// The longest token that is taken: those of servers are far below 1 KiB.
const MAX_TOKEN_BYTES: usize = 4096;

/// The maximum number of events of one response that are processed. Servers send a hundred at once.
const MAX_EVENTS: usize = 10_000;

/// The maximum number of bytes of events of one response that are processed: 32 MiB. They lie in
/// memory beside the whole answer, until that is read to its end.
const MAX_EVENTS_BYTES: usize = 32 * 1024 * 1024;

/// The largest answer that is read: 64 MiB. A server may give everything at once that waits, and an
/// answer that is refused comes again.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

fn events<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ToDevice, D::Error> {
    #[derive(Deserialize)]
    struct Member {
        #[serde(default)]
        events: Option<Bounded>,
    }
    let member = Option::<Member>::deserialize(deserializer)?;
    Ok(member
        .and_then(|member| member.events)
        .map_or_else(ToDevice::default, |bounded| bounded.0))
}

struct Bounded(ToDevice);

impl<'de> Deserialize<'de> for Bounded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Events).map(Self)
    }
}

struct Events;

impl<'de> Visitor<'de> for Events {
    type Value = ToDevice;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<ToDevice, A::Error> {
        let mut read = ToDevice::default();
        let mut room = MAX_EVENTS_BYTES;
        while read.events.len() < MAX_EVENTS {
            match sequence.next_element::<&RawValue>()? {
                None => return Ok(read),
                Some(event) if event.get().len() > MAX_EVENT_BYTES.min(room) => read.left_out += 1,
                Some(event) => {
                    room -= event.get().len();
                    read.events.push(event.to_owned());
                }
            }
        }
        while sequence.next_element::<IgnoredAny>()?.is_some() {
            read.left_out += 1;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::testing::{Reply, Server, once};

    fn read(json: &str) -> SyncAnswer {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn whatever_is_missing_is_empty() {
        for json in [
            r#"{"next_batch": "a"}"#,
            r#"{"next_batch": "a", "to_device": null}"#,
            r#"{"next_batch": "a", "to_device": {}, "device_lists": {}}"#,
        ] {
            let answer = read(json);
            assert_eq!(answer.next_batch, "a");
            assert!(answer.to_device.events.is_empty());
            assert!(answer.device_one_time_keys_count.is_none());
        }
        assert!(serde_json::from_str::<SyncAnswer>("{}").is_err());
    }

    // shows: LIB-22
    #[tokio::test]
    async fn a_token_that_cannot_be_sent_back_is_refused() {
        for (length, is_taken) in [
            (0, false),
            (MAX_TOKEN_BYTES, true),
            (MAX_TOKEN_BYTES + 1, false),
        ] {
            let token = "x".repeat(length);
            let body = format!(r#"{{"next_batch": "{token}"}}"#);
            let server = Server::start(move |_| Reply::json(200, body.as_str())).await;
            let (account, _) = server.account(&once());
            let answer = account.sync(None, Duration::ZERO).await;
            assert_eq!(answer.is_ok(), is_taken, "{length}");
        }
    }

    // shows: LIB-22
    #[tokio::test]
    async fn an_answer_beyond_the_limit_is_refused() {
        let body = format!(r#"{{"next_batch": "a"{}}}"#, " ".repeat(MAX_ANSWER_BYTES));
        let server = Server::start(move |_| Reply::json(200, body.as_str())).await;
        let (account, _) = server.account(&once());
        let error = account.sync(None, Duration::ZERO).await.unwrap_err();
        assert_eq!(
            error.kind(),
            &ErrorKind::TooLarge {
                limit: MAX_ANSWER_BYTES
            }
        );
    }

    // shows: LIB-22
    #[test]
    fn events_are_bounded_in_size_and_number() {
        let large = "x".repeat(MAX_EVENT_BYTES);
        let json = format!(
            r#"{{"next_batch": "a", "to_device": {{"events": [{{"a":"{large}"}}, {{"b":1}}]}}}}"#
        );
        let answer = read(&json);
        assert_eq!(answer.to_device.left_out, 1);
        assert_eq!(answer.to_device.events[0].get(), r#"{"b":1}"#);

        let many = vec!["{}"; MAX_EVENTS + 5].join(",");
        let answer = read(&format!(
            r#"{{"next_batch": "a", "to_device": {{"events": [{many}]}}}}"#
        ));
        assert_eq!(answer.to_device.events.len(), MAX_EVENTS);
        assert_eq!(answer.to_device.left_out, 5);
    }

    // shows: LIB-22
    #[test]
    fn all_events_together_are_bounded() {
        let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_EVENT_BYTES - 8));
        let most = MAX_EVENTS_BYTES / large.len();
        let many = vec![large; most + 3].join(",");
        let answer = read(&format!(
            r#"{{"next_batch": "a", "to_device": {{"events": [{many}]}}}}"#
        ));
        assert_eq!(answer.to_device.events.len(), most);
        assert_eq!(answer.to_device.left_out, 3);
    }
}
