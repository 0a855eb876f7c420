//! Passwords: Argon2id, off the async threads, a few at a time.
//!
//! The memory of a hash is kept for the next one. Memory of that size that is allocated and freed by
//! one thread after another stays with the allocator, once for every thread that ever hashed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version, password_hash};
use tokio::sync::Semaphore;
use zeroize::{Zeroize, Zeroizing};

use crate::config::PasswordCost;
use crate::http::error::MatrixError;

/// Makes and checks password hashes.
pub(crate) struct Passwords {
    params: Params,
    /// Hash of nobody's password: checked when there is no such user, so that the answer takes as
    /// long as for one.
    decoy: String,
    memory: Arc<Memory>,
    /// Each hash takes its memory; more than the processors can work on would only take more.
    permits: Arc<Semaphore>,
    #[cfg(test)]
    hashed: std::sync::atomic::AtomicUsize,
}

impl Passwords {
    /// Takes the cost; `None` when Argon2id does not allow it. Blocks for one hash.
    pub(crate) fn new(cost: PasswordCost) -> Option<Self> {
        let params = Params::new(cost.memory_kib, cost.iterations, cost.parallelism, None).ok()?;
        let memory = Arc::new(Memory::default());
        let decoy = memory.with(|blocks| hash(&params, b"", blocks)).ok()?;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Some(Self {
            params,
            decoy,
            memory,
            permits: Arc::new(Semaphore::new(processors.min(MAX_AT_ONCE))),
            #[cfg(test)]
            hashed: std::sync::atomic::AtomicUsize::default(),
        })
    }

    /// Hashes a password into a PHC string.
    pub(crate) async fn hash(&self, password: Zeroizing<String>) -> Result<String, MatrixError> {
        let params = self.params.clone();
        let hash = self
            .work(move |blocks| hash(&params, password.as_bytes(), blocks))
            .await?;
        hash.map_err(|error| {
            tracing::error!(%error, "a password cannot be hashed");
            MatrixError::Internal
        })
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
            .work(move |blocks| matches(&stored, password.as_bytes(), blocks))
            .await?;
        Ok(matches && known)
    }

    #[cfg(test)]
    pub(crate) fn hashed(&self) -> usize {
        self.hashed.load(std::sync::atomic::Ordering::SeqCst)
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Result<T, MatrixError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| MatrixError::ShuttingDown)?;
        #[cfg(test)]
        self.hashed
            .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let memory = Arc::clone(&self.memory);
        // The work holds the permit: a client that disconnects does not make room for another.
        let worked = tokio::task::spawn_blocking(move || {
            let outcome = memory.with(work);
            drop(permit);
            outcome
        });
        worked.await.map_err(|error| {
            tracing::error!(%error, "hashing a password failed");
            MatrixError::Internal
        })
    }
}

/// What hashes have worked in, wiped, for those that come: as many as ever worked at once.
#[derive(Default)]
struct Memory(Mutex<Vec<Vec<Block>>>);

impl Memory {
    fn with<T>(&self, work: impl FnOnce(&mut Vec<Block>) -> T) -> T {
        let mut blocks = self.idle().pop().unwrap_or_default();
        let done = work(&mut blocks);
        // This memory reveals the password with less work than the hash does.
        blocks.iter_mut().zeroize();
        self.idle().push(blocks);
        done
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(
    params: &Params,
    password: &[u8],
    blocks: &mut Vec<Block>,
) -> password_hash::Result<String> {
    let salt = Salt::generate();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let output = compute(&argon2, password, &salt, length, blocks)?;
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params)?,
        salt: Some(salt),
        hash: Some(output),
    };
    Ok(hash.to_string())
}

/// Returns `true` if the password is the one of the hash, from which the parameters come. What
/// cannot be read matches no password.
fn matches(stored: &str, password: &[u8], blocks: &mut Vec<Block>) -> bool {
    let mut check = || {
        let stored = PasswordHash::new(stored).ok()?;
        let algorithm = Algorithm::try_from(stored.algorithm.as_str()).ok()?;
        let version = stored.version.map(Version::try_from).transpose().ok()?;
        let params = Params::try_from(&stored).ok()?;
        let argon2 = Argon2::new(algorithm, version.unwrap_or_default(), params);
        let (salt, expected) = (stored.salt?, stored.hash?);
        let output = compute(&argon2, password, &salt, expected.len(), blocks).ok()?;
        // Compares in constant time.
        Some(output == expected)
    };
    check().unwrap_or(false)
}

fn compute(
    argon2: &Argon2<'_>,
    password: &[u8],
    salt: &[u8],
    length: usize,
    blocks: &mut Vec<Block>,
) -> password_hash::Result<Output> {
    let needed = argon2.params().block_count();
    if blocks.len() < needed {
        blocks.resize(needed, Block::new());
    }
    let blocks = blocks.get_mut(..needed).unwrap_or_default();
    let mut output = [0; Output::MAX_LENGTH];
    let output = output.get_mut(..length);
    let output = output.ok_or(password_hash::Error::OutputSize)?;
    argon2.hash_password_into_with_memory(password, salt, output, blocks)?;
    Ok(Output::new(output)?)
}

/// Hashes at a time, on a machine with more processors than that too: each keeps its memory.
const MAX_AT_ONCE: usize = 4;

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

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

    #[tokio::test]
    async fn works_in_the_same_memory_again_and_leaves_nothing_in_it() {
        let passwords = Arc::new(Passwords::new(PasswordCost::minimal()).unwrap());
        let hash = passwords.hash(password("correct horse")).await.unwrap();
        let mut guesses = JoinSet::new();
        for _ in 0..100 {
            let (passwords, hash) = (Arc::clone(&passwords), hash.clone());
            guesses.spawn(async move { passwords.verify(password("guess"), Some(hash)).await });
        }
        while let Some(matches) = guesses.join_next().await {
            assert!(!matches.unwrap().unwrap());
        }
        let kept = passwords.memory.idle();
        assert!((1..=MAX_AT_ONCE).contains(&kept.len()), "{}", kept.len());
        for blocks in kept.iter() {
            assert_eq!(blocks.len(), 8);
            let mut words = blocks.iter().flat_map(|block| block.as_ref());
            assert!(words.all(|word| *word == 0));
        }
    }

    #[tokio::test]
    async fn checks_hashes_of_another_cost() {
        let cheap = Passwords::new(PasswordCost::minimal()).unwrap();
        let costly = PasswordCost {
            memory_kib: 64,
            iterations: 2,
            parallelism: 2,
        };
        let costly = Passwords::new(costly).unwrap();
        for (one, other) in [(&cheap, &costly), (&costly, &cheap)] {
            let hash = one.hash(password("correct horse")).await.unwrap();
            let right = other.verify(password("correct horse"), Some(hash.clone()));
            assert!(right.await.unwrap());
            let wrong = other.verify(password("battery"), Some(hash));
            assert!(!wrong.await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_hash_that_cannot_be_read_fits_nothing() {
        let passwords = Passwords::new(PasswordCost::minimal()).unwrap();
        for stored in [
            "",
            "x",
            "$argon2id$v=19$m=8,t=1,p=1",
            "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ",
            "$scrypt$ln=1,r=8,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
        ] {
            let matches = passwords.verify(password(""), Some(stored.to_owned()));
            assert!(!matches.await.unwrap(), "{stored}");
        }
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
