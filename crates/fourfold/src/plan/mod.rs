//! Plans: every change, as data before it is an action.
//!
//! A function of this module looks at what is there and returns a [`Plan`]: an ordered list of
//! steps, each with its reason. A plan can be printed, reviewed, refused, stored, applied and
//! resumed after a crash. It holds ciphertext, public keys and signatures only, never a private key
//! or a secret.
//!
//! The order inside a plan keeps the account usable at every step: descriptions first, then secrets,
//! then the default key, and only then what is retired. The last readable copy of a secret is never
//! removed, except by [`delete`], which says so. Plans for different things become one with
//! [`Plan::of`].

mod action;
mod backup_continuity;
mod backup_key;
mod backup_wish;
mod bootstrap;
mod device;
mod draft;
mod identity;
mod import;
mod key;
mod key_backup;
mod others;
mod profile_2019;
mod proof;
mod recovery;
mod repair;
mod secret;
mod standard;
mod steps;
mod transfer;
mod writing_keys;

pub use self::action::{
    Action, CreateKeyBackup, DeleteKeyBackup, Found, PublishDevice, PublishIdentity,
    PutAccountData, RemoveDevice, SignDevice, SignKeyBackup, StepState,
};
pub use self::backup_continuity::{
    BackupChoice, BackupHidden, BackupState, KnownBackup, RememberedBackup, UnknownBackup,
};
pub use self::backup_key::{BackupKeyError, restore_backup_key};
pub use self::bootstrap::{
    Bootstrap, BootstrapError, BootstrapKey, KeyChoice, KnownAccount, Wishes,
};
pub use self::device::{publish_device, remove_device, sign_device};
pub use self::draft::NotDescribed;
pub use self::identity::publish_identity;
pub use self::import::{ImportChoices, ImportError, import};
pub use self::key::{
    ChangeDefaultError, RemoveKeyError, SetUpError, change_default, create_default_key, create_key,
    remove_key, set_up,
};
pub use self::key_backup::{
    DeleteKeyBackupError, KeyOfBackup, SignKeyBackupError, create_key_backup, delete_key_backup,
    renew_key_backup, replace_unreadable_key_backup, sign_key_backup,
};
pub use self::others::{OtherKey, other_keys};
pub use self::profile_2019::create_key_2019;
pub use self::proof::{Described, prove_again};
pub use self::recovery::{RecoverError, recover};
pub use self::repair::{
    AddCopyError, DescribeError, add_copy, align_backup_flags, describe_again, restore_description,
};
pub use self::secret::{
    AddKeyError, DeleteError, StoreError, TakeKeyAwayError, WritingKey, add_key, delete, store,
    take_key_away,
};
pub use self::standard::{CompleteError, complete};
pub use self::steps::{Plan, Step};
pub use self::transfer::{Destination, TransferError, migrate, rotate, rotate_all};
pub use self::writing_keys::WritingKeys;
