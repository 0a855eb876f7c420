//! The keys of secret storage that a command is given, or asks for.

use std::path::PathBuf;

use clap::Args;
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
        let mut offers = Vec::new();
        for source in self.recovery_keys() {
            offers.push(Offer::RecoveryKey(source.line()?));
        }
        for source in self.passphrases() {
            offers.push(Offer::Passphrase(source.line()?));
        }
        if offers.is_empty() {
            let hint = "use --recovery-key-file or --passphrase-file";
            offers.push(Offer::Either(prompt::hidden(question, hint)?));
        }
        Ok(offers)
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
