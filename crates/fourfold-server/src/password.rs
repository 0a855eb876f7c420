//! Passwords: Argon2id, off the async threads, a few at a time.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::config::PasswordCost;
use crate::error::MatrixError;

/// Makes and checks password hashes.
pub(crate) struct Passwords {
    params: Params,
    /// Hash of nobody's password: checked when there is no such user, so that the answer takes as
    /// long as for one.
    decoy: String,
    /// Each hash takes its memory; more than the processors can work on would only take more.
    permits: Arc<Semaphore>,
    #[cfg(test)]
    hashed: std::sync::atomic::AtomicUsize,
}

impl Passwords {
    /// Takes the cost; `None` when Argon2id does not allow it. Blocks for one hash.
    pub(crate) fn new(cost: PasswordCost) -> Option<Self> {
        let params = Params::new(cost.memory_kib, cost.iterations, cost.parallelism, None).ok()?;
        let decoy = hasher(&params).hash_password(b"").ok()?.to_string();
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Some(Self {
            params,
            decoy,
            permits: Arc::new(Semaphore::new(processors)),
            #[cfg(test)]
            hashed: std::sync::atomic::AtomicUsize::default(),
        })
    }

    /// Hashes a password into a PHC string.
    pub(crate) async fn hash(&self, password: Zeroizing<String>) -> Result<String, MatrixError> {
        let params = self.params.clone();
        let hash = self
            .work(move || hasher(&params).hash_password(password.as_bytes()))
            .await?;
        let hash = hash.map_err(|error| {
            tracing::error!(%error, "a password cannot be hashed");
            MatrixError::Internal
        })?;
        Ok(hash.to_string())
    }

    /// Whether the password is the one of the hash. Takes the same time without a hash, and is then
    /// false.
    pub(crate) async fn verify(
        &self,
        password: Zeroizing<String>,
        stored: Option<String>,
    ) -> Result<bool, MatrixError> {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.decoy.clone());
        let matches = self
            .work(move || {
                // The parameters come from the hash; the comparison takes constant time.
                PasswordHash::new(&stored).is_ok_and(|hash| {
                    Argon2::default()
                        .verify_password(password.as_bytes(), &hash)
                        .is_ok()
                })
            })
            .await?;
        Ok(matches && known)
    }

    #[cfg(test)]
    pub(crate) fn hashed(&self) -> usize {
        self.hashed.load(std::sync::atomic::Ordering::SeqCst)
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, MatrixError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| MatrixError::ShuttingDown)?;
        #[cfg(test)]
        self.hashed
            .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        // The permit goes with the work: a client that hangs up does not make room for another.
        let worked = tokio::task::spawn_blocking(move || {
            let outcome = work();
            drop(permit);
            outcome
        });
        worked.await.map_err(|error| {
            tracing::error!(%error, "hashing a password ended badly");
            MatrixError::Internal
        })
    }
}

fn hasher(params: &Params) -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[tokio::test]
    async fn verifies_its_own_hashes_and_nothing_else() {
        let passwords = Passwords::new(PasswordCost::minimal()).unwrap();
        let hash = passwords.hash(password("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
        assert!(
            passwords
                .verify(password("correct horse"), Some(hash.clone()))
                .await
                .unwrap()
        );
        assert!(
            !passwords
                .verify(password("battery"), Some(hash))
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn nobody_has_no_password() {
        let passwords = Passwords::new(PasswordCost::minimal()).unwrap();
        // Not even the decoy's own.
        assert!(!passwords.verify(password(""), None).await.unwrap());
    }

    #[test]
    fn refuses_a_cost_that_is_none() {
        assert!(
            Passwords::new(PasswordCost {
                iterations: 0,
                ..PasswordCost::minimal()
            })
            .is_none()
        );
    }
}
