//! The conditions, by what they are about. Each file has the text of a condition right beside the
//! function that looks for it; the table here is what everything else is made from.

mod backup;
mod descriptions;
mod devices;
mod entries;
mod identity;
mod keys;
mod machine;
mod memory;
mod offered;
mod passphrases;
mod remembered;
mod secrets;
mod server;
mod values;
mod ways;

pub(in crate::health) use self::remembered::remembered_description;

use super::condition::Condition;

/// All conditions, in the order in which they are looked for and documented.
pub static CONDITIONS: [Condition; COUNT] = [
    keys::STORAGE_NOT_SET_UP,
    keys::STORAGE_SWITCHED_OFF,
    keys::DEFAULT_KEY_MISSING,
    keys::DEFAULT_KEY_MALFORMED,
    keys::DEFAULT_KEY_UNDESCRIBED,
    descriptions::KEY_DESCRIPTION_MALFORMED,
    descriptions::KEY_ALGORITHM_UNSUPPORTED,
    descriptions::KEY_ALGORITHM_2019,
    descriptions::KEY_CHECK_MISSING,
    descriptions::KEY_CHECK_MALFORMED,
    descriptions::BASE64_NOT_CANONICAL,
    passphrases::PASSPHRASE_MALFORMED,
    passphrases::PASSPHRASE_TOO_COSTLY,
    passphrases::PASSPHRASE_TOO_CHEAP,
    offered::OFFERED_KEY_UNKNOWN,
    offered::OFFERED_KEY_NOT_DEFAULT,
    offered::OFFERED_KEY_IS_BACKUP_KEY,
    offered::OFFERED_KEY_MISTYPED,
    offered::PASSPHRASE_VARIANT,
    keys::SEVERAL_KEYS,
    keys::KEY_OPENS_NOTHING,
    keys::KEY_ID_NEEDS_ESCAPING,
    memory::KEY_DESCRIPTION_CHANGED,
    memory::DEFAULT_KEY_CHANGED,
    secrets::SECRET_MISSING,
    secrets::SECRET_EMPTIED,
    secrets::SECRET_NOT_UNDER_DEFAULT,
    entries::ENTRY_KEY_UNDESCRIBED,
    secrets::ENTRY_MALFORMED,
    entries::ENTRY_DOES_NOT_OPEN,
    values::COPIES_DIFFER,
    values::SECRET_VALUE_MALFORMED,
    values::SECRET_VALUE_NOT_CANONICAL,
    entries::SECRET_PASSTHROUGH,
    entries::ENTRY_UNDER_RETIRED_KEY,
    values::SECRETS_SWAPPED,
    secrets::CUSTOM_SECRET_LEFT_BEHIND,
    devices::DEHYDRATED_DEVICE_BROKEN,
    secrets::ENCRYPTED_ACCOUNT_DATA,
    identity::IDENTITY_NOT_PUBLISHED,
    values::MASTER_KEY_MISMATCH,
    values::SIGNING_KEY_MISMATCH,
    identity::SIGNING_KEY_UNSIGNED,
    identity::PUBLISHED_KEY_MALFORMED,
    identity::MASTER_KEY_UNSIGNED_BY_DEVICE,
    identity::IDENTITY_CHANGED,
    devices::DEVICE_WITHOUT_KEYS,
    devices::DEVICE_UNSIGNED,
    devices::DEVICE_SIGNATURE_INVALID,
    devices::DEVICE_SIGNED_BY_OLD_KEY,
    devices::MANY_DEVICES,
    devices::DEVICE_NOT_LISTED,
    backup::BACKUP_MISSING,
    backup::BACKUP_KEY_MISSING,
    values::BACKUP_KEY_MISMATCH,
    values::BACKUP_KEY_OF_OLDER_VERSION,
    backup::BACKUP_DATA_MALFORMED,
    backup::BACKUP_ALGORITHM_UNKNOWN,
    backup::BACKUP_UNSIGNED,
    backup::BACKUP_SIGNATURE_INVALID,
    backup::BACKUP_EMPTY,
    backup::BACKUP_KEYS_DO_NOT_OPEN,
    backup::BACKUP_HAS_PASSPHRASE,
    backup::BACKUP_FLAGS_DISAGREE,
    // After all that can be an error of the account.
    devices::NO_DEVICE_CAN_SHARE,
    devices::LAST_DEVICE,
    server::SESSION_INVALID,
    server::RESET_AUTHORISATION,
    server::ACCOUNT_DATA_STALE,
    server::ACCOUNT_DATA_NOT_ECHOED,
    server::SERVER_BACKUP_QUIRK,
    server::SERVER_WANTS,
    machine::FILE_READABLE_BY_OTHERS,
    machine::DRILL_OVERDUE,
    machine::NO_SNAPSHOT_KEPT,
    machine::CHANGED_WHILE_EXAMINED,
];

impl Condition {
    /// The condition of a code.
    #[must_use]
    pub fn of(code: &str) -> Option<&'static Self> {
        CONDITIONS.iter().find(|one| one.code == code)
    }
}

const COUNT: usize = 76;
