//! `fourfold setup`: the first key of secret storage.

use clap::Args;
use fourfold::{
    SecretStorage,
    plan::{self, SetUpError},
};

use crate::{
    account::LoggedIn,
    arguments::{ChangeOptions, Global, NewKeyOptions},
    error::{Error, Exit, Result},
    new_key, output, ui,
};

/// Options of `setup`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    new: NewKeyOptions,
    #[command(flatten)]
    change: ChangeOptions,
}

/// Makes the first key and the default. Refuses when anything is or was there.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let mut logged_in = LoggedIn::open(global)?;
    let snapshot = logged_in.snapshot_for_change()?;
    let storage = SecretStorage::new(&snapshot.account_data);
    if !storage.is_untouched() {
        return Err(SetUpError::AlreadySetUp.into());
    }
    new_key::check_delivery(&options.new, options.change)?;
    let new = new_key::make(&options.new)?;
    let plan = plan::set_up(&storage, &new)?;
    let (how, change) = (&options.new, options.change);
    if !new_key::introduce(global, &mut logged_in, &plan, &new, how, change)? {
        return Ok(());
    }
    if global.json {
        return output::json(&serde_json::json!({"key_id": new.key().id()}));
    }
    ui::say("secret storage is set up; fourfold put stores a secret");
    Ok(())
}

impl From<SetUpError> for Error {
    fn from(error: SetUpError) -> Self {
        Self::new(Exit::Refused, error).hint(
            "fourfold status shows what is there; fourfold key new --default starts over with a \
             new key and deletes nothing",
        )
    }
}
