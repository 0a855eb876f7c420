//! Key backups: versions, sums, and which room keys replace others.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::store::{BackedUpKey, BackupQuota, KeyBackup, KeyBackupState, KeyRank, StoreError};

/// The usage of key backups by a user, over all versions.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "stores make them")]
pub struct Totals {
    /// The last version that was given out, deleted or not.
    pub newest: u64,
    /// Room keys.
    pub keys: u64,
    /// Bytes: see [`weight`], and what describes a version.
    pub bytes: u64,
}

impl Totals {
    /// With one more version; its number is [`Totals::newest`] then. `versions` are there already.
    ///
    /// # Errors
    ///
    /// [`StoreError::Quota`].
    pub fn with_version(
        self,
        versions: u64,
        algorithm: &str,
        auth_data: &[u8],
        quota: BackupQuota,
    ) -> Result<Self, StoreError> {
        if versions >= quota.versions {
            return Err(StoreError::Quota("versions of the key backup"));
        }
        let after = Self {
            newest: self.newest + 1,
            bytes: self.bytes + length(algorithm.len() + auth_data.len()),
            ..self
        };
        if after.bytes > quota.bytes {
            return Err(TOO_MANY_BYTES);
        }
        Ok(after)
    }

    /// With other `auth_data` in a version.
    ///
    /// # Errors
    ///
    /// [`StoreError::Changed`] when the version has another algorithm, [`StoreError::Quota`].
    pub fn with_auth_data(
        self,
        backup: &KeyBackup,
        algorithm: &str,
        auth_data: &[u8],
        quota: BackupQuota,
    ) -> Result<Self, StoreError> {
        if backup.algorithm != algorithm {
            return Err(StoreError::Changed);
        }
        let without = self.bytes.saturating_sub(length(backup.auth_data.len()));
        let bytes = without + length(auth_data.len());
        // A user over the quota, because it was lowered, may still shrink.
        if bytes > quota.bytes && bytes > self.bytes {
            return Err(TOO_MANY_BYTES);
        }
        Ok(Self { bytes, ..self })
    }

    /// Without a version, whose keys weigh so much.
    #[must_use]
    pub fn without_version(self, backup: &KeyBackup, weight: u64) -> Self {
        let own = length(backup.algorithm.len() + backup.auth_data.len());
        self.without_keys(backup.state.count, weight + own)
    }

    /// Without so many keys of this weight.
    #[must_use]
    pub fn without_keys(self, keys: u64, weight: u64) -> Self {
        Self {
            keys: self.keys.saturating_sub(keys),
            bytes: self.bytes.saturating_sub(weight),
            ..self
        }
    }

    /// Checks that a version, which is not there, was there once. Numbers are given out in order.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuchBackup`].
    pub fn check_was_given_out(self, version: u64) -> Result<(), StoreError> {
        if (1..=self.newest).contains(&version) {
            return Ok(());
        }
        Err(StoreError::NoSuchBackup)
    }
}

/// Checks that a version is the current one: the highest that is not deleted.
///
/// # Errors
///
/// [`StoreError::NotCurrentBackup`].
pub fn check_current(version: u64, current: u64) -> Result<(), StoreError> {
    if version != current {
        return Err(StoreError::NotCurrentBackup(current));
    }
    Ok(())
}

/// The state of a version after so many of its keys were deleted; the same when there were none.
#[must_use]
pub fn without_keys(state: KeyBackupState, keys: u64) -> KeyBackupState {
    if keys == 0 {
        return state;
    }
    KeyBackupState {
        count: state.count.saturating_sub(keys),
        etag: state.etag + 1,
    }
}

/// Room keys on their way into a version: all is decided before anything is written.
#[derive(Debug)]
pub struct Upload<'k> {
    state: KeyBackupState,
    before: Totals,
    totals: Totals,
    better: BTreeMap<(&'k str, &'k str), &'k BackedUpKey>,
}

/// The result of an upload.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores take them apart")]
pub struct Accepted<'k> {
    /// The keys, each of another session.
    pub keys: Vec<&'k BackedUpKey>,
    /// The state of the version then.
    pub state: KeyBackupState,
    /// The resulting usage of the user's backups.
    pub totals: Totals,
}

impl<'k> Upload<'k> {
    /// Begins with the state of the version and the totals of the user.
    #[must_use]
    pub fn new(state: KeyBackupState, totals: Totals) -> Self {
        Self {
            state,
            before: totals,
            totals,
            better: BTreeMap::new(),
        }
    }

    /// Returns `true` if this upload brought a key of the same session already, so that what is
    /// stored of it does not matter any more.
    #[must_use]
    pub fn holds(&self, key: &BackedUpKey) -> bool {
        self.better.contains_key(&place(key))
    }

    /// Takes a key in if it is better than the one of its session; `stored` is the rank and the
    /// [`weight`] of the one that is stored.
    pub fn take(&mut self, key: &'k BackedUpKey, stored: Option<(KeyRank, u64)>) {
        let sooner = self.better.get(&place(key));
        let known = match sooner {
            Some(sooner) => Some((sooner.rank(), weight(sooner))),
            None => stored,
        };
        match known {
            Some((rank, _)) if !key.rank().is_better_than(rank) => return,
            Some((_, weight)) => self.totals.bytes = self.totals.bytes.saturating_sub(weight),
            None => {
                self.totals.keys += 1;
                self.state.count += 1;
            }
        }
        self.totals.bytes += weight(key);
        self.better.insert(place(key), key);
    }

    /// What is to be stored. Without keys nothing changes, and the state is the one of before.
    ///
    /// # Errors
    ///
    /// [`StoreError::Quota`]. A user over the quota, because it was lowered, may still replace keys.
    pub fn finish(mut self, quota: BackupQuota) -> Result<Accepted<'k>, StoreError> {
        if !self.better.is_empty() {
            if self.totals.keys > quota.keys && self.totals.keys > self.before.keys {
                return Err(StoreError::Quota("keys in key backups"));
            }
            if self.totals.bytes > quota.bytes && self.totals.bytes > self.before.bytes {
                return Err(TOO_MANY_BYTES);
            }
            self.state.etag += 1;
        }
        Ok(Accepted {
            keys: self.better.into_values().collect(),
            state: self.state,
            totals: self.totals,
        })
    }
}

/// The parts in which an upload is written, one transaction each, so that nobody else waits long for
/// one. No part is empty.
#[must_use]
pub fn parts(keys: &[BackedUpKey]) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut first, mut bytes) = (0, 0);
    for (index, key) in keys.iter().enumerate() {
        let is_full = bytes + weight(key) > MAX_PART_BYTES || index - first >= MAX_PART_KEYS;
        if is_full && index > first {
            parts.push(first..index);
            (first, bytes) = (index, 0);
        }
        bytes += weight(key);
    }
    if first < keys.len() {
        parts.push(first..keys.len());
    }
    parts
}

/// The size of a key: its data and its IDs.
#[must_use]
pub fn weight(key: &BackedUpKey) -> u64 {
    length(key.room_id.len() + key.session_id.len() + key.session_data.len())
}

fn place(key: &BackedUpKey) -> (&str, &str) {
    (&key.room_id, &key.session_id)
}

fn length(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Bytes that are written at once: what a disk takes about as fast as its next sync.
const MAX_PART_BYTES: u64 = 256 * 1024;

/// Keys that are written at once.
const MAX_PART_KEYS: usize = 500;

const TOO_MANY_BYTES: StoreError = StoreError::Quota("bytes of key backups");

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: BackupQuota = BackupQuota {
        versions: 2,
        keys: 3,
        bytes: 100,
    };

    fn key(session: &str, first_message_index: u64, data: usize) -> BackedUpKey {
        BackedUpKey {
            room_id: "r".to_owned(),
            session_id: session.to_owned(),
            first_message_index,
            forwarded_count: 0,
            is_verified: false,
            session_data: vec![b'x'; data].into(),
        }
    }

    fn totals(keys: u64, bytes: u64) -> Totals {
        Totals {
            newest: 1,
            keys,
            bytes,
        }
    }

    fn backup() -> KeyBackup {
        KeyBackup {
            version: 1,
            algorithm: "abc".to_owned(),
            auth_data: "{}".into(),
            state: KeyBackupState { count: 2, etag: 5 },
        }
    }

    #[test]
    fn versions_are_counted_and_never_given_out_again() {
        let none = Totals::default();
        let first = none.with_version(0, "abc", b"{}", QUOTA).unwrap();
        assert_eq!((first.newest, first.bytes), (1, 5));
        let gone = first.without_version(
            &KeyBackup {
                state: KeyBackupState::default(),
                ..backup()
            },
            0,
        );
        assert_eq!((gone.newest, gone.bytes), (1, 0));
        assert_eq!(gone.with_version(0, "abc", b"{}", QUOTA).unwrap().newest, 2);
        first.with_version(2, "abc", b"{}", QUOTA).unwrap_err();
        first
            .with_version(1, "abc", &[b' '; 93], QUOTA)
            .unwrap_err();
        first.with_version(1, "abc", &[b' '; 92], QUOTA).unwrap();
        gone.check_was_given_out(1).unwrap();
        for never in [0, 2] {
            let refused = gone.check_was_given_out(never);
            assert!(matches!(refused, Err(StoreError::NoSuchBackup)));
        }
    }

    #[test]
    fn auth_data_is_replaced_within_the_quota_and_under_the_same_algorithm() {
        let backup = backup();
        let replace = |before, algorithm: &str, length: usize| {
            totals(2, before).with_auth_data(&backup, algorithm, &vec![b' '; length], QUOTA)
        };
        assert_eq!(replace(50, "abc", 10).unwrap(), totals(2, 58));
        assert!(matches!(replace(50, "abd", 10), Err(StoreError::Changed)));
        replace(98, "abc", 4).unwrap();
        replace(98, "abc", 5).unwrap_err();
        assert_eq!(replace(500, "abc", 1).unwrap(), totals(2, 499));
    }

    #[test]
    fn a_better_key_replaces_and_a_worse_one_changes_nothing() {
        let (better, worse) = (key("s", 3, 20), key("s", 9, 5));
        let stored = (key("s", 5, 10).rank(), 12);
        let mut upload = Upload::new(backup().state, totals(2, 50));
        upload.take(&worse, Some(stored));
        assert!(!upload.holds(&worse));
        upload.take(&better, Some(stored));
        assert!(upload.holds(&worse));
        // It is compared with the key in the same upload and is no better.
        upload.take(&worse, None);
        let accepted = upload.finish(QUOTA).unwrap();
        assert_eq!(accepted.keys, [&better]);
        assert_eq!(accepted.state, KeyBackupState { count: 2, etag: 6 });
        assert_eq!(accepted.totals, totals(2, 50 - 12 + 22));
    }

    #[test]
    fn an_upload_is_written_in_parts_that_have_all_of_it() {
        assert!(parts(&[]).is_empty());
        let one = parts(&[key("s", 1, 5_000_000)]);
        assert_eq!((one.len(), one[0].clone()), (1, 0..1));
        let one = 100_000;
        let keys: Vec<_> = [one, one, one, 3 * one, one]
            .map(|data| key("s", 1, data))
            .into();
        assert_eq!(parts(&keys), [0..2, 2..3, 3..4, 4..5]);
        let keys = vec![key("s", 1, 1); 1_001];
        assert_eq!(parts(&keys), [0..500, 500..1_000, 1_000..1_001]);
    }

    #[test]
    fn an_upload_of_nothing_better_leaves_the_etag() {
        let worse = key("s", 9, 5);
        let mut upload = Upload::new(backup().state, totals(2, 500));
        upload.take(&worse, Some((key("s", 5, 10).rank(), 12)));
        let accepted = upload.finish(QUOTA).unwrap();
        assert!(accepted.keys.is_empty());
        assert_eq!(
            (accepted.state, accepted.totals),
            (backup().state, totals(2, 500))
        );
    }

    #[test]
    fn quotas_are_reached_and_not_passed() {
        let put = |before: Totals, keys: &[BackedUpKey]| {
            let mut upload = Upload::new(backup().state, before);
            for key in keys {
                upload.take(key, None);
            }
            upload.finish(QUOTA).map(|accepted| accepted.totals).ok()
        };
        let keys = [key("a", 0, 8), key("b", 0, 8)];
        assert_eq!(put(totals(1, 80), &keys), Some(totals(3, 100)));
        assert_eq!(put(totals(2, 80), &keys), None);
        assert_eq!(put(totals(1, 81), &keys), None);
        // Two keys of one session count as one.
        let twice = [key("a", 5, 8), key("a", 0, 8)];
        assert_eq!(put(totals(2, 80), &twice), Some(totals(3, 90)));
    }

    #[test]
    fn deleted_keys_leave_the_sums_and_move_the_etag() {
        let state = backup().state;
        assert_eq!(without_keys(state, 0), state);
        assert_eq!(without_keys(state, 2), KeyBackupState { count: 0, etag: 6 });
        assert_eq!(totals(2, 50).without_keys(2, 20), totals(0, 30));
        assert_eq!(totals(2, 50).without_version(&backup(), 20), totals(0, 25));
        check_current(1, 1).unwrap();
        let refused = check_current(1, 2);
        assert!(matches!(refused, Err(StoreError::NotCurrentBackup(2))));
    }
}
