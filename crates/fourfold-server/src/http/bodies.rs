//! Receiving request bodies.
//!
//! A body that does not end keeps in memory what came of it, so that large bodies have a [`Budget`],
//! and each user may have so many that are waited for.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;

use crate::config::MemoryLimits;
use crate::http::budget::{Budget, Holder, Holding};
use crate::http::error::MatrixError;
use crate::http::slow_bodies::SlowBodies;

/// The bodies that are on their way or being worked on.
pub(crate) struct Bodies {
    large: Arc<Budget<BytesMut>>,
    slow: SlowBodies,
}

/// The share of a large body in the budget, until this is dropped.
pub(crate) type Counted = Holding<BytesMut>;

impl Bodies {
    pub(crate) fn new(limits: &MemoryLimits) -> Self {
        Self {
            large: Budget::new(limits.bodies, limits.bodies_per_user),
            slow: SlowBodies::default(),
        }
    }

    /// Waits for a body. What comes with a large one is to be kept until it was worked on.
    ///
    /// # Errors
    ///
    /// 413 when it is larger than `limit`, 408 when it takes longer than `patience`, 429 and 503 when
    /// this holder or everybody together sends too much at a time.
    pub(crate) async fn receive(
        &self,
        holder: &Holder,
        headers: &HeaderMap,
        body: Body,
        limit: usize,
        patience: Duration,
    ) -> Result<(Bytes, Option<Counted>), MatrixError> {
        let announced = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > limit) {
            return Err(too_large(limit));
        }
        let prompt = patience.min(PROMPT);
        let mut collecting = pin!(self.collect(holder, body, limit));
        let mut collected = tokio::time::timeout(prompt, collecting.as_mut()).await;
        if collected.is_err() {
            // From here on it counts towards the user's limit of slow bodies.
            let _slow = match holder {
                Holder::User(user) => Some(self.slow.begin(user)?),
                Holder::Address(_) => None,
            };
            let rest = patience.saturating_sub(prompt);
            collected = tokio::time::timeout(rest, collecting).await;
        }
        collected.unwrap_or(Err(MatrixError::Timeout))
    }

    async fn collect(
        &self,
        holder: &Holder,
        mut body: Body,
        limit: usize,
    ) -> Result<(Bytes, Option<Counted>), MatrixError> {
        let (mut bytes, mut length) = (BytesMut::new(), 0);
        let mut counted: Option<Counted> = None;
        while let Some(piece) = next(&mut body).await? {
            length += piece.len();
            if length > limit {
                return Err(too_large(limit));
            }
            if counted.is_none() && length > SMALL {
                let so_far = std::mem::take(&mut bytes);
                counted = Some(self.large.hold(holder.clone(), length, so_far)?);
            }
            let Some(counted) = &counted else {
                bytes.extend_from_slice(&piece);
                continue;
            };
            counted.grow_to(length)?;
            let taken = counted.with(|bytes| bytes.extend_from_slice(&piece));
            taken.ok_or(GAVE_WAY)?;
            counted.passed(piece.len());
        }
        if let Some(counted) = &counted {
            bytes = counted.take().ok_or(GAVE_WAY)?;
        }
        Ok((bytes.freeze(), counted))
    }
}

/// The next bytes of a body; `None` at its end.
async fn next(body: &mut Body) -> Result<Option<Bytes>, MatrixError> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| MatrixError::Unknown("the body is incomplete"))?;
        // Frames without data are trailers, which are ignored.
        if let Ok(piece) = frame.into_data() {
            return Ok(Some(piece));
        }
    }
    Ok(None)
}

fn too_large(limit: usize) -> MatrixError {
    MatrixError::TooLarge(format!("the body is larger than {limit} bytes").into())
}

/// Bytes of a body that are not counted: there are no more such bodies than connections.
const SMALL: usize = 4 * 1024;

/// A body that takes longer than this is slow.
const PROMPT: Duration = Duration::from_secs(1);

/// The answer to one whose body had to give way to others.
const GAVE_WAY: MatrixError = MatrixError::Busy {
    retry_after: Duration::from_secs(1),
};

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use axum::body::HttpBody;
    use hyper::body::Frame;

    use super::*;
    use crate::store::UserId;

    const ONE: usize = 100_000;
    const PATIENCE: Duration = Duration::from_secs(30);

    /// Pieces that are there at once, and then an end or none.
    struct Sent {
        pieces: Vec<usize>,
        ends: bool,
    }

    impl HttpBody for Sent {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.pieces.pop() {
                Some(length) => Poll::Ready(Some(Ok(Frame::data(vec![b'x'; length].into())))),
                None if self.ends => Poll::Ready(None),
                None => Poll::Pending,
            }
        }
    }

    fn bodies() -> Arc<Bodies> {
        let limits = MemoryLimits {
            bodies: 10 * ONE,
            bodies_per_user: 4 * ONE,
            ..MemoryLimits::default()
        };
        Arc::new(Bodies::new(&limits))
    }

    fn user(name: &str) -> Holder {
        Holder::User(UserId::new(format!("@{name}:a")))
    }

    async fn send(
        bodies: Arc<Bodies>,
        holder: Holder,
        pieces: Vec<usize>,
        ends: bool,
    ) -> Result<(Bytes, Option<Counted>), MatrixError> {
        let body = Body::new(Sent { pieces, ends });
        let headers = HeaderMap::new();
        bodies
            .receive(&holder, &headers, body, 40 * ONE, PATIENCE)
            .await
    }

    #[tokio::test]
    async fn small_bodies_are_not_counted_and_large_ones_until_they_were_worked_on() {
        let bodies = bodies();
        let small = send(Arc::clone(&bodies), user("a"), vec![SMALL - 1, 1], true).await;
        let (bytes, counted) = small.unwrap();
        assert!(bytes.len() == SMALL && counted.is_none());
        let large = send(Arc::clone(&bodies), user("a"), vec![ONE, 1, 10], true).await;
        let (bytes, counted) = large.unwrap();
        assert_eq!(bytes.len(), ONE + 11);
        assert_eq!(bodies.large.bytes(), ONE + 11);
        drop(counted);
        assert!(bodies.large.is_idle());
        let empty = send(Arc::clone(&bodies), user("a"), vec![], true).await;
        assert!(empty.unwrap().0.is_empty());
    }

    // shows: SRV-10
    #[tokio::test]
    async fn one_who_sends_too_much_at_a_time_waits() {
        let bodies = bodies();
        let first = send(Arc::clone(&bodies), user("a"), vec![3 * ONE], true).await;
        let refused = send(Arc::clone(&bodies), user("a"), vec![ONE; 2], true).await;
        assert!(matches!(refused, Err(MatrixError::LimitExceeded { .. })));
        let other = send(Arc::clone(&bodies), user("b"), vec![ONE; 2], true).await;
        drop((first.unwrap(), other.unwrap()));
        assert!(bodies.large.is_idle());
        // One body is always possible.
        let one = send(Arc::clone(&bodies), user("a"), vec![8 * ONE], true).await;
        assert_eq!(one.unwrap().0.len(), 8 * ONE);
    }

    // shows: SRV-10
    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_gives_way_to_what_comes() {
        let bodies = bodies();
        let waiting: Vec<_> = ["a", "b", "c", "d", "e"]
            .into_iter()
            .map(|name| {
                let bodies = Arc::clone(&bodies);
                tokio::spawn(send(bodies, user(name), vec![2 * ONE], false))
            })
            .collect();
        while bodies.large.bytes() < 10 * ONE {
            tokio::task::yield_now().await;
        }
        // Nobody is slow yet, and nobody has more than this one would have.
        let refused = send(Arc::clone(&bodies), user("f"), vec![2 * ONE], true).await;
        assert!(matches!(refused, Err(MatrixError::Busy { .. })));
        tokio::time::advance(Duration::from_secs(2)).await;
        let (bytes, counted) = send(Arc::clone(&bodies), user("f"), vec![2 * ONE], true)
            .await
            .unwrap();
        assert!(bytes.len() == 2 * ONE && bodies.large.bytes() <= 10 * ONE);
        // What is being worked on is not taken away, however long that takes.
        tokio::time::advance(Duration::from_secs(20)).await;
        let all = send(Arc::clone(&bodies), user("g"), vec![8 * ONE], true).await;
        assert_eq!(bodies.large.bytes(), 10 * ONE);
        drop((counted, all.unwrap()));
        for waiting in waiting {
            assert!(waiting.await.unwrap().is_err());
        }
        assert!(bodies.large.is_idle());
    }

    // shows: SRV-10
    #[tokio::test(start_paused = true)]
    async fn a_user_may_have_so_many_that_do_not_end() {
        let bodies = bodies();
        let waiting: Vec<_> = (0..crate::http::slow_bodies::MAX_OF_USER + 10)
            .map(|_| tokio::spawn(send(Arc::clone(&bodies), user("a"), vec![1], false)))
            .collect();
        let (mut refused, mut given_up) = (0, 0);
        for waiting in waiting {
            match waiting.await.unwrap() {
                Err(MatrixError::LimitExceeded { .. }) => refused += 1,
                Err(MatrixError::Timeout) => given_up += 1,
                other => panic!("{:?}", other.map(|(bytes, _)| bytes)),
            }
        }
        assert_eq!(
            (refused, given_up),
            (10, crate::http::slow_bodies::MAX_OF_USER)
        );
    }
}
