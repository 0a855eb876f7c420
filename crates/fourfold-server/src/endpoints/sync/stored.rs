//! Contents that are not in memory: they are read from the store while the answer is sent.
//!
//! An account may be larger than the server should hold, once for each client that does not read. Each
//! content is whole; one that is replaced meanwhile may be the newer one, which the next sync shows
//! again.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::http::answer::{self, Answer, Part, Piece, Rest};
use crate::http::error::MatrixError;
use crate::http::unread::PIECE;
use crate::store::{Scope, Store, UserId};

/// An answer of these parts, of which some are in the store.
pub(super) async fn answer(
    store: &Arc<dyn Store>,
    user: &UserId,
    parts: Vec<Part>,
) -> Result<Answer, MatrixError> {
    let stored = Stored {
        store: Arc::clone(store),
        user: user.clone(),
        parts: parts.into(),
    };
    Ok(answer::streamed(stored.read().await?))
}

struct Stored {
    store: Arc<dyn Store>,
    user: UserId,
    /// What was not read yet.
    parts: VecDeque<Part>,
}

impl Stored {
    /// The next piece of the answer.
    async fn read(mut self) -> Result<Piece, MatrixError> {
        let mut bytes = Vec::new();
        while bytes.len() < PIECE
            && let Some(part) = self.parts.pop_front()
        {
            match part {
                Part::Here(part) => bytes.extend_from_slice(&part),
                Part::Absent(event_type) => {
                    bytes.extend_from_slice(&self.content(&event_type).await?)
                }
            }
        }
        let more = !self.parts.is_empty();
        Ok(Piece {
            bytes: bytes.into(),
            rest: more.then(|| self.rest()),
        })
    }

    fn rest(self) -> Rest {
        Box::pin(self.read())
    }

    async fn content(&self, event_type: &str) -> Result<Bytes, MatrixError> {
        let scope = Scope::global();
        let stored = self.store.account_data(&self.user, &scope, event_type);
        let stored = stored.await?.ok_or(MatrixError::Internal)?;
        Ok(stored.content)
    }
}
