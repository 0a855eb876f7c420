//! The published keys of a user, and the counts of one-time keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::store::{DeviceId, KeyCounts, PublishedKeys};

/// What everyone may see of the keys, and what each device may see of its own one-time keys.
#[derive(Default)]
pub(in crate::store::sqlite) struct Keys {
    published: Arc<PublishedKeys>,
    counts: BTreeMap<DeviceId, KeyCounts>,
}

impl Keys {
    pub(in crate::store::sqlite) fn new(
        published: PublishedKeys,
        counts: BTreeMap<DeviceId, KeyCounts>,
    ) -> Self {
        Self {
            published: Arc::new(published),
            counts,
        }
    }

    pub(in crate::store::sqlite) fn published(&self) -> &Arc<PublishedKeys> {
        &self.published
    }

    pub(in crate::store::sqlite) fn counts(&self, device: &DeviceId) -> Option<&KeyCounts> {
        self.counts.get(device)
    }

    pub(super) fn rows(&self) -> usize {
        self.published.devices.len() + self.published.user_signatures.len() + self.counts.len()
    }

    /// About how many bytes the texts take.
    pub(super) fn weight(&self) -> usize {
        let devices = self.published.devices.iter().map(|it| it.keys.len());
        let cross_signing = self.published.cross_signing.iter();
        devices.sum::<usize>() + cross_signing.map(|it| it.content.len()).sum::<usize>()
    }
}
