//! The room keys in a version: putting and deleting them.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::version::parse;
use crate::call::Call;
use crate::http::answer::{self, Handled};
use crate::http::error::MatrixError;
use crate::store::{BackedUpKey, KeyBackupState, KeySelection};

/// `PUT /room_keys/keys`.
pub(crate) async fn put_all_keys(call: Call) -> Handled {
    let body: Rooms<Session> = call.body()?;
    let mut keys = Vec::new();
    for (room, of_room) in body.rooms {
        for (session, key) in of_room.sessions {
            keys.push(key.checked(&room, session)?);
        }
    }
    put(&call, keys).await
}

/// `PUT /room_keys/keys/{roomId}`.
pub(crate) async fn put_room_keys(call: Call) -> Handled {
    let body: Sessions<Session> = call.body()?;
    let room = call.parameter("roomId")?;
    let keys: Result<_, _> = body
        .sessions
        .into_iter()
        .map(|(session, key)| key.checked(room, session))
        .collect();
    put(&call, keys?).await
}

/// `PUT /room_keys/keys/{roomId}/{sessionId}`.
pub(crate) async fn put_key(call: Call) -> Handled {
    let body: Session = call.body()?;
    let session = call.parameter("sessionId")?.to_owned();
    let key = body.checked(call.parameter("roomId")?, session)?;
    put(&call, vec![key]).await
}

/// `DELETE` of all keys, those of a room or one: of any version, the current or an older one.
pub(crate) async fn delete_keys(call: Call) -> Handled {
    let version = required_version(&call)?;
    let state = call
        .app
        .store
        .delete_backed_up_keys(call.user()?, version, selection(&call))
        .await?;
    state_body(state)
}

async fn put(call: &Call, keys: Vec<BackedUpKey>) -> Handled {
    let version = required_version(call)?;
    let state = call
        .app
        .store
        .put_backed_up_keys(call.user()?, version, keys)
        .await?;
    state_body(state)
}

fn required_version(call: &Call) -> Result<u64, MatrixError> {
    let named = call.query::<Query>()?.version;
    parse(&named.ok_or(MatrixError::MissingParam("version"))?)
}

pub(super) fn selection(call: &Call) -> KeySelection {
    match (call.parameter("roomId"), call.parameter("sessionId")) {
        (Ok(room), Ok(session)) => KeySelection::Session(room.to_owned(), session.to_owned()),
        (Ok(room), Err(_)) => KeySelection::Room(room.to_owned()),
        (Err(_), _) => KeySelection::All,
    }
}

fn state_body(state: KeyBackupState) -> Handled {
    answer::json(&json!({ "count": state.count, "etag": state.etag.to_string() }))
}

#[derive(Deserialize)]
pub(super) struct Query {
    pub(super) version: Option<String>,
}

#[derive(Deserialize)]
struct Rooms<S> {
    rooms: BTreeMap<String, Sessions<S>>,
}

#[derive(Deserialize)]
struct Sessions<S> {
    sessions: BTreeMap<String, S>,
}

/// A key as it is uploaded.
#[derive(Deserialize)]
struct Session {
    first_message_index: Option<u64>,
    forwarded_count: Option<u64>,
    is_verified: Option<bool>,
    session_data: Option<Box<RawValue>>,
}

impl Session {
    fn checked(self, room: &str, session: String) -> Result<BackedUpKey, MatrixError> {
        if [room, &session]
            .iter()
            .any(|id| id.is_empty() || id.len() > MAX_ID)
        {
            return Err(MatrixError::InvalidParam(
                "a room ID or session ID is empty or longer than 255 bytes",
            ));
        }
        let first_message_index = there(self.first_message_index, "first_message_index")?;
        let forwarded_count = there(self.forwarded_count, "forwarded_count")?;
        if first_message_index.max(forwarded_count) > MAX_INTEGER {
            return Err(MatrixError::BadJson("an integer is out of range".into()));
        }
        Ok(BackedUpKey {
            room_id: room.to_owned(),
            session_id: session,
            first_message_index,
            forwarded_count,
            is_verified: there(self.is_verified, "is_verified")?,
            session_data: {
                let session_data = there(self.session_data, "session_data")?;
                Bytes::copy_from_slice(session_data.get().as_bytes())
            },
        })
    }
}

/// Whoever wrote the client wants to know which member it leaves out.
fn there<T>(member: Option<T>, name: &str) -> Result<T, MatrixError> {
    member.ok_or_else(|| MatrixError::BadJson(format!("a room key has no {name}").into()))
}

const MAX_ID: usize = 255;

/// The range that canonical JSON allows.
const MAX_INTEGER: u64 = (1 << 53) - 1;
