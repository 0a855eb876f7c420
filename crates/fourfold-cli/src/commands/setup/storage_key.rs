//! The key of secret storage that everything goes under: given by the user, or made.

use fourfold::judged::Judged;
use fourfold::plan::{BootstrapKey, KeyChoice};

use super::options::Options;
use crate::error::Result;
use crate::keys::new_key;
use crate::storage::unlock;

/// The key that is there, which must be given; or a new one.
pub(super) fn find(snapshot: &Judged, options: &Options) -> Result<BootstrapKey> {
    match KeyChoice::decide(&snapshot.storage())? {
        KeyChoice::Create => {
            new_key::check_delivery(&options.new, options.change)?;
            Ok(BootstrapKey::New(new_key::make(&options.new)?))
        }
        KeyChoice::Unlock(candidates) => {
            let found = unlock::one_of(snapshot, &candidates, &options.input)?;
            Ok(BootstrapKey::Existing(unlock::prove(snapshot, found)?))
        }
    }
}
