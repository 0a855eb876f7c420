//! The room keys in a version: giving them back.
//!
//! A backup may be larger than the server should hold in memory. So it is read while it is sent, as
//! the client takes it. Each key is whole; a key that is put or deleted in the meantime may be there
//! or not, and when the version is deleted the answer breaks off.

use std::sync::Arc;

use super::keys::{Query, selection};
use super::version::{NO_SUCH_VERSION, parse};
use crate::call::Call;
use crate::http::answer::{self, Handled, Later, Part};
use crate::http::error::MatrixError;
use crate::http::json::write_string;
use crate::http::unread::PIECE;
use crate::store::{BackedUpKey, KeySelection, Store, UserId};

/// `GET /room_keys/keys`.
pub(crate) async fn all_keys(call: Call) -> Handled {
    let download = Download::new(&call, Shape::Rooms(None)).await?;
    let parts = download.read(b"{\"rooms\":{".to_vec()).await?;
    Ok(answer::in_parts(parts))
}

/// `GET /room_keys/keys/{roomId}`. A room without keys has no sessions; that is not an error.
pub(crate) async fn room_keys(call: Call) -> Handled {
    let download = Download::new(&call, Shape::Sessions).await?;
    let parts = download.read(b"{\"sessions\":{".to_vec()).await?;
    Ok(answer::in_parts(parts))
}

/// `GET /room_keys/keys/{roomId}/{sessionId}`.
pub(crate) async fn key(call: Call) -> Handled {
    let download = Download::new(&call, Shape::Sessions).await?;
    let page = download.page().await?;
    let key = page.0.first();
    let key = key.ok_or(MatrixError::NotFound("this key is not in the backup"))?;
    let mut body = Vec::with_capacity(key.session_data.len() + AROUND_KEY);
    write_key(&mut body, key);
    Ok(answer::raw(body.into()))
}

/// Reads a selection of keys in pieces.
struct Download {
    store: Arc<dyn Store>,
    user: UserId,
    version: u64,
    selection: KeySelection,
    /// The room and the session of the last key that was read.
    after: Option<(String, String)>,
    shape: Shape,
}

/// What the keys stand in.
enum Shape {
    /// Rooms with sessions; the room whose sessions are open.
    Rooms(Option<String>),
    /// The sessions of one room.
    Sessions,
}

impl Download {
    async fn new(call: &Call, shape: Shape) -> Result<Self, MatrixError> {
        let user = call.user()?;
        let version = match call.query::<Query>()?.version {
            Some(version) => parse(&version)?,
            // Clients of 2019 leave it out and mean the current one.
            None => {
                let current = call.app.store.backup(user, None).await?;
                current.ok_or(NO_SUCH_VERSION)?.version
            }
        };
        Ok(Self {
            store: Arc::clone(&call.app.store),
            user: user.clone(),
            version,
            selection: selection(call),
            after: None,
            shape,
        })
    }

    /// The next keys, and whether there are more.
    async fn page(&self) -> Result<(Vec<BackedUpKey>, bool), MatrixError> {
        let (selection, after) = (self.selection.clone(), self.after.clone());
        let page = self
            .store
            .backed_up_keys(&self.user, self.version, selection, after, PIECE)
            .await?;
        page.ok_or(NO_SUCH_VERSION)
    }

    /// The next piece of the answer, behind what is written already, and how the rest is read.
    async fn read(mut self, mut body: Vec<u8>) -> Result<Vec<Part>, MatrixError> {
        let (keys, more) = self.page().await?;
        let lengths = keys.iter().map(|key| key.session_data.len() + AROUND_KEY);
        body.reserve(lengths.sum());
        let mut begins = self.after.is_none();
        for key in &keys {
            if let Shape::Rooms(open) = &mut self.shape
                && open.as_ref() != Some(&key.room_id)
            {
                if open.is_some() {
                    body.extend_from_slice(b"}},");
                }
                write_string(&mut body, &key.room_id)?;
                body.extend_from_slice(b":{\"sessions\":{");
                *open = Some(key.room_id.clone());
                begins = true;
            }
            if !begins {
                body.push(b',');
            }
            begins = false;
            write_string(&mut body, &key.session_id)?;
            body.push(b':');
            write_key(&mut body, key);
        }
        if !more {
            if matches!(self.shape, Shape::Rooms(Some(_))) {
                body.extend_from_slice(b"}}");
            }
            body.extend_from_slice(b"}}");
        }
        if let Some(last) = keys.into_iter().next_back() {
            self.after = Some((last.room_id, last.session_id));
        }
        let piece = Part::Here(body.into());
        let rest = more.then(|| Part::Later(PIECE, self.rest()));
        Ok([piece].into_iter().chain(rest).collect())
    }

    fn rest(self) -> Later {
        Box::pin(self.read(Vec::new()))
    }
}

fn write_key(body: &mut Vec<u8>, key: &BackedUpKey) {
    let BackedUpKey {
        first_message_index,
        forwarded_count,
        is_verified,
        session_data,
        ..
    } = key;
    let text = format!(
        "{{\"first_message_index\":{first_message_index},\"forwarded_count\":{forwarded_count},\
         \"is_verified\":{is_verified},\"session_data\":"
    );
    body.extend_from_slice(text.as_bytes());
    body.extend_from_slice(session_data);
    body.push(b'}');
}

/// What is written around the data of a key: a little more than most IDs need.
const AROUND_KEY: usize = 256;
