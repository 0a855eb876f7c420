//! Counters of reads of the file, for the tests that compare the work of requests.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts.
#[derive(Debug, Default)]
pub(super) struct Counter {
    reads: AtomicUsize,
    loads: AtomicUsize,
}

impl Counter {
    pub(super) fn reads(&self) {
        self.reads.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn loads(&self) {
        self.loads.fetch_add(1, Ordering::SeqCst);
    }

    /// The number of reads of the file, and of reads of all rows of an account.
    pub(super) fn counts(&self) -> [usize; 2] {
        [&self.reads, &self.loads].map(|count| count.load(Ordering::SeqCst))
    }
}
