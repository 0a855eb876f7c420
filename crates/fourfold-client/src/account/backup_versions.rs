//! Older versions of the key backup, and what is in a version.

use std::fmt;

use fourfold::backup::{BackedUpRoomKey, BackupKey, ShownVersion};
use fourfold::health::SampledSessions;
use fourfold::{BackupVersion, Snapshot};
use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use tokio::task::JoinSet;
use tracing::{instrument, warn};

use super::Account;
use crate::error::Error;
use crate::path::Path;
use crate::transport::Request;

impl Account {
    /// How many numbers below the current version are looked at for older versions.
    pub const OLDER_BACKUPS: u64 = 10;

    /// A snapshot with the older versions of the key backup. No request lists them: on servers that
    /// count, as most do, those of the [last numbers](Self::OLDER_BACKUPS) below the current one are
    /// asked for, and what is not there was deleted.
    pub async fn with_older_backups(&self, snapshot: Snapshot) -> Snapshot {
        let current = snapshot.backup_version().map(ShownVersion::from_json);
        let current = current.and_then(|shown| shown.version);
        let Some(current) = current.and_then(|version| counted(&version)) else {
            return snapshot;
        };
        let mut asked = JoinSet::new();
        let first = current.saturating_sub(Self::OLDER_BACKUPS).max(1);
        for version in first..current {
            let account = self.clone();
            asked.spawn(async move {
                let version = version.to_string();
                (account.one_backup_version(&version).await, version)
            });
        }
        let mut found = Vec::new();
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok((Ok(Some(body)), version)) => found.push((version.len(), version, body)),
                Ok((Ok(None), _)) | Err(_) => {}
                Ok((Err(error), version)) => {
                    warn!(%error, version, "an older version of the key backup is not known");
                }
            }
        }
        found.sort();
        let bodies = found.into_iter().map(|(_, _, body)| body);
        // Each was read as JSON when it came.
        snapshot
            .clone()
            .with_backup_versions(bodies)
            .unwrap_or(snapshot)
    }

    /// The older versions that can be used, as [`with_older_backups`](Self::with_older_backups) finds
    /// them: for who makes a new one, so that a private key that is replaced is kept under the name of its
    /// version.
    pub async fn older_key_backups(&self, snapshot: &Snapshot) -> Vec<BackupVersion> {
        let snapshot = self.with_older_backups(snapshot.clone()).await;
        let bodies = snapshot.backup_versions();
        bodies
            .filter_map(|body| BackupVersion::from_json(body).ok())
            .collect()
    }

    /// What the server shows of one version of the key backup, the current one or not
    /// ([`GET /room_keys/version/{version}`][one]).
    ///
    /// # Errors
    ///
    /// [`InvalidSegment`](crate::ErrorKind::InvalidSegment) for an impossible version, and the errors
    /// of every call, except of a server that answers and fails to say.
    ///
    /// [one]: https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keysversionversion
    #[instrument(level = "debug", skip_all, fields(user = self.user_id()))]
    pub async fn shown_key_backup(&self, version: &str) -> Result<ShownBackup, Error> {
        match self.one_backup_version(version).await {
            Ok(None) => Ok(ShownBackup::None),
            Ok(Some(body)) => Ok(ShownBackup::Shown(Box::new(ShownVersion::from_json(&body)))),
            Err(error) if error.is_answer() => Ok(ShownBackup::Unavailable(error)),
            Err(error) => Err(error),
        }
    }

    /// Deletes a version of the key backup, with all room keys in it
    /// ([`DELETE /room_keys/version/{version}`][delete]). One that is not there any more is deleted.
    ///
    /// # Errors
    ///
    /// The errors of every call.
    ///
    /// [delete]: https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3room_keysversionversion
    #[instrument(level = "debug", skip_all, fields(user = self.user_id()))]
    pub(crate) async fn delete_key_backup(&self, version: &str) -> Result<(), Error> {
        let path = Path::fixed("/_matrix/client/v3/room_keys/version")
            .segment(version)
            .map_err(|error| error.at(self.homeserver.base_url()))?;
        let request = self.signed(Request::delete(path));
        let answer = self.homeserver.transport.send(&request).await?;
        let is_gone = answer.status() == 404 && answer.is_matrix_error("M_NOT_FOUND");
        if answer.is_success() || is_gone {
            Ok(())
        } else {
            Err(answer.into_error("/room_keys/version"))
        }
    }

    /// Tries a private key on some of the room keys in a version of the key backup: those that come
    /// first in the answer to [`GET /room_keys/keys`][keys], of which no more is read than they need.
    ///
    /// # Errors
    ///
    /// [`Malformed`](crate::ErrorKind::Malformed), and the errors of every call.
    ///
    /// [keys]: https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keyskeys
    #[instrument(level = "debug", skip_all, fields(user = self.user_id()))]
    pub async fn sample_key_backup(
        &self,
        version: &str,
        key: &BackupKey,
        sample: u32,
    ) -> Result<BackupSample, Error> {
        let most = usize::try_from(sample).unwrap_or(usize::MAX);
        let limit = most
            .saturating_mul(USUAL_ROOM_KEY)
            .saturating_add(LEAST_READ)
            .min(MOST_READ);
        let path = Path::fixed("/_matrix/client/v3/room_keys/keys").query("version", version);
        let request = Request::get(path).with_limit(limit).cut();
        let answer = self
            .homeserver
            .transport
            .send(&self.signed(request))
            .await?;
        if !answer.is_success() {
            return Err(answer.into_error("/room_keys/keys"));
        }
        let mut collected = Collected {
            most,
            room_keys: Vec::new(),
        };
        let mut body = serde_json::Deserializer::from_slice(answer.body());
        let read = body.deserialize_map(Level::Body(&mut collected));
        if read.is_err() && collected.room_keys.is_empty() && answer.body().len() < limit {
            return Err(answer.into_error("/room_keys/keys"));
        }
        Ok(BackupSample::of(&collected.room_keys, key))
    }
}

/// What a server shows of one version of the key backup.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "there is no fourth")]
pub enum ShownBackup {
    /// There is none of this name.
    None,
    /// There is one.
    Shown(Box<ShownVersion>),
    /// The server answers, and fails to say.
    Unavailable(Error),
}

/// What became of the room keys that a private key was tried on. Nothing of them is in it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct BackupSample {
    /// How many were tried, and how many opened.
    pub sessions: SampledSessions,
    /// Why the others did not, each reason once, with how many it was.
    pub reasons: Vec<(String, u32)>,
}

impl BackupSample {
    fn of(room_keys: &[BackedUpRoomKey], key: &BackupKey) -> Self {
        let mut sample = Self::default();
        for room_key in room_keys {
            sample.sessions.tried += 1;
            let Err(error) = room_key.try_key(key) else {
                sample.sessions.opened += 1;
                continue;
            };
            let reason = error.to_string();
            let known = sample.reasons.iter_mut().find(|(one, _)| *one == reason);
            match known {
                Some((_, times)) => *times += 1,
                None => sample.reasons.push((reason, 1)),
            }
        }
        sample
    }
}

/// The number that a version is, on servers that count.
fn counted(version: &str) -> Option<u64> {
    let number: u64 = version.parse().ok()?;
    (number.to_string() == version).then_some(number)
}

/// The first room keys of an answer, which may be cut off.
struct Collected {
    most: usize,
    room_keys: Vec<BackedUpRoomKey>,
}

/// Where in the answer a map is: `{"rooms": {room: {"sessions": {session: room key}}}}`.
enum Level<'c> {
    Body(&'c mut Collected),
    Rooms(&'c mut Collected),
    Room(&'c mut Collected),
    Sessions(&'c mut Collected),
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        match self {
            Self::Body(collected) => inner(&mut map, "rooms", move || Level::Rooms(collected)),
            Self::Room(collected) => {
                inner(&mut map, "sessions", move || Level::Sessions(collected))
            }
            Self::Rooms(collected) => {
                while map.next_key::<IgnoredAny>()?.is_some() {
                    map.next_value_seed(Level::Room(&mut *collected))?;
                }
                Ok(())
            }
            Self::Sessions(collected) => {
                while map.next_key::<IgnoredAny>()?.is_some() {
                    let room_key: &RawValue = map.next_value()?;
                    if collected.room_keys.len() < collected.most {
                        collected
                            .room_keys
                            .push(BackedUpRoomKey::from_json(room_key.get()));
                    }
                }
                Ok(())
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

/// Goes into the member of this name, the first time that it comes.
fn inner<'de, 'c, A: MapAccess<'de>>(
    map: &mut A,
    member: &str,
    level: impl FnOnce() -> Level<'c>,
) -> Result<(), A::Error> {
    let mut level = Some(level);
    while let Some(name) = map.next_key::<String>()? {
        match level.take_if(|_| name == member) {
            Some(level) => map.next_value_seed(level())?,
            None => drop(map.next_value::<IgnoredAny>()?),
        }
    }
    Ok(())
}

/// What a room key takes in an answer, with much to spare.
const USUAL_ROOM_KEY: usize = 4 * 1024;
/// What is read at least.
const LEAST_READ: usize = 64 * 1024;
/// What is read at most: 64 MiB.
const MOST_READ: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use fourfold::rand_core::UnwrapErr;
    use fourfold::{NewKeyBackup, Snapshot};

    use super::*;
    use crate::testing::{Received, Reply, Server, once};

    fn key() -> BackupKey {
        let new = NewKeyBackup::random(&mut UnwrapErr(getrandom::SysRng));
        BackupKey::read(&new.secret()).unwrap()
    }

    #[tokio::test]
    async fn older_versions_are_those_of_the_last_numbers() {
        let server = Server::start(|request: &Received| {
            let (_, version) = request.target.rsplit_once('/').unwrap();
            match version {
                "5" => Reply::error(404, "M_NOT_FOUND"),
                "6" => Reply::html(500),
                "7" => Reply::json(200, "no JSON"),
                version => Reply::json(200, format!(r#"{{"version":"{version}"}}"#)),
            }
        })
        .await;
        let (account, _) = server.account(&once());
        let with = |current: &str| {
            let body = format!(r#"{{"version":"{current}"}}"#);
            Snapshot::new("@a:b", Default::default(), None, Some(body)).unwrap()
        };
        let older = |snapshot: Snapshot| -> Vec<String> {
            let bodies = snapshot.backup_versions();
            bodies
                .filter_map(|body| ShownVersion::from_json(body).version)
                .collect()
        };
        let found = account.with_older_backups(with("12")).await;
        assert_eq!(older(found), ["2", "3", "4", "8", "9", "10", "11"]);
        let asked = server.received().len();
        for odd in ["1", "0", "012", "-3", "abc", ""] {
            let found = account.with_older_backups(with(odd)).await;
            assert!(older(found).is_empty(), "{odd}");
        }
        assert_eq!(server.received().len(), asked);
    }

    #[tokio::test]
    async fn a_sample_is_taken_from_the_beginning_of_an_endless_answer() {
        let one = r#""s":{"session_data":{"mac":"AAAA"}},"#;
        let body = format!(r#"{{"etag":"1","rooms":{{"!r:x":{{"sessions":{{{one}"#);
        let beginning = format!("HTTP/1.1 200 OK\r\n\r\n{body}{one}{one}\"s\":{{\"a\":\"");
        let server = Server::start(move |_| Reply::Endless(beginning.clone())).await;
        let (account, _) = server.account(&once());
        let sample = account.sample_key_backup("3", &key(), 2).await.unwrap();
        let (tried, opened) = (2, 0);
        assert_eq!(sample.sessions, SampledSessions { tried, opened });
        assert_eq!(sample.reasons.len(), 1);
        assert_eq!(sample.reasons[0].1, 2);
        assert!(
            server.received()[0]
                .target
                .ends_with("/room_keys/keys?version=3")
        );
    }

    #[tokio::test]
    async fn what_is_no_backup_is_no_sample() {
        for (reply, is_fine) in [
            (r#"{"rooms":{}}"#, true),
            (r#"{"rooms":{"!r:x":{"sessions":{}}}}"#, true),
            ("[]", false),
            ("<html>", false),
            ("", false),
        ] {
            let server = Server::start(move |_| Reply::json(200, reply)).await;
            let (account, _) = server.account(&once());
            let sample = account.sample_key_backup("3", &key(), 5).await;
            assert_eq!(sample.is_ok(), is_fine, "{reply}");
            assert!(sample.is_err() || sample.unwrap() == BackupSample::default());
        }
    }
}
