//! The password of the account, for what a homeserver does only when the user is there.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use clap::Args;
use fourfold_client::Password;

use crate::error::Result;
use crate::keys::login_password;
use crate::terminal::input::Source;
use crate::terminal::prompt;

/// Where the password of the account comes from. Without any of these, the terminal is asked, and
/// only when the homeserver wants it.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PasswordOptions {
    /// Read the password of the account from FILE ("-": standard input)
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Read the password of the account from the open file descriptor N
    #[arg(long, value_name = "N")]
    password_fd: Option<u32>,
    /// The password that was read: a descriptor can be read only once.
    #[arg(skip)]
    known: OnceLock<Arc<Password>>,
}

impl PasswordOptions {
    /// Reads the password if it was given and nobody has to be asked for it. So, what is wrong with
    /// it is said before anything is written.
    pub(crate) fn read_if_given(&self) -> Result<()> {
        if self.source().is_some() {
            self.read()?;
        }
        Ok(())
    }

    /// Reads the password, or asks for it. Refused when it is the passphrase that was chosen for a
    /// new key.
    pub(crate) fn read(&self) -> Result<Arc<Password>> {
        if let Some(password) = self.known.get() {
            return Ok(Arc::clone(password));
        }
        let text = match self.source() {
            Some(source) => source.line()?,
            None => prompt::hidden("Password of the account", "use --password-file")?,
        };
        login_password::remember(&text)?;
        let password = Arc::new(Password::new(text.as_str()));
        Ok(Arc::clone(self.known.get_or_init(|| password)))
    }

    fn source(&self) -> Option<Source> {
        Source::given(self.password_file.as_deref(), self.password_fd)
    }
}
