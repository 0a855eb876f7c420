//! The keys of secret storage that a command is given, or asks for.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::Args;
use fourfold::ProvenKey;
use fourfold::storage::KeyText;
use zeroize::Zeroizing;

use crate::error::Result;
use crate::terminal::input::Source;
use crate::terminal::prompt;

/// Where the keys of secret storage come from. Without any of these, the terminal is asked.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct KeyInput {
    /// Read a recovery key from FILE ("-": standard input); may be given more than once
    #[arg(long, value_name = "FILE")]
    pub(crate) recovery_key_file: Vec<PathBuf>,
    /// Read a recovery key from the open file descriptor N
    #[arg(long, value_name = "N")]
    pub(crate) recovery_key_fd: Vec<u32>,
    /// Read a passphrase from FILE ("-": standard input)
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Vec<PathBuf>,
    /// Read a passphrase from the open file descriptor N
    #[arg(long, value_name = "N")]
    pub(crate) passphrase_fd: Vec<u32>,
    /// Also derive keys with fewer than 100,000 iterations; such a key can only read
    #[arg(long)]
    pub(crate) allow_weak_kdf: bool,
    #[arg(skip)]
    kept: Kept,
}

/// What was given, when something had to be found out with it before the command itself needs it: a
/// file may be a pipe, and a person is asked once.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Option<Vec<Offer>>>>);

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept(..)")
    }
}

impl<'a> From<&'a Offer> for KeyText<'a> {
    fn from(offer: &'a Offer) -> Self {
        match offer {
            Offer::Either(text) => Self::Either(text),
            Offer::Passphrase(text) => Self::Passphrase(text),
            Offer::RecoveryKey(text) => Self::RecoveryKey(text),
        }
    }
}

impl KeyInput {
    /// Returns `true` if a key is given, so that nobody has to be asked.
    pub(crate) fn is_given(&self) -> bool {
        self.recovery_keys()
            .chain(self.passphrases())
            .next()
            .is_some()
    }

    /// Everything that was given, or one answer from the terminal.
    pub(crate) fn offers(&self, question: &str) -> Result<Vec<Offer>> {
        if let Some(kept) = self.lock_kept().take() {
            return Ok(kept);
        }
        let mut offers = Vec::new();
        for source in self.recovery_keys() {
            offers.push(Offer::RecoveryKey(source.line()?));
        }
        for source in self.passphrases() {
            offers.push(Offer::Passphrase(source.line()?));
        }
        if offers.is_empty() {
            let hint =
                "use --recovery-key-file or --passphrase-file; if both are lost: fourfold recover";
            offers.push(Offer::Either(prompt::hidden(question, hint)?));
        }
        Ok(offers)
    }

    /// The same, which [`offers`](Self::offers) then gives once more.
    pub(crate) fn keep_offers(&self, question: &str) -> Result<Vec<Offer>> {
        let offers = self.offers(question)?;
        *self.lock_kept() = Some(offers.clone());
        Ok(offers)
    }

    /// Gives a key that was found to who asks next.
    pub(crate) fn keep(&self, key: &ProvenKey) {
        let offer = Offer::RecoveryKey(key.key().expose_recovery_key());
        *self.lock_kept() = Some(vec![offer]);
    }

    fn lock_kept(&self) -> MutexGuard<'_, Option<Vec<Offer>>> {
        self.kept.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`offers`](Self::offers), but two answers from the terminal.
    pub(crate) fn offers_twice(&self, first: &str, second: &str) -> Result<Vec<Offer>> {
        let is_asked = !self.is_given();
        let mut offers = self.offers(first)?;
        if is_asked {
            offers.extend(self.offers(second)?);
        }
        Ok(offers)
    }

    fn recovery_keys(&self) -> impl Iterator<Item = Source> {
        let files = self.recovery_key_file.iter().map(|path| Source::of(path));
        files.chain(
            self.recovery_key_fd
                .iter()
                .map(|fd| Source::Descriptor(*fd)),
        )
    }

    fn passphrases(&self) -> impl Iterator<Item = Source> {
        let files = self.passphrase_file.iter().map(|path| Source::of(path));
        files.chain(self.passphrase_fd.iter().map(|fd| Source::Descriptor(*fd)))
    }
}

/// The key material that the user gave.
#[derive(Clone)]
pub(crate) enum Offer {
    /// Typed at the prompt: a recovery key if it reads as one, else a passphrase.
    Either(Zeroizing<String>),
    Passphrase(Zeroizing<String>),
    RecoveryKey(Zeroizing<String>),
}

impl Offer {
    /// As it was given.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Either(text) | Self::Passphrase(text) | Self::RecoveryKey(text) => text,
        }
    }
}
