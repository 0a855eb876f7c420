//! The key that is kept, as long as it is.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fourfold::{KeyId, ProvenKey};
use tokio::sync::watch;

use crate::agent::audit::{AuditLog, Record};
use crate::agent::lifetime::{Kept, Limits, Moment};
use crate::error::Result;
use crate::memory;
use crate::terminal::messages;

/// Holds at most one key, and forgets it in time.
///
/// Every use looks at the clock first, so that a key that should be gone is, even when the machine
/// or the process had been stopped.
pub(crate) struct Vault {
    /// In a box, so that what moves is the box, and the key lies in one place until it is wiped there.
    kept: Mutex<Option<Kept<Box<ProvenKey>>>>,
    idle: Duration,
    clock: Box<dyn Fn() -> Moment + Send + Sync>,
    audit: AuditLog,
    unlocked: watch::Sender<bool>,
}

impl Vault {
    /// Empty.
    pub(crate) fn new(
        idle: Duration,
        audit: AuditLog,
        clock: impl Fn() -> Moment + Send + Sync + 'static,
    ) -> Self {
        Self {
            kept: Mutex::new(None),
            idle,
            clock: Box::new(clock),
            audit,
            unlocked: watch::Sender::new(false),
        }
    }

    /// Keeps a key, in the place of the one before.
    pub(crate) fn unlock(&self, key: ProvenKey, lifetime: Option<Duration>) -> Result<()> {
        let reason = format!("with the key {}", key.id());
        self.audit.write(Record::new("unlocked").reason(reason))?;
        let limits = Limits {
            idle: self.idle,
            lifetime,
        };
        let kept = Kept::new(Box::new(key), limits, (self.clock)());
        *self.lock_kept() = Some(kept);
        self.unlocked.send_replace(true);
        Ok(())
    }

    /// Forgets the key.
    pub(crate) fn lock(&self, reason: &str) {
        let kept = self.lock_kept().take();
        self.forgotten(kept, reason);
    }

    /// Does something with the key, which counts as use; `None` when it is locked.
    pub(crate) fn using<T>(&self, work: impl FnOnce(&ProvenKey) -> T) -> Option<T> {
        self.expire();
        memory::leaving_nothing(|| {
            let mut kept = self.lock_kept();
            kept.as_mut().map(|kept| work(kept.using((self.clock)())))
        })
    }

    /// As [`using`](Self::using), on behalf of another device: that is no use by the user, and does
    /// not make the key stay.
    pub(crate) fn lending<T>(&self, work: impl FnOnce(&ProvenKey) -> T) -> Option<T> {
        self.expire();
        memory::leaving_nothing(|| self.lock_kept().as_ref().map(|kept| work(kept.value())))
    }

    /// Which key is kept, and for how long when it is not used.
    pub(crate) fn status(&self) -> Option<(KeyId, Duration)> {
        self.expire();
        let now = (self.clock)();
        self.lock_kept()
            .as_ref()
            .map(|kept| (kept.value().id().clone(), kept.remaining(now)))
    }

    /// Tells whether it is unlocked, now and whenever that changes.
    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.unlocked.subscribe()
    }

    /// Forgets the key when its time has come. Never returns.
    pub(crate) async fn keep_time(&self) {
        let mut changed = self.unlocked.subscribe();
        loop {
            self.expire();
            let remaining = self.status().map(|(_, remaining)| remaining);
            // The runtime does not count the time that the machine is suspended.
            let pause = remaining.map_or(MAX_PAUSE, |remaining| remaining.min(MAX_PAUSE));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = changed.changed() => {}
            }
        }
    }

    fn expire(&self) {
        let mut kept = self.lock_kept();
        let expired = kept.as_ref().and_then(|kept| kept.expired((self.clock)()));
        if let Some(expired) = expired {
            let gone = kept.take();
            drop(kept);
            self.forgotten(gone, expired.reason());
        }
    }

    fn forgotten(&self, kept: Option<Kept<Box<ProvenKey>>>, reason: &str) {
        if kept.is_none() {
            return;
        }
        drop(kept);
        self.unlocked.send_replace(false);
        if let Err(error) = self.audit.write(Record::new("locked").reason(reason)) {
            messages::warn(error.message);
        }
    }

    fn lock_kept(&self) -> std::sync::MutexGuard<'_, Option<Kept<Box<ProvenKey>>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const MAX_PAUSE: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use fourfold::NewKey;

    use super::*;
    use crate::keys::random::rng;

    /// A vault whose clock is set by hand, in seconds.
    fn vault() -> (tempfile::TempDir, Vault, Arc<AtomicU64>) {
        let folder = tempfile::tempdir().unwrap();
        let audit = AuditLog::of(folder.path(), "@alice:localhost").unwrap();
        let seconds = Arc::new(AtomicU64::new(1000));
        let clock = Arc::clone(&seconds);
        let vault = Vault::new(Duration::from_secs(900), audit, move || {
            let now = Duration::from_secs(clock.load(Ordering::SeqCst));
            Moment {
                since_boot: now,
                awake: now,
            }
        });
        (folder, vault, seconds)
    }

    fn key() -> ProvenKey {
        NewKey::random(None, &mut rng()).into_key()
    }

    #[test]
    fn a_key_is_there_until_it_is_not() {
        let (_folder, vault, seconds) = vault();
        assert!(vault.using(|_| ()).is_none() && vault.status().is_none());
        let key = key();
        let id = key.id().clone();
        vault.unlock(key, None).unwrap();
        assert_eq!(vault.status(), Some((id.clone(), Duration::from_secs(900))));
        seconds.fetch_add(899, Ordering::SeqCst);
        assert_eq!(vault.using(|key| key.id().clone()), Some(id));
        seconds.fetch_add(899, Ordering::SeqCst);
        // To look at it is no use of it.
        assert!(vault.status().is_some());
        seconds.fetch_add(1, Ordering::SeqCst);
        assert!(vault.using(|_| ()).is_none());
        let events: Vec<_> = vault.audit.read().unwrap();
        let events: Vec<_> = events.iter().map(|record| record.event.as_str()).collect();
        assert_eq!(events, ["unlocked", "locked"]);
    }

    #[test]
    fn lock_says_so_once() {
        let (_folder, vault, _) = vault();
        let watch = vault.watch();
        vault.unlock(key(), Some(Duration::from_secs(60))).unwrap();
        assert!(*watch.borrow());
        vault.lock("asked to");
        vault.lock("asked to");
        assert!(!*watch.borrow() && vault.using(|_| ()).is_none());
        assert_eq!(vault.audit.read().unwrap().len(), 2);
    }

    // shows: AGT-04
    #[tokio::test(start_paused = true)]
    async fn the_key_goes_without_anybody_asking() {
        let (_folder, vault, seconds) = vault();
        vault.unlock(key(), Some(Duration::from_secs(60))).unwrap();
        let mut watch = vault.watch();
        seconds.fetch_add(60, Ordering::SeqCst);
        tokio::select! {
            () = vault.keep_time() => {}
            changed = watch.wait_for(|unlocked| !unlocked) => assert!(changed.is_ok()),
        }
    }
}
