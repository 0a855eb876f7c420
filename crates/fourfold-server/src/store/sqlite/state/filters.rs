//! The filters of a user.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::store::Filter;

/// Filters by their numbers.
#[derive(Default)]
pub(in crate::store::sqlite) struct Filters(HashMap<u64, Arc<Filter>>);

impl Filters {
    pub(in crate::store::sqlite) fn get(&self, number: u64) -> Option<&Arc<Filter>> {
        self.0.get(&number)
    }

    /// The number of the filter with this definition.
    pub(in crate::store::sqlite) fn number_of(&self, definition: &Bytes) -> Option<u64> {
        let mut filters = self.0.iter();
        let same = filters.find(|(_, filter)| filter.definition() == definition);
        same.map(|(number, _)| *number)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// About how many bytes the texts take. Prepared, a filter takes about as much again.
    pub(super) fn weight(&self) -> usize {
        self.0.values().map(|it| 2 * it.definition().len()).sum()
    }
}

impl FromIterator<(u64, Arc<Filter>)> for Filters {
    fn from_iter<T: IntoIterator<Item = (u64, Arc<Filter>)>>(filters: T) -> Self {
        Self(filters.into_iter().collect())
    }
}
