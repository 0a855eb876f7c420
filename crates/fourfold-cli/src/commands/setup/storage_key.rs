//! The key of secret storage that everything goes under.

use fourfold::{NewKey, ProvenKey};

use super::options::Options;
use crate::error::Result;
use crate::keys::new_key;
use crate::storage::judged::Judged;
use crate::storage::unlock;

/// The key that everything goes under.
pub(super) enum StorageKey {
    Existing(ProvenKey),
    New(NewKey),
}

impl StorageKey {
    /// The key that is there, which must be given; or a new one when nothing is or was there.
    pub(super) fn find(snapshot: &Judged, options: &Options) -> Result<Self> {
        let storage = snapshot.storage();
        if storage.is_untouched() {
            new_key::check_delivery(&options.new, options.change)?;
            return Ok(Self::New(new_key::make(&options.new)?));
        }
        let mut candidates: Vec<_> = storage.keys().collect();
        // Without a default, one of the others is what an interrupted set-up has left.
        if storage.default_key().key_id().is_some() {
            candidates.truncate(1);
        }
        let found = unlock::one_of(snapshot, &candidates, &options.input)?;
        Ok(Self::Existing(unlock::prove(snapshot, found)?))
    }

    pub(super) fn proven(&self) -> &ProvenKey {
        match self {
            Self::Existing(key) => key,
            Self::New(new) => new.key(),
        }
    }
}
