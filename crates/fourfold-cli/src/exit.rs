//! Exit codes: one table of which error of the libraries ends a command with which, and of what the
//! user can do about it.
//!
//! Errors that a command finds by itself are created where they are found.

use std::fmt::Display;

use fourfold::cross_signing::{IdentityAtRisk, NotConfirmed, SignDeviceError};
use fourfold::history::Suspicious;
use fourfold::passphrase::ParametersError;
use fourfold::plan::{
    Action, AddKeyError, BackupHidden, BackupKeyError, BootstrapError, ChangeDefaultError,
    CompleteError, DeleteError, DeleteKeyBackupError, RemoveKeyError, SetUpError,
    SignKeyBackupError, StoreError, TakeKeyAwayError, TransferError, UnknownBackup,
};
use fourfold::recovery_key::RecoveryKeyError;
use fourfold::signed_json::SignatureError;
use fourfold::storage::{NoWritingKey, UnlockError};
use fourfold::{
    IsLoginPassword, KeyInputError, NotProvenReason, OpenError, SecretName, SecretValueError,
};
use fourfold_client::{
    ApplyError, DeviceError, ErrorKind, LocalStateError, SignError, VerifySelfError,
    escape_untrusted,
};
use fourfold_server::StartError;

use crate::error::{Error, Exit};
use crate::hints::{NEW_DEVICE_ID, OTHER_IDENTITY, after_alarm, from_a_device, which_to_keep};

// Keys and what is opened with them.

impl From<UnlockError> for Error {
    fn from(error: UnlockError) -> Self {
        match error {
            UnlockError::NotProven(reason) => reason.into(),
            UnlockError::RecoveryKey(error) => error.into(),
            error => row_of_unlock(&error).of(escape_untrusted(&error.to_string())),
        }
    }
}

fn row_of_unlock(error: &UnlockError) -> Row {
    match error {
        UnlockError::NoKey => row(Exit::Refused).hint("fourfold setup makes the first one"),
        UnlockError::NoPassphrase => row(Exit::WrongKey).hint("use the recovery key"),
        UnlockError::Undescribed { .. } => row(Exit::Corrupt).hint(
            "use the recovery key; or fourfold doctor --fix, which puts back what this machine \
             remembers of it",
        ),
        UnlockError::UnsupportedAlgorithm { .. } => row(Exit::Refused)
            .hint("use the client that made that key; fourfold key ls shows the algorithms"),
        UnlockError::NotAllTried { .. } => {
            row(Exit::WrongKey).hint("name the key with --key, or use its recovery key")
        }
        UnlockError::UnusablePassphrase {
            error: KeyInputError::Parameters(ParametersError::TooFewIterations { .. }),
            ..
        } => row(Exit::Policy)
            .hint("use the recovery key; or read once with --allow-weak-kdf and rotate the key"),
        UnlockError::UnusablePassphrase { .. } => row(Exit::Corrupt).hint("use the recovery key"),
        _ => row(Exit::WrongKey).hint(
            "it may be the key of another account, or an earlier one; fourfold status shows the keys \
             that there are; if it is lost: fourfold recover",
        ),
    }
}

impl From<RecoveryKeyError> for Error {
    fn from(error: RecoveryKeyError) -> Self {
        match &error {
            RecoveryKeyError::Alphabet { .. } => {
                row(Exit::WrongKey).hint("upper and lower case differ; 0, O, I and l never occur")
            }
            RecoveryKeyError::Parity => {
                row(Exit::WrongKey).hint("compare it group by group; upper and lower case differ")
            }
            _ => row(Exit::WrongKey)
                .hint("it starts with Es; white space and line breaks do not matter"),
        }
        .of(error)
    }
}

impl From<NotProvenReason> for Error {
    fn from(reason: NotProvenReason) -> Self {
        match &reason {
            NotProvenReason::Mismatch => row(Exit::WrongKey),
            NotProvenReason::NoSecretOpens => row(Exit::WrongKey).hint(
                "nothing is written with a key that may be wrong; make a new one: fourfold key new",
            ),
            NotProvenReason::WeakDerivation => row(Exit::Policy),
            NotProvenReason::NoDescription(_) => row(Exit::Corrupt).hint(
                "fourfold doctor --fix, with the recovery key in --recovery-key-file, describes it \
                 again",
            ),
            _ => row(Exit::Corrupt),
        }
        .of(reason)
    }
}

impl From<NoWritingKey> for Error {
    fn from(error: NoWritingKey) -> Self {
        match &error {
            NoWritingKey::Damaged { .. } => row(Exit::Refused).hint("fourfold key ls"),
            NoWritingKey::Dangling { .. } => row(Exit::Corrupt).hint(
                "choose another key with --key, or make one the default: fourfold key default",
            ),
            NoWritingKey::NoDefault => row(Exit::Refused)
                .hint("choose a key with --key, or make one the default: fourfold key default"),
            _ => row(Exit::Refused).hint("make the first key: fourfold setup"),
        }
        .of(escape_untrusted(&error.to_string()))
    }
}

impl From<Suspicious> for Error {
    fn from(error: Suspicious) -> Self {
        row(Exit::Conflict)
            .hint(
                "if you made these changes yourself, on another device, accept them: fourfold \
                 status --accept-changes, or --accept-changes here",
            )
            .of(error)
    }
}

impl From<IsLoginPassword> for Error {
    fn from(error: IsLoginPassword) -> Self {
        row(Exit::Policy)
            .hint("choose another one, or --generate-passphrase")
            .of(error)
    }
}

// Secrets: storing, deleting, which keys open them.

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Damaged(_) => row(Exit::Conflict)
                .hint("look at it first: fourfold status; fourfold rm deletes it"),
            StoreError::Needs2019Profile => {
                row(Exit::Policy).hint("fourfold key migrate, or --profile-2019")
            }
            StoreError::NotASecret => row(Exit::Policy).hint("choose another name"),
            StoreError::Value(SecretValueError::Base64(_)) => row(Exit::NotVerified).hint(
                "it is base64 of 32 bytes; the key of the key backup may also be the recovery key \
                 that another client shows of it, while that backup is the published one",
            ),
            StoreError::Value(_) => row(Exit::NotVerified),
            _ => row(Exit::Usage),
        }
        .of(error)
    }
}

impl From<DeleteError> for Error {
    fn from(error: DeleteError) -> Self {
        match &error {
            DeleteError::Damaged(_) => row(Exit::Corrupt),
            DeleteError::NotASecret => row(Exit::Policy),
            _ => row(Exit::Refused).hint("fourfold ls lists the names"),
        }
        .of(error)
    }
}

impl From<AddKeyError> for Error {
    fn from(error: AddKeyError) -> Self {
        match &error {
            AddKeyError::Open(OpenError::WrongKey) => row(Exit::WrongKey),
            AddKeyError::Open(OpenError::Entry(_) | OpenError::Damaged(_)) => row(Exit::Corrupt),
            AddKeyError::Open(_) => row(Exit::Refused),
            AddKeyError::Value(_) => row(Exit::NotVerified),
            _ => row(Exit::Policy),
        }
        .of(error)
    }
}

impl From<TakeKeyAwayError> for Error {
    fn from(error: TakeKeyAwayError) -> Self {
        match &error {
            TakeKeyAwayError::Value(_) => row(Exit::NotVerified),
            _ => row(Exit::Refused),
        }
        .hint("fourfold status shows which keys open which secrets")
        .of(error)
    }
}

// Keys of secret storage.

impl From<SetUpError> for Error {
    fn from(error: SetUpError) -> Self {
        row(Exit::Refused)
            .hint(
                "fourfold status shows what is there; fourfold key new --default starts over with a \
                 new key and deletes nothing",
            )
            .of(error)
    }
}

impl From<ChangeDefaultError> for Error {
    fn from(error: ChangeDefaultError) -> Self {
        row(Exit::Corrupt).of(error)
    }
}

impl From<TransferError> for Error {
    fn from(error: TransferError) -> Self {
        row(Exit::Refused).of(error)
    }
}

impl From<RemoveKeyError> for Error {
    fn from(error: RemoveKeyError) -> Self {
        match &error {
            RemoveKeyError::IsDefault => {
                row(Exit::Refused).hint("fourfold key default, or fourfold key rotate")
            }
            RemoveKeyError::LastCopy { .. } => row(Exit::Refused).hint(
                "fourfold key grant gives another key access to them; fourfold rm deletes a secret",
            ),
            RemoveKeyError::OnlyWrongCopies { .. } => row(Exit::NotVerified)
                .hint("fourfold put stores the right values; fourfold rm deletes a secret"),
            _ => row(Exit::Refused).hint("fourfold key ls"),
        }
        .of(error)
    }
}

// The identity, the key backup, devices.

impl From<BootstrapError> for Error {
    fn from(error: BootstrapError) -> Self {
        match error {
            BootstrapError::Backup(error) => error.into(),
            BootstrapError::BackupKey(error) => error.into(),
            BootstrapError::ChangeDefault(error) => error.into(),
            BootstrapError::Complete(error) => error.into(),
            BootstrapError::Device(error) => error.into(),
            BootstrapError::Identity(error) => error.into(),
            BootstrapError::SignBackup(error) => error.into(),
            BootstrapError::SignDevice(error) => error.into(),
            error => row_of_bootstrap(&error).of(error),
        }
    }
}

fn row_of_bootstrap(error: &BootstrapError) -> Row {
    match error {
        BootstrapError::UnreliableIdentity(_) => row(Exit::Corrupt).hint(format!(
            "with the private master key it can be published again: {}; if no device has it: fourfold \
             setup --reset-identity",
            from_a_device(&SecretName::master_key())
        )),
        _ => row(Exit::NotVerified).hint(format!(
            "{}, and so the other two; where there is no key of secret storage to put them under, \
             fourfold setup --storage-only makes one; if no device has them: fourfold setup \
             --reset-identity",
            from_a_device(&SecretName::master_key())
        )),
    }
}

impl From<VerifySelfError> for Error {
    fn from(error: VerifySelfError) -> Self {
        match error {
            VerifySelfError::Device(error) => error.into(),
            VerifySelfError::Keys(error) => (*error).into(),
            VerifySelfError::NotConfirmed(error) => error.into(),
            VerifySelfError::Server(error) => error.into(),
            VerifySelfError::Sign(error) => error.into(),
            error => row(Exit::NotVerified).of(error),
        }
    }
}

impl From<SignError> for Error {
    fn from(error: SignError) -> Self {
        let is_accepted = error.is_accepted();
        let error = match error {
            SignError::Apply(error @ ApplyError::StaleSignature { .. }) => return error.into(),
            SignError::Apply(error) => Self::from(error),
            SignError::LocalState(error) => error.into(),
            SignError::Refused(error) => error.into(),
            error => row(Exit::NotVerified).of(error),
        };
        if is_accepted {
            error.hint("try again; if that does not help, ask the administrator of the homeserver")
        } else {
            error
        }
    }
}

impl From<SignatureError> for Error {
    fn from(error: SignatureError) -> Self {
        row(Exit::Usage).of(error)
    }
}

impl From<IdentityAtRisk> for Error {
    fn from(error: IdentityAtRisk) -> Self {
        match &error {
            IdentityAtRisk::Alarm(alarm) => row(Exit::Conflict).hint(after_alarm(alarm)),
            IdentityAtRisk::Changed { .. } => row(Exit::Conflict).hint(OTHER_IDENTITY),
            IdentityAtRisk::Replaced(replaced) => {
                row(Exit::NotVerified).hint(which_to_keep(replaced))
            }
            IdentityAtRisk::NothingToRestore => {
                row(Exit::Refused).hint("fourfold doctor says what is wrong with the account")
            }
            _ => row(Exit::Conflict).hint(
                "nothing was changed; ask the administrator of the homeserver; to replace the \
                 identity anyway, which everybody who verified you will notice: fourfold setup \
                 --reset-identity",
            ),
        }
        .of(error)
    }
}

impl From<BackupHidden> for Error {
    fn from(error: BackupHidden) -> Self {
        row(Exit::Conflict)
            .hint(
                "nothing was changed; ask the administrator of the homeserver; if you deleted the \
                 backup, or can do without its contents: fourfold backup new (or setup --new-backup)",
            )
            .of(escape_untrusted(&error.to_string()))
    }
}

impl From<UnknownBackup> for Error {
    fn from(error: UnknownBackup) -> Self {
        let version = match &error {
            UnknownBackup::OtherKey { version, .. }
            | UnknownBackup::UnusableKey { version, .. } => {
                format!(", version {},", escape_untrusted(version))
            }
            _ => String::new(),
        };
        let row = match &error {
            UnknownBackup::Replaced { .. } => row(Exit::Conflict).hint(
                format!(
                    "{OTHER_BACKUP}; if you made none, ask the administrator of the homeserver"
                ),
            ),
            UnknownBackup::Unreadable => row(Exit::NotVerified).hint(
                "to create a new version beside it: fourfold backup new (or setup --new-backup); fourfold \
                 backup rm deletes it; if you made none, ask the administrator of the homeserver",
            ),
            UnknownBackup::Unavailable { .. } => row(Exit::Network).hint(
                "everything else works without it; try again later, or ask the administrator of the \
                 homeserver; if only the record of the current version is damaged: fourfold backup new",
            ),
            _ => row(Exit::NotVerified).hint(OTHER_BACKUP),
        };
        row.of(format_args!(
            "the key backup{version} is not set up, and was not changed: {error}"
        ))
    }
}

impl From<BackupKeyError> for Error {
    fn from(error: BackupKeyError) -> Self {
        match &error {
            BackupKeyError::Damaged { name, .. } => row(Exit::Conflict).hint(format!(
                "look at it first: fourfold status; fourfold rm {} deletes it",
                escape_untrusted(name.as_str())
            )),
            BackupKeyError::NamesTaken => row(Exit::Conflict).hint("fourfold ls -l"),
            BackupKeyError::Needs2019Profile => row(Exit::Policy).hint("fourfold key migrate"),
            BackupKeyError::OtherVersion => row(Exit::NotVerified).hint("fourfold backup status"),
            _ => row(Exit::Corrupt),
        }
        .of(escape_untrusted(&error.to_string()))
    }
}

impl From<DeleteKeyBackupError> for Error {
    fn from(error: DeleteKeyBackupError) -> Self {
        row(Exit::Policy)
            .hint(
                "fourfold backup new creates another one first, beside it; or say that it is to go all \
                 the same: --in-use",
            )
            .of(error)
    }
}

impl From<CompleteError> for Error {
    fn from(error: CompleteError) -> Self {
        row(Exit::Conflict)
            .hint("fourfold status shows what is there")
            .of(error)
    }
}

impl From<SignKeyBackupError> for Error {
    fn from(error: SignKeyBackupError) -> Self {
        row(Exit::Corrupt).of(error)
    }
}

impl From<NotConfirmed> for Error {
    fn from(error: NotConfirmed) -> Self {
        match &error {
            NotConfirmed::NotShown => row(Exit::NotVerified).hint(
                "fourfold device ls shows the devices; if this one remains missing, log out and in \
                 again to get new keys",
            ),
            NotConfirmed::OtherFingerprint => row(Exit::NotVerified)
                .hint("compare the fingerprint again, on the screen of the device itself"),
            _ => row(Exit::NotVerified).hint(
                "the homeserver, or somebody who controls it, shows false keys: ask its \
                 administrator",
            ),
        }
        .of(format_args!("{error}; nothing was signed"))
    }
}

impl From<SignDeviceError> for Error {
    fn from(error: SignDeviceError) -> Self {
        match error {
            SignDeviceError::Device(error) => error.into(),
            SignDeviceError::NotLoggedIn => row(Exit::NotVerified)
                .hint("log in on it again to give it new keys, with another fingerprint")
                .of(format_args!("{error}; nothing was signed")),
            error => row(Exit::NotVerified).of(format_args!("{error}; nothing was signed")),
        }
    }
}

impl From<DeviceError> for Error {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::LocalState(error) => error.into(),
            DeviceError::Server(error) => error.into(),
            DeviceError::NotMadeHere => {
                row(Exit::NotVerified).of(format_args!("{error}; nothing was signed"))
            }
            error => row_of_device(&error).of(error),
        }
    }
}

fn row_of_device(error: &DeviceError) -> Row {
    match error {
        DeviceError::WrongKey => row(Exit::WrongKey)
            .hint("give the right one with --store-key-file or --store-passphrase-file"),
        DeviceError::Damaged => row(Exit::Corrupt),
        DeviceError::OtherIdentity(_) => row(Exit::Conflict).hint(OTHER_IDENTITY),
        DeviceError::CannotAsk(_) | DeviceError::NotVerifiable | DeviceError::NoUseToVerify(_) => {
            row(Exit::NotVerified).hint("fourfold device ls")
        }
        _ => row(Exit::Usage),
    }
}

// Carrying out a change, the homeserver, the local state, this machine.

impl From<ApplyError> for Error {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::LocalState(error) => Self::from(error).hint(RESUME),
            error => row_of_apply(&error).of(error),
        }
    }
}

fn row_of_apply(error: &ApplyError) -> Row {
    match error {
        ApplyError::Conflict { action, .. } if is_about_identity(action) => row(Exit::NotVerified)
            .hint(
                "the homeserver, or somebody who controls it, may show false keys: ask its \
                 administrator; \
                 then fourfold resume, or resume --abandon",
            ),
        ApplyError::Conflict { .. } => row(Exit::Conflict).hint(
            "look at what changed: fourfold status; then fourfold resume, or resume --abandon",
        ),
        ApplyError::ReadBack { action, .. } if is_about_identity(action) => {
            row(Exit::NotVerified).hint(RESUME)
        }
        ApplyError::ReadBack { .. } => row(Exit::Conflict)
            .hint(
                "the homeserver did not store the value; nothing was removed; check its logs; then fourfold \
                 resume, or resume --abandon",
            ),
        ApplyError::Refused { .. } => row(Exit::NotVerified).hint(RESUME),
        ApplyError::StaleSignature { .. } => row(Exit::NotVerified).hint(NEW_DEVICE_ID),
        ApplyError::Request { source, .. } => match source.kind() {
            ErrorKind::NeedsPassword | ErrorKind::WrongPassword | ErrorKind::NeedsOther { .. } => {
                row(Exit::Refused)
            }
            _ => row(Exit::Network).hint(RESUME),
        },
        _ => row(Exit::Conflict).hint(RESUME),
    }
}

impl From<fourfold_client::Error> for Error {
    fn from(error: fourfold_client::Error) -> Self {
        // An error about typed text has no server.
        let is_typed = error.server().is_none();
        let exit = match error.kind() {
            ErrorKind::InvalidUrl { .. } | ErrorKind::InvalidUser { .. } if is_typed => Exit::Usage,
            ErrorKind::InvalidToken => Exit::Usage,
            ErrorKind::InsecureUrl => Exit::Policy,
            _ => Exit::Network,
        };
        row(exit).of(error)
    }
}

impl From<LocalStateError> for Error {
    fn from(error: LocalStateError) -> Self {
        match &error {
            LocalStateError::OtherHomeserver {
                user_id,
                homeserver,
            } => row(Exit::Refused).hint(format!(
                "fourfold logout --account {user_id} ends that session; if that homeserver has \
                 moved or is gone, --force forgets it; to log in there: --homeserver {homeserver}"
            )),
            LocalStateError::Locked { .. } | LocalStateError::Unfinished => row(Exit::Conflict),
            LocalStateError::Permissions { .. } | LocalStateError::NotOrdinary { .. } => {
                row(Exit::Policy)
            }
            LocalStateError::Corrupt { .. } => row(Exit::Corrupt),
            _ => row(Exit::Usage),
        }
        .of(error)
    }
}

impl From<StartError> for Error {
    fn from(error: StartError) -> Self {
        row(Exit::Usage).of(error)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        row(Exit::Usage).of(error)
    }
}

/// A row of the table.
struct Row {
    exit: Exit,
    hint: Option<String>,
}

/// A row without a hint.
fn row(exit: Exit) -> Row {
    Row { exit, hint: None }
}

impl Row {
    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn of(self, message: impl Display) -> Error {
        let error = Error::new(self.exit, message);
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

fn is_about_identity(action: &Action) -> bool {
    matches!(
        action,
        Action::PublishDevice(_) | Action::PublishIdentity(_) | Action::SignDevice(_)
    )
}

/// The hint about an interrupted change.
const RESUME: &str = "once the problem is fixed: fourfold resume";

/// What to do about a key backup whose private key is elsewhere.
const OTHER_BACKUP: &str = "if you made that backup: fourfold backup restore-key looks for its \
    private key; to create a new version beside it: fourfold backup new (or setup --new-backup)";
