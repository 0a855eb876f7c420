//! Memory that a request holds while its client takes its time, for each holder and together.
//!
//! A client that is slow keeps what it sends or reads in memory, and it can open the next connection.
//! So all that is large is counted. A holder over its limit is refused; when the limit of all together
//! is reached, what is slow gives way, and then what belongs to the holder of the most: one who holds
//! less than others is always served.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::http::error::MatrixError;
use crate::store::UserId;

/// So many bytes of all together, and of one holder. `T` is what can be taken away.
pub(crate) struct Budget<T> {
    most: usize,
    most_per_holder: usize,
    held: Mutex<Held<T>>,
}

/// Whose memory it is.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Holder {
    /// Users with a session.
    User(UserId),
    /// Strangers, by the network that they come from.
    Address(IpAddr),
}

struct Held<T> {
    bytes: usize,
    holders: HashMap<Holder, usize>,
    parts: HashMap<u64, Arc<Part<T>>>,
    newest: u64,
}

/// The memory that one request holds.
struct Part<T> {
    number: u64,
    holder: Holder,
    state: Mutex<State<T>>,
}

struct State<T> {
    /// The bytes that it counts.
    charge: usize,
    /// `None` once it had to give way, or was taken out.
    content: Option<T>,
    begun: Instant,
    moved: Instant,
    passed: usize,
    /// Since when the client waits for the server.
    waits_since: Option<Instant>,
}

/// The memory that one request holds, until this is dropped.
pub(crate) struct Holding<T> {
    budget: Arc<Budget<T>>,
    part: Arc<Part<T>>,
}

impl<T> Budget<T> {
    pub(crate) fn new(most: usize, most_per_holder: usize) -> Arc<Self> {
        let held = Held {
            bytes: 0,
            holders: HashMap::new(),
            parts: HashMap::new(),
            newest: 0,
        };
        Arc::new(Self {
            most,
            most_per_holder,
            held: Mutex::new(held),
        })
    }

    /// Counts so many bytes. One request of a holder is always possible, however large.
    ///
    /// # Errors
    ///
    /// 429 when this holder has too much, 503 when everybody together does.
    pub(crate) fn hold(
        self: &Arc<Self>,
        holder: Holder,
        charge: usize,
        content: T,
    ) -> Result<Holding<T>, MatrixError> {
        let mut held = self.held();
        self.make_room(&mut held, &holder, charge)?;
        held.newest += 1;
        let now = Instant::now();
        let part = Arc::new(Part {
            number: held.newest,
            holder,
            state: Mutex::new(State {
                charge,
                content: Some(content),
                begun: now,
                moved: now,
                passed: 0,
                waits_since: None,
            }),
        });
        held.parts.insert(part.number, Arc::clone(&part));
        held.add(&part.holder, charge);
        drop(held);
        Ok(Holding {
            budget: Arc::clone(self),
            part,
        })
    }

    /// Returns `true` if nothing is held.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        let held = self.held();
        held.bytes == 0 && held.holders.is_empty() && held.parts.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.held().bytes
    }

    fn make_room(
        &self,
        held: &mut Held<T>,
        holder: &Holder,
        more: usize,
    ) -> Result<(), MatrixError> {
        let own = held.holders.get(holder).copied().unwrap_or(0);
        if own > 0 && own + more > self.most_per_holder {
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

    fn held(&self) -> MutexGuard<'_, Held<T>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Holding<T> {
    /// Counts more, so that it is `charge` in all.
    ///
    /// # Errors
    ///
    /// As for [`Budget::hold`].
    pub(crate) fn grow_to(&self, charge: usize) -> Result<(), MatrixError> {
        let mut held = self.budget.held();
        let more = charge.saturating_sub(self.part.state().charge);
        if more > 0 {
            self.budget.make_room(&mut held, &self.part.holder, more)?;
            // A part that was evicted is no longer counted, and nothing is added to it.
            if held.parts.contains_key(&self.part.number) {
                held.add(&self.part.holder, more);
                self.part.state().charge += more;
            }
        }
        Ok(())
    }

    /// Works on what is held; `None` when it had to give way.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.part.state().content.as_mut().map(work)
    }

    /// Notes that the client took or sent so many bytes.
    pub(crate) fn passed(&self, bytes: usize) {
        let mut state = self.part.state();
        state.moved = Instant::now();
        state.passed += bytes;
    }

    /// Notes that the client waits for the server, until [`Holding::goes_on`].
    pub(crate) fn waits_for_server(&self) {
        let mut state = self.part.state();
        state.waits_since.get_or_insert_with(Instant::now);
    }

    /// Notes that the server has what the client waited for. That time is not the client's.
    pub(crate) fn goes_on(&self) {
        let mut state = self.part.state();
        if let Some(since) = state.waits_since.take() {
            let now = Instant::now();
            state.begun += now - since;
            state.moved = now;
        }
    }

    /// Takes out what is held; `None` when it had to give way. It counts on, and can be taken away no
    /// more.
    pub(crate) fn take(&self) -> Option<T> {
        self.part.state().content.take()
    }
}

impl<T> Drop for Holding<T> {
    fn drop(&mut self) {
        self.budget.held().give_way(&self.part);
    }
}

impl<T> Held<T> {
    fn add(&mut self, holder: &Holder, bytes: usize) {
        self.bytes += bytes;
        *self.holders.entry(holder.clone()).or_default() += bytes;
    }

    /// Removes a part and what remains of it.
    fn give_way(&mut self, part: &Part<T>) {
        let mut state = part.state();
        let charge = std::mem::take(&mut state.charge);
        state.content = None;
        drop(state);
        self.parts.remove(&part.number);
        self.bytes = self.bytes.saturating_sub(charge);
        if let Some(of_holder) = self.holders.get_mut(&part.holder) {
            *of_holder = of_holder.saturating_sub(charge);
            if *of_holder == 0 {
                self.holders.remove(&part.holder);
            }
        }
    }

    /// What moves slowly or not at all, the oldest first.
    fn slow(&self) -> Vec<Arc<Part<T>>> {
        let now = Instant::now();
        let parts = self.parts.values();
        let mut slow: Vec<_> = parts
            .filter(|it| it.state().is_slow(now))
            .cloned()
            .collect();
        slow.sort_unstable_by_key(|it| it.number);
        slow
    }

    /// The oldest part that can be taken from the holder of the most, when that is more than `others`.
    fn of_largest_holder(&self, others: usize) -> Option<Arc<Part<T>>> {
        let held_by = |part: &Part<T>| self.holders.get(&part.holder).copied().unwrap_or(0);
        let parts = self.parts.values();
        let takeable = parts.filter(|it| held_by(it) > others && it.state().content.is_some());
        let largest = takeable.max_by_key(|it| (held_by(it), std::cmp::Reverse(it.number)));
        largest.cloned()
    }
}

impl<T> Part<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    /// Returns `true` if it can be taken away and the client is the cause that it is still there.
    fn is_slow(&self, now: Instant) -> bool {
        if self.waits_since.is_some() {
            return false;
        }
        let age = now - self.begun;
        let least = u128::from(MIN_BYTES_A_SECOND) * age.as_millis() / 1000;
        let is_behind = u128::try_from(self.passed).is_ok_and(|it| it < least);
        self.content.is_some() && (now - self.moved >= STALLED || (age >= GRACE && is_behind))
    }
}

/// What did not move for so long gives way to others.
pub(crate) const STALLED: Duration = Duration::from_secs(2);

/// So does what moved more slowly than this, after some time.
const MIN_BYTES_A_SECOND: u32 = 64 * 1024;

const GRACE: Duration = Duration::from_secs(5);

/// When to ask again.
const LATER: Duration = Duration::from_secs(1);
