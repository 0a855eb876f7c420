//! A default key that opens what is there and whose description is gone: it is described again before
//! anything else.

use fourfold::judged::Writable;

use super::options::Options;
use crate::account::{LoggedIn, change};
use crate::error::Result;
use crate::options::{Global, UnlockOptions};
use crate::storage::unlock;

/// The account with a default key that is described, or nothing when the user does not go on.
pub(super) fn describe(
    global: &Global,
    logged_in: &mut LoggedIn,
    snapshot: Writable,
    options: &Options,
) -> Result<Option<Writable>> {
    // Who lost the key is not asked for it.
    if options.reset_identity && !options.input.is_given() {
        return Ok(Some(snapshot));
    }
    let named = snapshot.storage().default_key().named().cloned();
    let Some(id) = named.filter(|id| snapshot.storage().undescribed_keys().contains(id)) else {
        return Ok(Some(snapshot));
    };
    let unlock = UnlockOptions {
        input: options.input.clone(),
        key: Some(id.as_str().to_owned()),
    };
    let described = unlock::one_described(&snapshot, &unlock)?;
    if !change::agree(global, &described.plan, options.change)? {
        return Ok(None);
    }
    change::apply(logged_in, snapshot.clear(&described.plan))?;
    // Setup itself needs the key too, and nobody is asked twice.
    options.input.keep(&described.key);
    let snapshot = logged_in.snapshot_to_change(&options.input, options.accept)?;
    Ok(Some(snapshot))
}
