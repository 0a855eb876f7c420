//! The first key of secret storage, and nothing else.

use fourfold::SecretStorage;
use fourfold::plan::{self, SetUpError};

use super::Options;
use crate::account::LoggedIn;
use crate::account::change::Report;
use crate::arguments::Global;
use crate::error::{Error, Exit, Result};
use crate::keys::new_key;

/// Makes the first key and the default. Refuses when anything is or was there.
pub(super) fn run(global: &Global, logged_in: &mut LoggedIn, options: &Options) -> Result<()> {
    let (how, change) = (&options.new, options.change);
    let snapshot = logged_in.snapshot_for_change(options.accept)?;
    let storage = SecretStorage::new(&snapshot.account_data);
    if !storage.is_untouched() {
        return Err(SetUpError::AlreadySetUp.into());
    }
    new_key::check_delivery(how, change)?;
    let new = new_key::make(how)?;
    let plan = plan::set_up(&storage, &new)?;
    let cleared = snapshot.clear(&plan);
    if !new_key::introduce(global, logged_in, cleared, &new, how, change)? {
        return Ok(());
    }
    Report::of(&plan).with_new_key(new.key().id()).print(
        global,
        "secret storage is set up; fourfold put stores a secret",
    )
}

impl From<SetUpError> for Error {
    fn from(error: SetUpError) -> Self {
        Self::new(Exit::Refused, error).hint(
            "fourfold status shows what is there; fourfold key new --default starts over with a \
             new key and deletes nothing",
        )
    }
}
