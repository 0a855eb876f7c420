//! Making a new key, and getting its recovery key to its owner before anything depends on it.

use fourfold::NewKey;
use fourfold::passphrase::{Passphrase, PassphraseParameters};
use fourfold_client::Session;

use crate::error::{Error, Result};
use crate::keys::emergency_kit::EmergencyKit;
use crate::keys::new_passphrase;
use crate::keys::random::rng;
use crate::options::{ChangeOptions, NewKeyOptions};
use crate::terminal::shown::wiped;
use crate::terminal::{messages, output, prompt};

/// Makes a key from random bytes, or from a passphrase if one was asked for.
pub(crate) fn make(options: &NewKeyOptions) -> Result<NewKey> {
    let name = options.name.as_deref();
    match new_passphrase::read(options)? {
        None => Ok(NewKey::random(name, &mut rng())),
        Some(passphrase) => of_passphrase(&passphrase, options),
    }
}

/// Makes a key from a passphrase that opens an earlier key already, which must be good enough.
pub(crate) fn make_keeping(passphrase: &str, options: &NewKeyOptions) -> Result<NewKey> {
    of_passphrase(&new_passphrase::check(passphrase, options)?, options)
}

fn of_passphrase(passphrase: &Passphrase, options: &NewKeyOptions) -> Result<NewKey> {
    let name = options.name.as_deref();
    let parameters = PassphraseParameters::random(&mut rng());
    let _busy = messages::busy("deriving the key from the passphrase");
    NewKey::from_passphrase(passphrase, &parameters, name, &mut rng()).map_err(Error::usage)
}

/// Refuses early when there is no way to hand over a recovery key.
pub(crate) fn check_delivery(options: &NewKeyOptions, change: ChangeOptions) -> Result<()> {
    if change.dry_run {
        return Ok(());
    }
    let files = [&options.recovery_key_out, &options.kit];
    files
        .into_iter()
        .flatten()
        .try_for_each(|path| output::check_new_file(path))?;
    if files.iter().all(|file| file.is_none()) && !prompt::is_possible() {
        return Err(
            Error::usage("there is no terminal to show the new recovery key on")
                .hint("use --recovery-key-out FILE or --kit FILE"),
        );
    }
    Ok(())
}

/// Hands the recovery key over: into files, or on the terminal until its owner has it on paper.
pub(crate) fn deliver(new: &NewKey, options: &NewKeyOptions, session: &Session) -> Result<()> {
    let recovery_key = new.key().key().expose_recovery_key();
    if let Some(path) = &options.recovery_key_out {
        output::secret_file(path, &wiped(format_args!("{}\n", *recovery_key)))?;
        messages::say(format_args!("the recovery key is in {}", path.display()));
    }
    if let Some(path) = &options.kit {
        let name = new.description().name();
        let kit = EmergencyKit {
            user_id: &session.user_id,
            homeserver: Some(&session.homeserver),
            key_id: new.key().id(),
            key_name: name.as_deref(),
            recovery_key: &recovery_key,
        };
        kit.to_html()
            .and_then(|html| output::secret_file(path, &html))
            .inspect_err(|_| {
                // Nothing is changed now: a recovery key that opens nothing would only confuse.
                if let Some(path) = &options.recovery_key_out {
                    let _ = std::fs::remove_file(path);
                }
            })?;
        messages::say(format_args!("print {} and delete it", path.display()));
    }
    if options.recovery_key_out.is_some() || options.kit.is_some() {
        return Ok(());
    }
    prompt::show(&[
        "",
        &format!("The recovery key of {}:", new.key().id()),
        "",
        &wiped(format_args!("    {}", *recovery_key)),
        "",
        "It opens everything. Write it down on paper and keep it in a safe place.",
    ])?;
    let last_group = recovery_key.rsplit(' ').next().unwrap_or_default();
    for _ in 0..3 {
        if prompt::visible("To continue, type its last group of four characters:")? == last_group {
            return Ok(());
        }
    }
    Err(Error::refused(
        "the recovery key was not confirmed; nothing was changed",
    ))
}
