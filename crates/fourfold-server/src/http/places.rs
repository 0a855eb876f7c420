//! The limits on connections.
//!
//! An address may have as many connections as are free: alone it takes half of them, two take a third
//! each, and a hundred still leave a hundredth for the next. So nobody can take all, and there is
//! no number to be chosen for each address. Connections beyond that wait for the others of their
//! address, a few at least, and are not served in the meantime.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The connections that there may be.
pub(crate) struct Places {
    most: usize,
    most_waiting: usize,
    /// Whether one address may take all.
    undivided: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    taken: usize,
    addresses: HashMap<IpAddr, Address>,
    waiting: VecDeque<(IpAddr, oneshot::Sender<Place>)>,
}

#[derive(Default)]
struct Address {
    taken: usize,
    waiting: usize,
}

/// The decision about a new connection.
pub(crate) enum Entry {
    /// It is served.
    Place(Place),
    /// It is served when others have ended.
    Later(oneshot::Receiver<Place>),
    /// Too many wait already.
    Refused,
}

/// The place of one connection, free again when dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    /// So many at a time. Where one address stands for many people, because a proxy is in front, it
    /// may take all.
    pub(crate) fn new(most: usize, undivided: bool) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_waiting: MAX_WAITING,
            undivided,
            state: Mutex::default(),
        })
    }

    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Entry {
        let mut state = self.state();
        if self.has_room(&state, address) {
            return Entry::Place(self.place(&mut state, address));
        }
        let own = state.addresses.get(&address).map_or(0, |it| it.waiting);
        let free = self.most_waiting.saturating_sub(state.waiting.len());
        if own >= free {
            return Entry::Refused;
        }
        state.of(address).waiting += 1;
        let (sender, receiver) = oneshot::channel();
        state.waiting.push_back((address, sender));
        Entry::Later(receiver)
    }

    fn has_room(&self, state: &State, address: IpAddr) -> bool {
        let own = state.addresses.get(&address).map_or(0, |it| it.taken);
        let free = self.most.saturating_sub(state.taken);
        // The first connection of an address, and the second, need no more than a free place each.
        free > 0 && (self.undivided || own < free || own < ALWAYS)
    }

    fn place(self: &Arc<Self>, state: &mut State, address: IpAddr) -> Place {
        state.taken += 1;
        state.of(address).taken += 1;
        Place {
            places: Arc::clone(self),
            address,
        }
    }

    /// Takes back a place and gives it to the first who waits and may have one.
    fn leave(self: &Arc<Self>, address: IpAddr) {
        let mut state = self.state();
        state.taken = state.taken.saturating_sub(1);
        let own = state.of(address);
        own.taken = own.taken.saturating_sub(1);
        state.forget(address);
        let next = (0..state.waiting.len()).find(|index| {
            let waiting = state.waiting.get(*index);
            waiting.is_some_and(|(address, _)| self.has_room(&state, *address))
        });
        let Some((address, sender)) = next.and_then(|index| state.waiting.remove(index)) else {
            return;
        };
        let own = state.of(address);
        own.waiting = own.waiting.saturating_sub(1);
        let place = self.place(&mut state, address);
        drop(state);
        // Without a receiver, dropping this returns the place, and the next one gets it.
        drop(sender.send(place));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn of(&mut self, address: IpAddr) -> &mut Address {
        self.addresses.entry(address).or_default()
    }

    fn forget(&mut self, address: IpAddr) {
        let unused = |it: &Address| it.taken == 0 && it.waiting == 0;
        if self.addresses.get(&address).is_some_and(unused) {
            self.addresses.remove(&address);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.leave(self.address);
    }
}

/// Connections that wait for a place, of all addresses together and divided among them in the same
/// way.
const MAX_WAITING: usize = 1_000;

/// Connections of an address that need no more than a free place each.
const ALWAYS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = address(1);
    const B: IpAddr = address(2);

    const fn address(number: u8) -> IpAddr {
        IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, number))
    }

    fn take(places: &Arc<Places>, address: IpAddr, times: usize) -> Vec<Place> {
        let entries = (0..times).map(|_| places.enter(address));
        let taken = entries.map_while(|entry| match entry {
            Entry::Place(place) => Some(place),
            Entry::Later(_) | Entry::Refused => None,
        });
        taken.collect()
    }

    // shows: SRV-11
    #[test]
    fn whoever_comes_finds_a_place() {
        let places = Places::new(10_000, false);
        let first = take(&places, A, 20_000);
        assert_eq!(first.len(), 5_000);
        let second = take(&places, B, 20_000);
        assert_eq!(second.len(), 2_500);
        let mut others = Vec::new();
        for number in 100..200 {
            others.push(take(&places, address(number), 20));
        }
        assert!(others.iter().all(|taken| taken.len() == 20));
        drop((first, second, others));
        assert!(places.state().addresses.is_empty());
        assert_eq!(places.state().taken, 0);
    }

    #[test]
    fn where_a_proxy_is_in_front_its_address_is_no_bound() {
        let places = Places::new(100, true);
        assert_eq!(take(&places, A, 200).len(), 100);
    }

    #[tokio::test]
    async fn who_waits_is_served_in_turn_and_those_who_went_are_passed_over() {
        let places = Places::new(4, false);
        let mut taken = take(&places, A, 2);
        let later = |address: IpAddr| match places.enter(address) {
            Entry::Later(receiver) => receiver,
            Entry::Place(_) | Entry::Refused => panic!("{address}"),
        };
        let (gone, waits) = (later(A), later(A));
        drop(gone);
        taken.pop();
        let place = waits.await.unwrap();
        assert_eq!(places.state().taken, 2);
        drop((taken, place));
        assert!(places.state().addresses.is_empty());
    }

    #[test]
    fn few_can_wait_and_nobody_keeps_others_from_it() {
        let places = Places::new(2, false);
        let _taken = take(&places, A, 2);
        let mut waiting = Vec::new();
        let mut wait = |address: IpAddr| {
            let entry = places.enter(address);
            let waits = matches!(entry, Entry::Later(_));
            waiting.push(entry);
            waits
        };
        assert_eq!((0..5_000).filter(|_| wait(A)).count(), MAX_WAITING / 2);
        assert!(wait(B));
        assert!(!wait(A));
    }
}
