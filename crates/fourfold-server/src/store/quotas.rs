//! The quotas of one user.

use std::time::Duration;

/// The quotas of one user.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Quotas {
    /// Account data, over all rooms and the account.
    pub account_data: AccountDataQuota,
    /// The history of account data; `None` keeps none, and deletes what there is when the store opens.
    pub history: Option<HistoryQuota>,
    /// Devices.
    pub devices: u64,
    /// Filters.
    pub filters: u64,
    /// Key backups.
    pub backups: BackupQuota,
    /// One-time keys of one device.
    pub one_time_keys: u64,
    /// Signatures on the keys of other users.
    pub user_signatures: u64,
    /// The inbox of one device.
    pub inbox: InboxQuota,
}

/// The quota of account data of a user.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "operators and tests make them")]
pub struct AccountDataQuota {
    /// Types, each counted in each room.
    pub types: u64,
    /// Bytes: contents, types and room IDs.
    pub bytes: u64,
}

/// The quota of the history of account data of a user. Beyond it the oldest entries are deleted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "operators and tests make them")]
pub struct HistoryQuota {
    /// Earlier contents, over all types.
    pub entries: u64,
    /// Earlier contents of one type: a type that changes often does not push out the others.
    pub entries_of_type: u64,
    /// Bytes: contents and types.
    pub bytes: u64,
    /// The time for which a content is kept after it was replaced.
    pub age: Duration,
}

/// The quota of key backups of a user.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "operators and tests make them")]
pub struct BackupQuota {
    /// Versions that are not deleted.
    pub versions: u64,
    /// Room keys, over all versions.
    pub keys: u64,
    /// Bytes: keys with their IDs, over all versions, and what describes a version.
    pub bytes: u64,
}

/// The quota of messages for one device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "operators and tests make them")]
pub struct InboxQuota {
    /// From everyone.
    pub all: Amount,
    /// Of these messages, those that other users sent: the rest is kept for the user's own devices.
    pub of_others: Amount,
    /// Messages of one other user.
    pub of_sender: Amount,
}

/// Messages, and their bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "stores make them")]
pub struct Amount {
    /// The maximum number.
    pub messages: u64,
    /// The maximum number of bytes of all of them.
    pub bytes: u64,
}

impl Amount {
    /// With one more message.
    pub fn add(&mut self, length: u64) {
        self.messages += 1;
        self.bytes += length;
    }
}

impl Default for Quotas {
    /// 2,000 types and 32 MiB of account data, a history of 2,000 earlier contents (100 of one type),
    /// 16 MiB and a year; 500 devices, 500 filters; 500 one-time keys; 10,000 signatures; inboxes
    /// of 5,000 messages and 16 MiB, of them 4,000 and 12 MiB for other users together and 500 and
    /// 2 MiB for one of them; 100 key backups with 100,000 keys and 128 MiB together.
    fn default() -> Self {
        let amount = |messages, mebibytes: u64| Amount {
            messages,
            bytes: mebibytes * 1024 * 1024,
        };
        Self {
            account_data: AccountDataQuota {
                types: 2_000,
                bytes: 32 * 1024 * 1024,
            },
            history: Some(HistoryQuota {
                entries: 2_000,
                entries_of_type: 100,
                bytes: 16 * 1024 * 1024,
                age: Duration::from_secs(365 * 24 * 60 * 60),
            }),
            devices: 500,
            filters: 500,
            backups: BackupQuota {
                versions: 100,
                keys: 100_000,
                bytes: 128 * 1024 * 1024,
            },
            one_time_keys: 500,
            user_signatures: 10_000,
            inbox: InboxQuota {
                all: amount(5_000, 16),
                of_others: amount(4_000, 12),
                of_sender: amount(500, 2),
            },
        }
    }
}
