//! The key of secret storage that everything goes under: given by the user, or made.

use fourfold::judged::Judged;
use fourfold::plan::{BootstrapKey, KeyChoice};

use super::options::Options;
use crate::error::{Error, Result};
use crate::keys::new_key;
use crate::storage::unlock;
use crate::terminal::prompt;

/// The key that is there, which must be given; or a new one.
pub(super) fn find(snapshot: &Judged, options: &Options) -> Result<BootstrapKey> {
    let choice = KeyChoice::decide(&snapshot.storage());
    if matches!(choice, Ok(KeyChoice::Create)) || is_lost(options)? {
        new_key::check_delivery(&options.new, options.change)?;
        return Ok(BootstrapKey::New(new_key::make(&options.new)?));
    }
    match choice? {
        KeyChoice::Unlock(candidates) if !candidates.is_empty() => {
            let found = unlock::one_of(snapshot, &candidates.into(), &options.input)?;
            Ok(BootstrapKey::Existing(unlock::prove(snapshot, found)?))
        }
        _ => Err(Error::refused(
            "secret storage holds secrets, and no usable description of a key",
        )
        .hint(
            "with the right key: fourfold doctor --fix --recovery-key-file FILE; if it is lost: \
             fourfold recover",
        )),
    }
}

/// Whether no key is left: then the identity is replaced, and so is the key of secret storage.
fn is_lost(options: &Options) -> Result<bool> {
    if !options.reset_identity || options.input.is_given() {
        return Ok(false);
    }
    if options.change.yes || options.change.dry_run || !prompt::is_possible() {
        return Ok(true);
    }
    let question = "Do you have the recovery key or the passphrase of secret storage? [y/N]";
    Ok(!prompt::is_yes(&prompt::visible(question)?))
}
