//! The first key of secret storage, and nothing else.

use fourfold::SecretStorage;
use fourfold::plan::{self, SetUpError};

use super::options::Options;
use crate::account::{LoggedIn, change};
use crate::error::Result;
use crate::keys::new_key;
use crate::options::Global;

/// Makes the first key and the default. Refuses when a key or a secret is there.
pub(super) fn run(global: &Global, logged_in: &mut LoggedIn, options: &Options) -> Result<()> {
    let (how, change) = (&options.new, options.change);
    let snapshot = logged_in.snapshot_for_change(options.accept)?;
    let storage = SecretStorage::new(&snapshot.account_data);
    if !storage.holds_nothing() {
        return Err(SetUpError::AlreadySetUp.into());
    }
    new_key::check_delivery(how, change)?;
    let new = new_key::make(how)?;
    let plan = plan::set_up(&storage, &new)?;
    let cleared = snapshot.clear(&plan);
    match change::introduce(global, logged_in, cleared, &new, how, change)? {
        None => Ok(()),
        Some(report) => report.print(
            global,
            "secret storage is set up; fourfold put stores a secret",
        ),
    }
}
