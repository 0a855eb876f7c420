//! The key that seals what a device keeps on disk.

use std::fmt;

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use fourfold::rand_core::CryptoRng;
use zeroize::Zeroizing;

/// The 32 random bytes with which everything secret of a device is sealed on disk: its private
/// keys, its Olm sessions, and secrets that arrived and were not taken yet.
///
/// It belongs into the keyring of the operating system, or into a file of its own, and never beside
/// what it seals. Wiped when dropped, never printed.
///
/// ```
/// use fourfold_client::SealingKey;
/// let mut rng = fourfold::rand_core::UnwrapErr(getrandom::SysRng);
/// let key = SealingKey::generate(&mut rng);
/// let again = SealingKey::from_bytes(key.expose_bytes());
/// assert_eq!(format!("{again:?}"), "SealingKey(..)");
/// ```
#[derive(Clone)]
pub struct SealingKey(Zeroizing<[u8; 32]>);

impl SealingKey {
    /// Makes a new key.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *bytes);
        Self(bytes)
    }

    /// Takes a key that was kept elsewhere. The caller wipes its own copy.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The key itself, to be kept elsewhere.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Seals bytes for one place, under a nonce of their own. `None` when the operating system has
    /// no random numbers.
    pub(crate) fn seal(&self, plaintext: &[u8], place: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).ok()?;
        let payload = Payload {
            msg: plaintext,
            aad: place,
        };
        let ciphertext = self.cipher().encrypt(&XNonce::from(nonce), payload).ok()?;
        let mut sealed = nonce.to_vec();
        sealed.extend_from_slice(&ciphertext);
        Some(sealed)
    }

    /// Opens what was sealed for the same place. `None` when this key or this place does not fit,
    /// or when a byte was changed.
    pub(crate) fn open(&self, sealed: &[u8], place: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload {
            msg: ciphertext,
            aad: place,
        };
        let opened = self.cipher().decrypt(&XNonce::from(*nonce), payload);
        opened.ok().map(Zeroizing::new)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.0).into())
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(..)")
    }
}

const NONCE_BYTES: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    // shows: AGT-10
    #[test]
    fn opens_only_with_its_key_at_its_place_and_unchanged() {
        let key = SealingKey::from_bytes(&[7; 32]);
        let sealed = key.seal(b"canary", b"here").unwrap();
        assert_eq!(key.open(&sealed, b"here").unwrap().as_slice(), b"canary");
        assert!(!sealed.windows(6).any(|window| window == b"canary"));

        assert!(key.open(&sealed, b"there").is_none());
        let other = SealingKey::from_bytes(&[8; 32]);
        assert!(other.open(&sealed, b"here").is_none());
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(key.open(&changed, b"here").is_none(), "{position}");
            assert!(key.open(&sealed[..position], b"here").is_none());
        }
    }

    // shows: AGT-10
    #[test]
    fn the_same_bytes_are_never_sealed_the_same_way() {
        let key = SealingKey::from_bytes(&[7; 32]);
        assert_ne!(key.seal(b"", b"").unwrap(), key.seal(b"", b"").unwrap());
    }
}
