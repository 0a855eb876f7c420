//! The key that seals what this device keeps on disk, and where it comes from.
//!
//! The keyring of the operating system holds it where there is one; else it is derived from a
//! passphrase, or lies in a file of its own. Which of them it is stands beside the state of the
//! account, so that later commands need no options.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use clap::Args;
use fourfold::base64;
use fourfold_client::{Device, DeviceError, LocalState, Remembered, SealingKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{Error, Exit, Result};
use crate::keys::random::rng;
use crate::terminal::input::Source;
use crate::terminal::shown::wiped;
use crate::terminal::{messages, output, prompt};

/// Where the key comes from. Without any of these, from where it came the last time; the first
/// time, from the keyring of the operating system.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SealingOptions {
    /// Keep the key that seals this device's state in FILE, which is created if it does not exist
    #[arg(
        long,
        value_name = "FILE",
        env = "FOURFOLD_STORE_KEY_FILE",
        hide_env_values = true
    )]
    pub(crate) store_key_file: Option<PathBuf>,
    /// Seal this device's state with a passphrase, read from FILE ("-": standard input)
    #[arg(long, value_name = "FILE")]
    pub(crate) store_passphrase_file: Option<PathBuf>,
}

/// A key, and where it came from.
pub(crate) struct Sealing {
    key: SealingKey,
    /// Whether something of this very log-in is sealed already, so that the key must open it.
    is_in_use: bool,
    note: Note,
    path: PathBuf,
}

impl Sealing {
    /// Opens this device. Where the key came from is noted for the next time once it proved right,
    /// and not before: a mistyped option must not be what later commands go by.
    pub(crate) fn open(self, state: &mut LocalState) -> Result<Unsealed> {
        match Device::open(state, &self.key) {
            Err(DeviceError::NoKeys | DeviceError::OtherDevice) => Ok(Unsealed::Earlier(self)),
            Err(DeviceError::WrongKey) if !self.is_in_use => Ok(Unsealed::Nothing(self)),
            device => {
                let device = Box::new(device?);
                self.remember()?;
                Ok(Unsealed::Device(device, self.key))
            }
        }
    }

    /// The history of the account on this machine.
    pub(crate) fn remembered(&self, state: &LocalState) -> Result<Remembered> {
        Ok(Remembered::of(state, &self.key)?)
    }

    /// The key, to seal this device with from now on: noted before that, because what is derived
    /// with a salt that nobody knows is lost.
    pub(crate) fn for_new_device(self) -> Result<SealingKey> {
        self.remember()?;
        Ok(self.key)
    }

    fn remember(&self) -> Result<()> {
        self.note.write(&self.path)
    }
}

/// The state that a key opened.
pub(crate) enum Unsealed {
    /// This device.
    Device(Box<Device>, SealingKey),
    /// The state left by an earlier log-in; this one has no keys.
    Earlier(Sealing),
    /// Nothing: an earlier log-in used another key.
    Nothing(Sealing),
}

/// The key for the state of an account. It is made the first time.
///
/// # Errors
///
/// A keyring that cannot be used, a file that others can read, no terminal to ask for a passphrase.
/// Whether it is the right key shows when something is opened with it.
pub(crate) fn find(state: &LocalState, options: &SealingOptions) -> Result<Sealing> {
    let path = state.path().with_extension("sealing");
    let noted = Note::read(&path)?;
    let device_id = state.session()?.and_then(|session| session.device_id);
    // State sealed by an earlier log-in is of no use to this one.
    let is_in_use = Device::exists(state)?
        && noted
            .as_ref()
            .is_none_or(|note| note.device_id == device_id);
    let noted = noted.map(|note| note.origin);
    let wanted = match (&options.store_passphrase_file, &options.store_key_file) {
        (Some(_), _) => match noted {
            Some(noted @ Origin::Passphrase { .. }) => Some(noted),
            _ if is_in_use => return Err(sealed_otherwise()),
            _ => Some(Origin::new_passphrase()),
        },
        (None, Some(file)) => Some(Origin::File {
            path: std::path::absolute(file)?,
        }),
        (None, None) => noted,
    };
    let (origin, key) = match wanted {
        Some(origin) => {
            let key = origin.key(state, options, is_in_use)?;
            (origin, key)
        }
        None if is_in_use => return Err(sealed_otherwise()),
        None => first(state, options)?,
    };
    Ok(Sealing {
        key,
        is_in_use,
        note: Note { device_id, origin },
        path,
    })
}

/// Whether [`find`] would ask for a passphrase.
pub(crate) fn asks(state: &LocalState, options: &SealingOptions) -> Result<bool> {
    if options.store_passphrase_file.is_some() || options.store_key_file.is_some() {
        return Ok(false);
    }
    let noted = Note::read(&state.path().with_extension("sealing"))?;
    Ok(noted.is_some_and(|noted| matches!(noted.origin, Origin::Passphrase { .. })))
}

fn sealed_otherwise() -> Error {
    Error::usage("the key that seals this device's state was not given")
        .hint("give it with --store-key-file; or log out and in again to get new keys")
}

/// The first time, with nothing said: the keyring, or a passphrase where there is none.
fn first(state: &LocalState, options: &SealingOptions) -> Result<(Origin, SealingKey)> {
    let refused = match Origin::Keyring.key(state, options, false) {
        Ok(key) => return Ok((Origin::Keyring, key)),
        Err(error) => error,
    };
    if !prompt::is_possible() {
        return Err(refused);
    }
    messages::warn(&refused.message);
    messages::say("a passphrase can seal this device's state instead; it is asked for every time");
    let origin = Origin::new_passphrase();
    let key = origin.key(state, options, false)?;
    Ok((origin, key))
}

/// The note beside the state of an account, of which nothing is secret.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Note {
    /// The device whose state is sealed.
    device_id: Option<String>,
    #[serde(flatten)]
    origin: Origin,
}

impl Note {
    fn read(note: &Path) -> Result<Option<Self>> {
        let text = match std::fs::read_to_string(note) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file(note, error)),
        };
        serde_json::from_str(&text).map(Some).map_err(|_| {
            Error::new(Exit::Corrupt, format!("{} is damaged", note.display())).hint(
                "move it away and give the key again: --store-key-file or \
                 --store-passphrase-file",
            )
        })
    }

    /// Replaces the note as a whole: the salt in it is as precious as the key.
    fn write(&self, note: &Path) -> Result<()> {
        if Self::read(note)?.as_ref() == Some(self) {
            return Ok(());
        }
        let json = serde_json::to_string(self).map_err(Error::usage)?;
        let draft = note.with_extension("sealing-new");
        let failed = |error| Error::file(note, error);
        std::fs::File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .and_then(|mut file| {
                file.write_all(json.as_bytes())
                    .and_then(|()| file.sync_all())
            })
            .and_then(|()| std::fs::rename(&draft, note))
            .map_err(failed)
    }
}

/// Where a key comes from.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
enum Origin {
    File {
        path: PathBuf,
    },
    Keyring,
    Passphrase {
        salt: String,
        memory_kib: u32,
        passes: u32,
    },
}

impl Origin {
    fn new_passphrase() -> Self {
        // As OWASP and RFC 9106 (second choice) recommend, and a little more.
        Self::Passphrase {
            salt: base64::encode(random_bytes().as_slice()),
            memory_kib: 64 * 1024,
            passes: 3,
        }
    }

    fn key(
        &self,
        state: &LocalState,
        options: &SealingOptions,
        is_sealed: bool,
    ) -> Result<SealingKey> {
        match self {
            Self::File { path } => from_file(path, is_sealed),
            Self::Keyring => from_keyring(state.user_id(), is_sealed),
            Self::Passphrase {
                salt,
                memory_kib,
                passes,
            } => {
                let passphrase = passphrase(options, is_sealed)?;
                let _busy = messages::busy("deriving the key of this device's state");
                derive(&passphrase, salt, *memory_kib, *passes)
            }
        }
    }
}

fn from_file(path: &Path, is_sealed: bool) -> Result<SealingKey> {
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_sealed => {
            let key = random_bytes();
            let text = Zeroizing::new(base64::encode(key.as_slice()));
            output::secret_file(path, &wiped(format_args!("{}\n", *text)))?;
            return Ok(SealingKey::from_bytes(&key));
        }
        Err(error) => {
            return Err(Error::file(path, error).hint(
                "it contains the key that seals this device's state; if the file was moved, \
                 use --store-key-file",
            ));
        }
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Error::new(
            Exit::Policy,
            format!(
                "{} can be accessed by other users (mode {mode:03o})",
                path.display()
            ),
        )
        .hint("check what they did, then run chmod go= on it"));
    }
    let text = Source::File(path.to_owned()).line()?;
    let bytes = base64::decode(text.trim()).map_err(|_| not_a_key(path))?;
    let bytes: &[u8; 32] = bytes
        .bytes
        .as_slice()
        .try_into()
        .map_err(|_| not_a_key(path))?;
    Ok(SealingKey::from_bytes(bytes))
}

fn not_a_key(path: &Path) -> Error {
    Error::new(
        Exit::Corrupt,
        format!(
            "{} does not contain the key of a device's state",
            path.display()
        ),
    )
}

fn from_keyring(user_id: &str, is_sealed: bool) -> Result<SealingKey> {
    let _busy = messages::busy("asking the keyring of the operating system");
    let user = user_id.to_owned();
    let (sender, receiver) = mpsc::channel();
    // The keyring is another process, and it may wait for a person who is not there.
    std::thread::spawn(move || {
        let store = keyring::Entry::store_status();
        if sender.send(Step::Reached(store.is_ok())).is_ok() && store.is_ok() {
            let _ = sender.send(Step::Key(keyring_bytes(&user, is_sealed)));
        }
    });
    match receiver.recv_timeout(KEYRING_TIMEOUT) {
        Ok(Step::Reached(true)) => {}
        _ => return Err(no_keyring("the operating system has no keyring")),
    }
    match receiver.recv_timeout(UNLOCK_TIMEOUT) {
        Ok(Step::Key(Ok(bytes))) => Ok(SealingKey::from_bytes(&bytes)),
        Ok(Step::Key(Err(keyring::Error::NoEntry))) => Err(Error::new(
            Exit::Usage,
            "the keyring of the operating system has lost the key of this device's state",
        )
        .hint("the keys of this device are lost: log out and in again")),
        Ok(_) => Err(no_keyring(
            "the keyring of the operating system refused access",
        )),
        Err(_) => Err(no_keyring(
            "the keyring of the operating system does not answer; is it locked?",
        )),
    }
}

/// The progress of the keyring.
enum Step {
    Reached(bool),
    Key(keyring::Result<Zeroizing<[u8; 32]>>),
}

/// The time to wait for the keyring service.
const KEYRING_TIMEOUT: Duration = Duration::from_secs(5);
/// The time to wait until the user has unlocked it.
const UNLOCK_TIMEOUT: Duration = Duration::from_secs(60);

fn keyring_bytes(user_id: &str, is_sealed: bool) -> keyring::Result<Zeroizing<[u8; 32]>> {
    let entry = keyring::Entry::new("fourfold device state", user_id)?;
    let secret = match entry.get_secret() {
        Ok(secret) => Zeroizing::new(secret),
        Err(keyring::Error::NoEntry) if !is_sealed => {
            let bytes = random_bytes();
            entry.set_secret(bytes.as_slice())?;
            // Only what it gives back is of use the next time.
            Zeroizing::new(entry.get_secret()?)
        }
        Err(error) => return Err(error),
    };
    let bytes: &[u8; 32] = secret
        .as_slice()
        .try_into()
        .map_err(|_| keyring::Error::BadStoreFormat("not 32 bytes".to_owned()))?;
    Ok(Zeroizing::new(*bytes))
}

fn no_keyring(message: &str) -> Error {
    Error::usage(message).hint(
        "use --store-key-file FILE, a file that only you can read, or --store-passphrase-file FILE",
    )
}

fn passphrase(options: &SealingOptions, is_sealed: bool) -> Result<Zeroizing<String>> {
    if let Some(file) = &options.store_passphrase_file {
        return Source::of(file).line();
    }
    let hint = "use --store-passphrase-file";
    let first = prompt::hidden("Passphrase of this device's state", hint)?;
    if !is_sealed && prompt::hidden("Repeat the passphrase", hint)? != first {
        return Err(Error::refused("the two passphrases differ"));
    }
    Ok(first)
}

fn derive(passphrase: &str, salt: &str, memory_kib: u32, passes: u32) -> Result<SealingKey> {
    let damaged = || {
        Error::new(
            Exit::Corrupt,
            "the stored parameters of the passphrase of this device's state are damaged",
        )
    };
    if passphrase.is_empty() {
        return Err(Error::new(Exit::Policy, "the passphrase is empty"));
    }
    // The note lies on this machine; a damaged one must not take all of its memory.
    if memory_kib > MAX_MEMORY_KIB || passes > MAX_PASSES {
        return Err(damaged());
    }
    let parameters = Params::new(memory_kib, passes, 1, Some(32)).map_err(|_| damaged())?;
    let salt = base64::decode(salt).map_err(|_| damaged())?;
    let mut key = Zeroizing::new([0; 32]);
    // Ours, because the key can be computed from what is left in it, which argon2 does not wipe.
    let memory = vec![Block::default(); parameters.block_count()];
    let mut memory = Zeroizing::new(memory);
    let (passphrase, salt) = (passphrase.as_bytes(), salt.bytes.as_slice());
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
        .hash_password_into_with_memory(passphrase, salt, key.as_mut_slice(), memory.as_mut_slice())
        .map_err(|_| damaged())?;
    Ok(SealingKey::from_bytes(&key))
}

fn random_bytes() -> Zeroizing<[u8; 32]> {
    Zeroizing::new(*SealingKey::generate(&mut rng()).expose_bytes())
}

/// The maximum memory of a passphrase derivation, in KiB.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;

/// The maximum number of passes of a passphrase derivation.
const MAX_PASSES: u32 = 100;
