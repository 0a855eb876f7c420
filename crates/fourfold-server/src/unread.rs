//! Answers that wait for their readers, and how much memory they may hold.
//!
//! A client that asks and does not read keeps its answer in memory, and it can ask again on the next
//! connection. So all that is large is counted, for each user and together. A user over the limit
//! waits; when it is reached together, answers that are read slowly give way, and then those of the
//! user who holds the most: one who holds less than others is always answered. Small answers are not
//! counted; there are no more of them than connections.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::Response;
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;

use crate::answer::{Answer, Content, Rest};
use crate::config::Limits;
use crate::error::MatrixError;
use crate::store::UserId;

/// The large answers that are on their way.
pub(crate) struct Unread {
    most: usize,
    most_per_user: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    bytes: usize,
    users: HashMap<UserId, usize>,
    answers: HashMap<u64, Arc<Waiting>>,
    newest: u64,
}

/// What is left of one answer.
struct Waiting {
    number: u64,
    user: UserId,
    state: Mutex<State>,
}

struct State {
    /// What it counts.
    charge: usize,
    /// `None` once it had to give way.
    pieces: Option<VecDeque<Bytes>>,
    begun: Instant,
    moved: Instant,
    handed: usize,
}

impl Unread {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            most: limits.unread_answers,
            most_per_user: limits.unread_answers_per_user,
            held: Mutex::default(),
        })
    }

    /// Makes an answer ready to be sent. What needs no session counts for nobody in particular.
    ///
    /// # Errors
    ///
    /// 429 when this user leaves too much unread, 503 when everybody does.
    pub(crate) fn admit(
        self: &Arc<Self>,
        user: Option<&UserId>,
        answer: Answer,
    ) -> Result<Response<Body>, MatrixError> {
        let (head, content) = answer.into_parts();
        let body = match content {
            Content::Whole(bytes) if bytes.len() <= SMALL => Body::from(bytes),
            Content::Whole(bytes) => Body::new(self.hold(user, [bytes].into(), None)?),
            Content::Pieces(pieces) => Body::new(self.hold(user, pieces.into(), None)?),
            Content::Streamed(piece) => {
                Body::new(self.hold(user, [piece.bytes].into(), piece.rest)?)
            }
        };
        Ok(Response::from_parts(head, body))
    }

    fn hold(
        self: &Arc<Self>,
        user: Option<&UserId>,
        pieces: VecDeque<Bytes>,
        rest: Option<Rest>,
    ) -> Result<Large, MatrixError> {
        let user = user.cloned().unwrap_or_else(|| UserId::new(""));
        let remaining: usize = pieces.iter().map(Bytes::len).sum();
        let charge = if rest.is_some() {
            remaining.max(PIECE)
        } else {
            remaining
        };
        let mut held = self.held();
        self.make_room(&mut held, &user, charge)?;
        held.newest += 1;
        let now = Instant::now();
        let state = State {
            charge,
            pieces: Some(pieces),
            begun: now,
            moved: now,
            handed: 0,
        };
        let waiting = Arc::new(Waiting {
            number: held.newest,
            user,
            state: Mutex::new(state),
        });
        held.answers.insert(waiting.number, Arc::clone(&waiting));
        held.add(&waiting.user, charge);
        Ok(Large {
            unread: Arc::clone(self),
            waiting,
            remaining,
            rest,
        })
    }

    /// Counts a piece that is larger than what its answer counts so far.
    fn grow(&self, waiting: &Waiting, length: usize) -> Result<(), MatrixError> {
        let mut held = self.held();
        let more = length.saturating_sub(waiting.state().charge);
        if more > 0 {
            self.make_room(&mut held, &waiting.user, more)?;
            held.add(&waiting.user, more);
            waiting.state().charge += more;
        }
        Ok(())
    }

    fn make_room(&self, held: &mut Held, user: &UserId, more: usize) -> Result<(), MatrixError> {
        let own = held.users.get(user).copied().unwrap_or(0);
        // One answer is always possible, however large.
        if own > 0 && own + more > self.most_per_user {
            return Err(MatrixError::LimitExceeded { retry_after: LATER });
        }
        let room = self.most.saturating_sub(more);
        if held.bytes > room {
            for slow in held.slow() {
                if held.bytes <= room {
                    break;
                }
                held.give_way(&slow);
            }
        }
        while held.bytes > room {
            let Some(largest) = held.of_largest_holder(own + more) else {
                return Err(MatrixError::Busy { retry_after: LATER });
            };
            held.give_way(&largest);
        }
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn add(&mut self, user: &UserId, bytes: usize) {
        self.bytes += bytes;
        *self.users.entry(user.clone()).or_default() += bytes;
    }

    /// Forgets an answer, and what is left of it.
    fn give_way(&mut self, waiting: &Waiting) {
        let mut state = waiting.state();
        let charge = std::mem::take(&mut state.charge);
        state.pieces = None;
        drop(state);
        self.answers.remove(&waiting.number);
        self.bytes = self.bytes.saturating_sub(charge);
        if let Some(of_user) = self.users.get_mut(&waiting.user) {
            *of_user = of_user.saturating_sub(charge);
            if *of_user == 0 {
                self.users.remove(&waiting.user);
            }
        }
    }

    /// The answers that are read slowly or not at all, the oldest first.
    fn slow(&self) -> Vec<Arc<Waiting>> {
        let now = Instant::now();
        let answers = self.answers.values();
        let mut slow: Vec<_> = answers
            .filter(|it| it.state().is_slow(now))
            .cloned()
            .collect();
        slow.sort_unstable_by_key(|it| it.number);
        slow
    }

    /// The oldest answer of the user who holds the most, when that is more than `others`.
    fn of_largest_holder(&self, others: usize) -> Option<Arc<Waiting>> {
        let holders = self.users.iter().filter(|(_, bytes)| **bytes > others);
        let (largest, _) = holders.max_by_key(|(_, bytes)| **bytes)?;
        let answers = self.answers.values().filter(|it| it.user == *largest);
        answers.min_by_key(|it| it.number).cloned()
    }
}

impl Waiting {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_slow(&self, now: Instant) -> bool {
        let age = now - self.begun;
        let least = u128::from(LEAST_BYTES_A_SECOND) * age.as_millis() / 1000;
        now - self.moved >= STALLED
            || (age >= GRACE && u128::try_from(self.handed).is_ok_and(|it| it < least))
    }
}

/// The body of a large answer. What was not handed over yet can be taken from it at any time; then
/// it breaks off, and the client notices by the length or by the missing last chunk.
struct Large {
    unread: Arc<Unread>,
    waiting: Arc<Waiting>,
    remaining: usize,
    rest: Option<Rest>,
}

impl Large {
    /// The next bytes in memory, little enough that few are left when the last are handed over;
    /// `None` when there are none.
    fn next(&mut self) -> io::Result<Option<Bytes>> {
        let mut state = self.waiting.state();
        let Some(pieces) = &mut state.pieces else {
            return Err(io::Error::other("the answer was not read in time"));
        };
        let Some(mut piece) = pieces.pop_front() else {
            return Ok(None);
        };
        if piece.len() > SMALL {
            let more = piece.split_off(SMALL);
            pieces.push_front(more);
        }
        state.moved = Instant::now();
        state.handed += piece.len();
        self.remaining = self.remaining.saturating_sub(piece.len());
        Ok(Some(piece))
    }

    /// Takes in what was read from the store.
    fn take_in(&mut self, bytes: Bytes) -> io::Result<()> {
        let grown = self.unread.grow(&self.waiting, bytes.len());
        grown.map_err(io::Error::other)?;
        let mut state = self.waiting.state();
        // The time it took to read was not the client's.
        state.moved = Instant::now();
        self.remaining += bytes.len();
        if let Some(pieces) = &mut state.pieces {
            pieces.push_back(bytes);
        }
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

impl Drop for Large {
    fn drop(&mut self) {
        self.unread.held().give_way(&self.waiting);
    }
}

/// Bytes of an answer that are not counted, and of a frame.
pub(crate) const SMALL: usize = 16 * 1024;

/// Bytes that are read at once from the store for an answer that is read from there as it is sent.
pub(crate) const PIECE: usize = 128 * 1024;

/// An answer of which nothing was taken for so long gives way to others.
const STALLED: Duration = Duration::from_secs(2);

/// So does one that was taken more slowly than this, after some time.
const LEAST_BYTES_A_SECOND: u32 = 64 * 1024;

const GRACE: Duration = Duration::from_secs(5);

/// When to ask again.
const LATER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer;
    use http_body_util::BodyExt;

    const ONE: usize = 100_000;

    fn unread() -> Arc<Unread> {
        let limits = Limits {
            unread_answers: 10 * ONE,
            unread_answers_per_user: 4 * ONE,
            ..Limits::default()
        };
        Unread::new(&limits)
    }

    fn user(name: &str) -> UserId {
        UserId::new(format!("@{name}:a"))
    }

    impl Unread {
        fn ask(self: &Arc<Self>, name: &str, length: usize) -> Result<Body, MatrixError> {
            let answer = answer::raw(vec![b'x'; length].into());
            self.admit(Some(&user(name)), answer)
                .map(Response::into_body)
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
        assert_eq!(unread.held().bytes, 0);
        assert!(unread.held().users.is_empty() && unread.held().answers.is_empty());
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
        assert!(unread.held().bytes <= 10 * ONE);
        held.remove(1).collect().await.unwrap_err();
        for body in held.into_iter().chain([newest]) {
            body.collect().await.unwrap();
        }
        assert_eq!(unread.held().bytes, 0);
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
