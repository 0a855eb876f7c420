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
use crate::http::answer::{Answer, Content, Later, Part};
use crate::http::budget::{Budget, Holder, Holding};
use crate::http::error::MatrixError;

/// The large answers that are on their way.
pub(crate) struct Unread(Arc<Budget<VecDeque<Part>>>);

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
            Content::Whole(bytes) => Body::new(self.hold(holder, [Part::Here(bytes)].into())?),
            Content::Parts(parts) => Body::new(self.hold(holder, parts.into())?),
        };
        Ok(Response::from_parts(head, body))
    }

    fn hold(&self, holder: Holder, parts: VecDeque<Part>) -> Result<Large, MatrixError> {
        let (here, later) = (length(&parts), count(&parts));
        let charge = at_a_time(&parts);
        Ok(Large {
            holding: self.0.hold(holder, charge, parts)?,
            here,
            later,
            reading: None,
        })
    }
}

/// The body of a large answer. What was not handed over yet can be taken from it at any time; then
/// it breaks off, and the client notices by the length or by the missing last chunk.
struct Large {
    holding: Holding<VecDeque<Part>>,
    /// Bytes that are in memory.
    here: usize,
    /// Parts that were not read yet, but for the one that is being read.
    later: usize,
    reading: Option<Later>,
}

impl Large {
    /// The next part, if it is in memory little enough that few bytes are left when the last are
    /// handed over; `None` when there is none.
    fn next(&mut self) -> io::Result<Option<Part>> {
        let next = self.holding.with(|parts| {
            let mut part = parts.pop_front()?;
            if let Part::Here(piece) = &mut part
                && piece.len() > SMALL
            {
                let more = piece.split_off(SMALL);
                parts.push_front(Part::Here(more));
            }
            Some(part)
        });
        next.ok_or_else(|| io::Error::other("the response was not read in time"))
    }

    /// Takes in what was read from the store.
    fn take_in(&mut self, read: Vec<Part>) -> io::Result<()> {
        let read = VecDeque::from(read);
        self.here += length(&read);
        self.later += count(&read);
        let grown = self.holding.grow_to(self.here);
        grown.map_err(io::Error::other)?;
        self.holding.goes_on();
        self.holding.with(|parts| {
            for part in read.into_iter().rev() {
                parts.push_front(part);
            }
        });
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
            if let Some(reading) = &mut this.reading {
                let read = ready!(reading.as_mut().poll(context));
                this.reading = None;
                let taken_in = read
                    .map_err(io::Error::other)
                    .and_then(|it| this.take_in(it));
                if let Err(error) = taken_in {
                    return Poll::Ready(Some(Err(error)));
                }
            }
            match this.next() {
                Ok(Some(Part::Here(piece))) => {
                    this.holding.passed(piece.len());
                    this.here = this.here.saturating_sub(piece.len());
                    if !piece.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(piece))));
                    }
                }
                Ok(Some(Part::Later(_, later))) => {
                    this.later = this.later.saturating_sub(1);
                    // The time for reading from the store does not count as the client's.
                    this.holding.waits_for_server();
                    this.reading = Some(later);
                }
                Ok(None) => return Poll::Ready(None),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.reading.is_none() && self.later == 0 && self.here == 0
    }

    fn size_hint(&self) -> SizeHint {
        if self.reading.is_none() && self.later == 0 {
            SizeHint::with_exact(u64::try_from(self.here).unwrap_or(u64::MAX))
        } else {
            SizeHint::default()
        }
    }
}

/// The bytes that are in memory.
fn length(parts: &VecDeque<Part>) -> usize {
    let here = parts.iter().map(|part| match part {
        Part::Here(bytes) => bytes.len(),
        Part::Later(..) => 0,
    });
    here.sum()
}

/// The most bytes that are there at a time, as far as one can know it: what was not handed over yet
/// and what is read.
fn at_a_time(parts: &VecDeque<Part>) -> usize {
    let mut here = length(parts);
    let mut most = here;
    for part in parts {
        match part {
            Part::Here(bytes) => here -= bytes.len(),
            Part::Later(length, _) => most = most.max(here + length),
        }
    }
    most
}

/// How many parts are read later.
fn count(parts: &VecDeque<Part>) -> usize {
    let later = parts.iter().filter(|part| matches!(part, Part::Later(..)));
    later.count()
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
        // Small responses are never refused.
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

    /// An answer whose second part is read when the first was taken, and takes so long to read.
    fn read_later(length: usize, time: Duration) -> Answer {
        let later = async move {
            tokio::time::sleep(time).await;
            Ok(vec![Part::Here(vec![b'x'; length].into())])
        };
        let here = Part::Here(vec![b'x'; ONE].into());
        answer::in_parts(vec![here, Part::Later(2 * ONE, Box::pin(later))])
    }

    // shows: SRV-11
    #[tokio::test(start_paused = true)]
    async fn what_is_read_later_counts_when_it_is_there() {
        let unread = unread();
        let admitted = unread.admit(user("a"), read_later(3 * ONE, Duration::ZERO));
        let mut body = admitted.unwrap().into_body();
        assert_eq!(unread.0.bytes(), 2 * ONE);
        let mut taken = 0;
        while taken <= ONE {
            let frame = body.frame().await.unwrap().unwrap();
            taken += frame.into_data().unwrap().len();
        }
        assert_eq!(unread.0.bytes(), 3 * ONE);
        // The response whose client no longer reads is dropped first.
        tokio::time::advance(STALLED).await;
        drop(unread.ask("b", 9 * ONE).unwrap());
        body.collect().await.unwrap_err();
        assert!(unread.0.is_idle());
    }

    // shows: SRV-11
    #[tokio::test(start_paused = true)]
    async fn who_waits_for_the_server_is_not_slow() {
        let unread = unread();
        let time = 3 * STALLED;
        let admitted = unread.admit(user("a"), read_later(3 * ONE, time));
        let reading = tokio::spawn(admitted.unwrap().into_body().collect());
        tokio::time::sleep(time / 2).await;
        let refused = unread.ask("b", 9 * ONE).unwrap_err();
        assert!(matches!(refused, MatrixError::Busy { .. }));
        let whole = reading.await.unwrap().unwrap().to_bytes();
        assert_eq!(whole.len(), 4 * ONE);
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
