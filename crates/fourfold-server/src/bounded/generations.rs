//! A bounded map: when the young half is full, it becomes the old half and the old half is dropped.
//!
//! An entry that is used moves to the young half, so what is in use stays. That is close to
//! least-recently-used at the price of two hash maps and no list.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// A map that holds entries up to a total weight.
pub(crate) struct Generations<K, V> {
    young: HashMap<K, V>,
    young_weight: usize,
    old: HashMap<K, V>,
    old_weight: usize,
    half: usize,
}

impl<K: Eq + Hash, V> Generations<K, V> {
    /// A map that holds at most about `capacity` in weight.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            young: HashMap::new(),
            young_weight: 0,
            old: HashMap::new(),
            old_weight: 0,
            half: (capacity / 2).max(1),
        }
    }

    /// The entry of `key`, which counts as used; `weigh` is asked when the entry moves.
    pub(crate) fn entry<Q>(&mut self, key: &Q, weigh: impl FnOnce(&V) -> usize) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            let weight = weigh(&value);
            self.insert(key, value, weight);
        }
        self.young.get_mut(key)
    }

    /// Puts an entry in; it may push out the older half.
    pub(crate) fn insert(&mut self, key: K, value: V, weight: usize) {
        self.old.remove(&key);
        if self.young_weight.saturating_add(weight) > self.half {
            self.turn();
        }
        self.young_weight = self.young_weight.saturating_add(weight);
        self.young.insert(key, value);
    }

    /// Takes an entry out.
    pub(crate) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        // The weight stays counted until the next turn. The bound holds all the same.
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    /// The entry of `key`, which does not count as used.
    #[cfg(test)]
    pub(crate) fn peek(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// The number of entries.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Notes that an entry grew by `weight`.
    pub(crate) fn grow(&mut self, weight: usize) {
        self.young_weight = self.young_weight.saturating_add(weight);
        if self.young_weight > self.half {
            self.turn();
        }
    }

    /// What the entries weigh, or more: what was moved or taken out counts until the halves turn.
    pub(crate) fn weight(&self) -> usize {
        self.young_weight.saturating_add(self.old_weight)
    }

    /// Drops the older half; what was not used since the turn before is gone.
    pub(crate) fn turn(&mut self) {
        self.old = std::mem::take(&mut self.young);
        self.old_weight = std::mem::take(&mut self.young_weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_no_more_than_its_capacity() {
        let mut map = Generations::new(100);
        for key in 0..10_000 {
            map.insert(key, (), 1);
            assert!(map.young.len() + map.old.len() <= 102);
            assert!(map.weight() >= map.len() && map.weight() <= 102);
        }
    }

    #[test]
    fn keeps_what_is_in_use() {
        let mut map = Generations::new(100);
        map.insert("used".to_owned(), 1, 1);
        for key in 0..1_000 {
            map.insert(key.to_string(), 0, 1);
            assert_eq!(map.entry("used", |_| 1).copied(), Some(1));
        }
    }
}
