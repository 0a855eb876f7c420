//! Answers that wait for their readers, and how much memory they may hold.
//!
//! A client that asks and does not read keeps its answer in memory, so that large answers have a
//! [`Budget`]. What is left of an answer can be taken from it at any time; then it breaks off. Small
//! answers are not counted; there are no more of them than connections.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::Response;
use hyper::body::{Frame, SizeHint};

use crate::config::MemoryLimits;
use crate::http::answer::{Answer, Content, Rest};
use crate::http::budget::{Budget, Holder, Holding};
use crate::http::error::MatrixError;

/// The large answers that are on their way.
pub(crate) struct Unread(Arc<Budget<VecDeque<Bytes>>>);

impl Unread {
    pub(crate) fn new(limits: &MemoryLimits) -> Self {
        Self(Budget::new(
            limits.unread_answers,
            limits.unread_answers_per_user,
        ))
    }

    /// Makes an answer ready to be sent.
    ///
    /// # Errors
    ///
    /// 429 when this holder leaves too much unread, 503 when everybody does.
    pub(crate) fn admit(
        &self,
        holder: Holder,
        answer: Answer,
    ) -> Result<Response<Body>, MatrixError> {
        let (head, content) = answer.into_parts();
        let body = match content {
            Content::Whole(bytes) if bytes.len() <= SMALL => Body::from(bytes),
            Content::Whole(bytes) => Body::new(self.hold(holder, [bytes].into(), None)?),
            Content::Pieces(pieces) => Body::new(self.hold(holder, pieces.into(), None)?),
            Content::Streamed(piece) => {
                Body::new(self.hold(holder, [piece.bytes].into(), piece.rest)?)
            }
        };
        Ok(Response::from_parts(head, body))
    }

    fn hold(
        &self,
        holder: Holder,
        pieces: VecDeque<Bytes>,
        rest: Option<Rest>,
    ) -> Result<Large, MatrixError> {
        let remaining: usize = pieces.iter().map(Bytes::len).sum();
        let charge = if rest.is_some() {
            remaining.max(PIECE)
        } else {
            remaining
        };
        Ok(Large {
            holding: self.0.hold(holder, charge, pieces)?,
            remaining,
            rest,
        })
    }
}

/// The body of a large answer. What was not handed over yet can be taken from it at any time; then
/// it breaks off, and the client notices by the length or by the missing last chunk.
struct Large {
    holding: Holding<VecDeque<Bytes>>,
    remaining: usize,
    rest: Option<Rest>,
}

impl Large {
    /// The next bytes in memory, little enough that few are left when the last are handed over;
    /// `None` when there are none.
    fn next(&mut self) -> io::Result<Option<Bytes>> {
        let next = self.holding.with(|pieces| {
            let mut piece = pieces.pop_front()?;
            if piece.len() > SMALL {
                let more = piece.split_off(SMALL);
                pieces.push_front(more);
            }
            Some(piece)
        });
        let next = next.ok_or_else(|| io::Error::other("the answer was not read in time"))?;
        if let Some(piece) = &next {
            self.holding.passed(piece.len());
            self.remaining = self.remaining.saturating_sub(piece.len());
        }
        Ok(next)
    }

    /// Takes in what was read from the store.
    fn take_in(&mut self, bytes: Bytes) -> io::Result<()> {
        let grown = self.holding.grow_to(bytes.len());
        grown.map_err(io::Error::other)?;
        // The time it took to read was not the client's.
        self.holding.passed(0);
        self.remaining += bytes.len();
        self.holding.with(|pieces| pieces.push_back(bytes));
        Ok(())
    }
}

impl HttpBody for Large {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        loop {
            match this.next() {
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            let Some(rest) = &mut this.rest else {
                return Poll::Ready(None);
            };
            let read = ready!(rest.as_mut().poll(context));
            this.rest = None;
            let taken_in = read.map_err(io::Error::other).and_then(|piece| {
                this.rest = piece.rest;
                this.take_in(piece.bytes)
            });
            if let Err(error) = taken_in {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            Some(_) => SizeHint::default(),
            None => SizeHint::with_exact(u64::try_from(self.remaining).unwrap_or(u64::MAX)),
        }
    }
}

/// Bytes of an answer that are not counted, and of a frame.
pub(crate) const SMALL: usize = 16 * 1024;

/// Bytes that are read at once from the store for an answer that is read from there as it is sent.
pub(crate) const PIECE: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;

    use super::*;
    use crate::http::answer;
    use crate::http::budget::STALLED;
    use crate::store::UserId;

    const ONE: usize = 100_000;

    fn unread() -> Unread {
        let limits = MemoryLimits {
            unread_answers: 10 * ONE,
            unread_answers_per_user: 4 * ONE,
            ..MemoryLimits::default()
        };
        Unread::new(&limits)
    }

    fn user(name: &str) -> Holder {
        Holder::User(UserId::new(format!("@{name}:a")))
    }

    impl Unread {
        fn ask(&self, name: &str, length: usize) -> Result<Body, MatrixError> {
            let answer = answer::raw(vec![b'x'; length].into());
            self.admit(user(name), answer).map(Response::into_body)
        }
    }

    // shows: SRV-11
    #[tokio::test]
    async fn who_leaves_too_much_unread_waits_and_others_do_not() {
        let unread = unread();
        let mut held: Vec<_> = (0..4).map(|_| unread.ask("alice", ONE).unwrap()).collect();
        let refused = unread.ask("alice", ONE).unwrap_err();
        assert!(matches!(refused, MatrixError::LimitExceeded { .. }));
        // What is small is never refused.
        drop(unread.ask("alice", SMALL).unwrap());
        drop(unread.ask("bob", 4 * ONE).unwrap());
        let whole = held.pop().unwrap().collect().await.unwrap().to_bytes();
        assert_eq!(whole.len(), ONE);
        drop(unread.ask("alice", ONE).unwrap());
        drop(held);
        assert!(unread.0.is_idle());
        // One answer is always possible.
        drop(unread.ask("alice", 20 * ONE).unwrap());
    }

    // shows: SRV-11
    #[tokio::test(start_paused = true)]
    async fn what_nobody_reads_gives_way() {
        let unread = unread();
        let names = ["a", "b", "c", "d", "e"];
        let mut held: Vec<_> = names.map(|name| unread.ask(name, 2 * ONE).unwrap()).into();
        let refused = unread.ask("f", 2 * ONE).unwrap_err();
        assert!(matches!(refused, MatrixError::Busy { .. }));
        tokio::time::advance(STALLED).await;
        // The first is being read, so the second is the oldest that is not.
        held[0].frame().await.unwrap().unwrap();
        let newest = unread.ask("f", 2 * ONE).unwrap();
        assert!(unread.0.bytes() <= 10 * ONE);
        held.remove(1).collect().await.unwrap_err();
        for body in held.into_iter().chain([newest]) {
            body.collect().await.unwrap();
        }
        assert!(unread.0.is_idle());
    }

    #[tokio::test(start_paused = true)]
    async fn reading_a_little_now_and_then_is_not_reading() {
        let unread = unread();
        let mut slow = unread.ask("slow", 10 * ONE).unwrap();
        for _ in 0..4 {
            tokio::time::advance(STALLED - Duration::from_millis(1)).await;
            slow.frame().await.unwrap().unwrap();
        }
        drop(unread.ask("other", 10 * ONE).unwrap());
        slow.collect().await.unwrap_err();
    }

    // shows: SRV-11
    #[tokio::test]
    async fn who_holds_the_most_gives_way_to_who_holds_less() {
        let unread = unread();
        let large = [(), (), ()].map(|()| unread.ask("large", ONE).unwrap());
        let others: Vec<_> = (0..7)
            .map(|n| unread.ask(&format!("u{n}"), ONE).unwrap())
            .collect();
        let second = unread.ask("u0", ONE).unwrap();
        let mut large = large.into_iter();
        large.next().unwrap().collect().await.unwrap_err();
        // Now nobody holds more than those two do.
        let refused = unread.ask("u0", ONE).unwrap_err();
        assert!(matches!(refused, MatrixError::Busy { .. }));
        for body in large.chain(others).chain([second]) {
            body.collect().await.unwrap();
        }
    }
}
