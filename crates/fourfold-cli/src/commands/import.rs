//! `fourfold import`: store the secrets of a file that `fourfold export` wrote.

use std::path::PathBuf;

use clap::Args;
use fourfold::judged::{self, Judged};
use fourfold::passphrase::Budget;
use fourfold::plan::{self, ImportChoices, ImportError};
use fourfold::storage::FoundKey;
use fourfold::{OpenError, SecretName};
use fourfold_client::escape_untrusted;

use crate::account::{self, change};
use crate::error::{Error, Exit, Result};
use crate::keys::random::rng;
use crate::options::{AcceptOptions, ChangeOptions, Global, Offer, UnlockOptions};
use crate::storage::unlock::{self, Candidates};

/// Options of `import`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The file that fourfold export wrote; another snapshot of an account will do
    file: PathBuf,
    /// The names of the secrets [default: all in the file]
    names: Vec<String>,
    /// Omit what does not match the published identity or key backup, instead of refusing the file
    #[arg(long)]
    matching_only: bool,
    /// Replace different values that the account has
    #[arg(long)]
    replace: bool,
    /// Import secrets of a different account
    #[arg(long)]
    other_account: bool,
    #[command(flatten)]
    unlock: UnlockOptions,
    #[command(flatten)]
    change: ChangeOptions,
    #[command(flatten)]
    accept: AcceptOptions,
}

/// Opens the file with one of the keys, and stores its secrets under the account's key, which is
/// another one of them.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let file = account::in_file(&options.file)?;
    // A file is what the user says it is; what it holds is compared below.
    let file = judged::Compared::default().for_opening(file, None);
    let file = file.map_err(|refused| refused.suspicious)?;
    let names = options.names.iter().map(SecretName::new);
    let names = names.collect::<std::result::Result<Vec<_>, _>>();
    let names = names.map_err(Error::usage)?;
    let choices = ImportChoices {
        matching_only: options.matching_only,
        other_user: options.other_account,
        replace: options.replace,
    };
    let input = &options.unlock.input;
    change::make(global, options.change, options.accept, |snapshot| {
        let candidates = unlock::writing_candidates(snapshot, &options.unlock)?;
        let offers = input.offers_twice(
            "Recovery key or passphrase of the file",
            "Recovery key or passphrase of the account",
        )?;
        let mut budget = unlock::budget(input);
        let in_file = Candidates::all(&file.storage());
        let sealed = first(&file, offers.iter(), &in_file, &mut budget)
            .map_err(|error| about("the file", error).hint(OF_FILE))?;
        let own = first(snapshot, offers.iter().rev(), &candidates, &mut budget)
            .map_err(|error| about("the account", error))?;
        let key = unlock::prove(snapshot, own)?;
        let file = (&*file, &sealed.key);
        plan::import(snapshot, file, &names, &key, choices, &mut rng()).map_err(refusal)
    })
}

/// The first of the offers that is one of these keys.
fn first<'a>(
    snapshot: &Judged,
    offers: impl Iterator<Item = &'a Offer>,
    candidates: &Candidates,
    budget: &mut Budget,
) -> Result<FoundKey> {
    let mut failed = Error::usage("no key was given");
    for offer in offers {
        match unlock::find(snapshot, offer, candidates, budget) {
            Ok(found) => return Ok(found),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Why nothing was imported, and what the user can do.
fn refusal(error: ImportError) -> Error {
    if let ImportError::Store(error) = error {
        return error.into();
    }
    let (exit, hint) = match &error {
        ImportError::Differs { .. } => (
            Exit::Conflict,
            "to keep the account's value, name the other secrets of the file; to replace it: --replace",
        ),
        ImportError::Open { error, .. } => match error {
            OpenError::WrongKey => (Exit::WrongKey, CONTENTS),
            OpenError::Entry(_) | OpenError::Damaged(_) => (
                Exit::Corrupt,
                "the file was changed or damaged; name the secrets that are to be imported",
            ),
            _ => (Exit::Refused, CONTENTS),
        },
        ImportError::OtherUser { .. } => (
            Exit::Conflict,
            "check which account is meant: --account; to take secrets of a different account: \
             --other-account",
        ),
        ImportError::Value { .. } => (
            Exit::NotVerified,
            "the identity or the key backup was replaced since the export; to import the rest: \
             --matching-only",
        ),
        _ => (Exit::Refused, CONTENTS),
    };
    Error::new(exit, escape_untrusted(&error.to_string())).hint(hint)
}

const OF_FILE: &str = "it was shown or written when the file was exported; fourfold key check \
    --snapshot FILE tells whether a recovery key is that of a file";

const CONTENTS: &str = "fourfold ls --snapshot FILE lists what a file has";

/// Two keys are asked for: which one is missing.
fn about(what: &str, error: Error) -> Error {
    Error {
        message: format!("the key of {what}: {}", error.message),
        ..error
    }
}
