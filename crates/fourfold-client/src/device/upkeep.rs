//! One-time keys and the fallback key, as the server says to hold them; and noticing that the files
//! of this device are an older copy.
//!
//! A copy that was put back by a backup or a snapshot of the machine has lost the private halves of
//! the one-time keys that were uploaded since, and knows older states of its sessions. Both are
//! handled:
//!
//! - No message key is ever used twice, whether the copy is noticed or not: a sending chain is never
//!   continued by another run of the program (see `Sessions::for_sending`).
//! - It is noticed when the server holds more one-time keys than there are private halves here, or
//!   refuses new ones because it holds others under the same IDs. Then the sessions are dropped, the
//!   keys that nobody can use any more are claimed back so that no device gets them, new ones are
//!   uploaded, and the user is told.
//!
//! A counter on the server would notice a little earlier, but would stand where the user's other
//! devices and the server see how often this one is used. A server that lies about its count costs
//! new sessions, once a day at most.

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::olm::own_keys::OwnKeys;
use super::olm::peer::{HOUR, is_within};
use super::{Device, DeviceError};
use crate::Account;
use crate::account::SyncAnswer;
use crate::local_state::Table;

/// When things were done to the keys, in milliseconds of the wall clock.
#[derive(Clone, Default, Deserialize, Serialize)]
pub(super) struct Times {
    fallback_key_made: Option<u64>,
    /// Whether an older fallback key is still kept, for messages on their way.
    has_older_fallback_key: bool,
    restored: Option<u64>,
    one_time_keys_made: u64,
    one_time_keys_made_since: u64,
}

impl Times {
    /// How many one-time keys may be made now, of so many that are wanted. A server that says again
    /// and again that they are used up gets no more than these in an hour.
    pub(super) fn allow_one_time_keys(&mut self, wanted: u64, now: u64) -> u64 {
        if !is_within(self.one_time_keys_made_since, now, HOUR) {
            self.one_time_keys_made = 0;
            self.one_time_keys_made_since = now;
        }
        let allowed = wanted.min(MOST_AN_HOUR.saturating_sub(self.one_time_keys_made));
        self.one_time_keys_made += allowed;
        allowed
    }

    /// Whether the fallback key may be replaced: once an hour.
    pub(super) fn may_make_fallback_key(&self, now: u64) -> bool {
        !self
            .fallback_key_made
            .is_some_and(|made| is_within(made, now, HOUR))
    }

    pub(super) fn made_fallback_key(&mut self, now: u64) {
        self.has_older_fallback_key = self.fallback_key_made.is_some();
        self.fallback_key_made = Some(now);
    }
}

impl Device {
    /// Takes in what the server says to hold. Pending until the caller commits. `true` when this
    /// shows that the files are an older copy.
    pub(super) fn observe_counts(&mut self, answer: &SyncAnswer) -> Result<bool, DeviceError> {
        let now = self.clock.now().as_millis();
        let mut keys = self.keys()?;
        let count = answer
            .device_one_time_keys_count
            .map(|count| count.signed_curve25519);
        let unused = answer.device_unused_fallback_key_types.as_ref();
        let has_fallback_key = unused.map(|types| types.have("signed_curve25519"));
        let forget = keys.times.has_older_fallback_key && keys.times.may_make_fallback_key(now);
        let is_news = count.is_some_and(|count| keys.published.one_time_keys != Some(count))
            || has_fallback_key.is_some_and(|has| keys.published.fallback_key != has)
            || forget;
        if !is_news {
            return Ok(false);
        }
        if forget {
            keys.account.forget_fallback_key();
            keys.times.has_older_fallback_key = false;
        }
        if let Some(has) = has_fallback_key {
            keys.published.fallback_key = has;
        }
        let stored = u64::try_from(keys.account.stored_one_time_key_count()).unwrap_or(u64::MAX);
        if let Some(count) = count {
            keys.published.one_time_keys = Some(count.min(stored));
        }
        keys.save(&mut self.rows)?;
        Ok(count.is_some_and(|count| count > stored))
    }

    /// Makes the best of files that are an older copy: no session, and no one-time key on the server
    /// whose private half is gone. At most once a day; `false` when it was done within a day.
    pub(super) async fn start_over(&mut self, account: &Account) -> Result<bool, DeviceError> {
        let now = self.clock.now().as_millis();
        let mut keys = self.keys()?;
        if keys
            .times
            .restored
            .is_some_and(|at| is_within(at, now, DAY))
        {
            return Ok(false);
        }
        warn!("the files of this device are an older copy: its sessions are dropped");
        keys.times.restored = Some(now);
        // The IDs of keys that were made after the copy was taken are not used a second time, as far
        // as can be told from here.
        keys.account.generate_one_time_keys(SKIPPED_IDS);
        keys.account.mark_keys_as_published();
        // The keys of the device stay: uploaded anew, some servers forget who signed them.
        keys.published.one_time_keys = None;
        keys.published.fallback_key = false;
        keys.save(&mut self.rows)?;
        for session in self.rows.names(Table::Session, "")? {
            self.rows.delete(Table::Session, &session);
        }
        self.commit()?;
        self.claim_back(account).await;
        Ok(true)
    }

    /// Claims the keys of this device until the server has none, so that nobody else gets one.
    async fn claim_back(&mut self, account: &Account) {
        for _ in 0..MOST_CLAIMED_BACK {
            let claimed = account
                .keys_claim(&self.user_id, &[&self.device_id])
                .await
                .ok()
                .and_then(|mut claimed| claimed.remove(&self.device_id));
            let is_one_time_key = claimed.is_some_and(|claimed| {
                claimed.members().any(|id| {
                    let key = claimed.object(id).and_then(Result::ok);
                    key.is_some_and(|key| key.get("fallback") != Some(Ok(true)))
                })
            });
            if !is_one_time_key {
                return;
            }
        }
    }
}

impl OwnKeys {
    /// Makes what the server lacks.
    pub(super) fn make_missing(&mut self, now: u64) {
        let on_server = self.published.one_time_keys.unwrap_or(0);
        // Keys that an upload was begun with come before any new ones.
        if self.account.one_time_keys().is_empty() && on_server < KEEP_AT_LEAST {
            let missing = FILL_UP_TO.saturating_sub(on_server);
            let allowed = self.times.allow_one_time_keys(missing, now);
            self.account
                .generate_one_time_keys(usize::try_from(allowed).unwrap_or_default());
        }
        if self.account.fallback_key().is_empty()
            && !self.published.fallback_key
            && self.times.may_make_fallback_key(now)
        {
            self.account.generate_fallback_key();
            self.times.made_fallback_key(now);
        }
    }
}

/// How many one-time keys the server is filled up to.
const FILL_UP_TO: u64 = 50;

/// With fewer than this, the server is filled up.
const KEEP_AT_LEAST: u64 = 25;

const MOST_AN_HOUR: u64 = 500;

const DAY: u64 = 24 * HOUR;

const SKIPPED_IDS: usize = 100;

const MOST_CLAIMED_BACK: usize = 200;
