//! `fourfold device`: the user's devices, and which of them are to be trusted.

mod emoji;
mod ls;
mod remove;
mod sign;
mod verify;

use clap::Subcommand;
use fourfold::cross_signing::KnownKeys;
use fourfold::{Evidence, SecretName, SecretStorage, SecretStorageKey, SecretValueError, Verdict};

use crate::arguments::Global;
use crate::error::{Error, Exit, Result};
use crate::terminal::messages;

/// What to do with the devices.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the devices, and tell which are verified and why not
    Ls(ls::Options),
    /// Verify this device with a recovery key or a passphrase, or another one by emoji
    #[command(
        after_help = "Examples:\n  fourfold device verify               asks for the recovery key\n  fourfold device verify --recovery-key-file key.txt --store-key-file state.key\n  fourfold device verify JLAFKJWSCS    compares emoji with that device\n  fourfold device verify --emoji       waits until another device asks for it"
    )]
    Verify(verify::Options),
    /// Sign another device of yours, whose fingerprint you have compared
    #[command(
        after_help = "The fingerprint is shown on the other device, as its session key.\n\nExample:\n  fourfold device sign JLAFKJWSCS --fingerprint \"xmiq 5L4p ...\""
    )]
    Sign(sign::Options),
    /// Log a device out and forget it
    #[command(after_help = "Example:\n  fourfold device rm JLAFKJWSCS")]
    Rm(remove::Options),
}

pub(crate) fn run(global: &Global, command: &Command) -> Result<()> {
    match command {
        Command::Ls(options) => ls::run(global, options),
        Command::Verify(options) => verify::run(global, options),
        Command::Sign(options) => sign::run(global, options),
        Command::Rm(options) => remove::run(global, options),
    }
}

/// The private keys of the published identity that a key of secret storage opens.
///
/// # Errors
///
/// [`Exit::NotVerified`] when one of them belongs to another identity: then something is wrong, and
/// nothing is signed.
fn private_keys(
    storage: &SecretStorage<'_>,
    key: &SecretStorageKey,
    evidence: &Evidence,
) -> Result<Opened> {
    let mut opened = Opened::default();
    for name in [
        SecretName::master_key(),
        SecretName::self_signing_key(),
        SecretName::user_signing_key(),
    ] {
        let secret = match storage.open(&name, key) {
            Ok(found) => found.secret,
            Err(error) => {
                messages::warn(format_args!("{name}: {error}"));
                continue;
            }
        };
        opened.names.push(name.clone());
        match evidence.judge(&name, &secret) {
            Ok(Verdict::Matches { .. }) => {
                opened
                    .keys
                    .learn(&name, &secret, evidence)
                    .map_err(Error::usage)?;
            }
            Ok(_) => messages::warn(format_args!("{name}: the homeserver publishes no such key")),
            Err(error) => opened.mismatch = Some((name, error)),
        }
    }
    Ok(opened)
}

/// What a key of secret storage opens of an identity.
#[derive(Default)]
struct Opened {
    /// The keys that belong to what is published.
    keys: KnownKeys,
    /// The secrets that opened.
    names: Vec<SecretName>,
    /// A secret that belongs to another identity.
    mismatch: Option<(SecretName, SecretValueError)>,
}

impl Opened {
    /// The keys, unless one of them belongs to another identity or none is of use.
    fn checked(self) -> Result<KnownKeys> {
        if let Some((name, error)) = self.mismatch {
            return Err(Error::new(
                Exit::NotVerified,
                format!(
                    "{name} does not belong to the published identity: {error}; nothing was signed"
                ),
            )
            .hint(
                "the identity was replaced since it was stored, or the homeserver shows a false \
                 one: compare it on another device",
            ));
        }
        if self.keys.self_signing_key().is_none() {
            return Err(Error::new(
                Exit::NotVerified,
                "the key does not open m.cross_signing.self_signing, so nothing can be signed",
            )
            .hint("fourfold status shows which keys open what; fourfold setup completes what is missing"));
        }
        Ok(self.keys)
    }
}
