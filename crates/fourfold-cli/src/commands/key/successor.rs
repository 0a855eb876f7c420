//! The key that takes the place of others: with a passphrase when they had one, unless its owner says
//! otherwise.

use fourfold::{KeyId, NewKey, SecretStorage, recovery_key};

use crate::error::{Error, Result};
use crate::keys::new_key;
use crate::options::{NewKeyOptions, Offer};
use crate::terminal::{messages, prompt};

/// What decides about the passphrase of a new key.
pub(super) struct Successor<'a> {
    pub(super) old: &'a SecretStorage<'a>,
    pub(super) keys: Vec<&'a KeyId>,
    /// The passphrase that was given stays the passphrase.
    pub(super) keeps: bool,
    /// There is to be none.
    pub(super) drops: bool,
    /// Whether a person can be asked.
    pub(super) asks: bool,
}

impl Successor<'_> {
    /// Makes the new key. That a passphrase opens nothing any more is never left unsaid.
    pub(super) fn make(&self, given: &[Offer], options: &NewKeyOptions) -> Result<NewKey> {
        if self.keeps {
            let passphrase = passphrase(given).ok_or_else(|| {
                Error::usage("the old key was not given by its passphrase, which is to be kept")
                    .hint("use --passphrase-file, or --new-passphrase")
            })?;
            return new_key::make_keeping(passphrase, options);
        }
        let is_chosen = options.chooses_passphrase() || options.generate_passphrase;
        if is_chosen || self.drops || !self.had_passphrase() {
            return new_key::make(options);
        }
        if !self.asks {
            messages::warn(
                "the passphrase of the old key opens nothing any more, and the new key has none: \
                 only its recovery key opens it (--keep-passphrase, --new-passphrase or \
                 --no-passphrase says which you want)",
            );
            return new_key::make(options);
        }
        messages::say("a passphrase opens the old key");
        if let Some(passphrase) = passphrase(given)
            && prompt::is_yes(&prompt::visible("Keep it for the new key? [y/N]")?)
        {
            return new_key::make_keeping(passphrase, options);
        }
        let options = NewKeyOptions {
            new_passphrase: prompt::is_yes(&prompt::visible(
                "Choose a new passphrase? Without one, only the recovery key opens it. [y/N]",
            )?),
            ..options.clone()
        };
        new_key::make(&options)
    }

    fn had_passphrase(&self) -> bool {
        let mut keys = self.keys.iter();
        keys.any(|id| {
            let description = self.old.key(id);
            description.is_ok_and(|description| description.passphrase().is_some())
        })
    }
}

/// The passphrase among what was given.
fn passphrase(given: &[Offer]) -> Option<&str> {
    given.iter().find_map(|offer| match offer {
        Offer::Passphrase(text) => Some(text.as_str()),
        Offer::Either(text) if recovery_key::decode(text).is_err() => Some(text.as_str()),
        _ => None,
    })
}
