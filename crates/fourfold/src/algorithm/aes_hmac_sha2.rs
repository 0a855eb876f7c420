//! `m.secret_storage.v1.aes-hmac-sha2`: AES-256-CTR and HMAC-SHA-256 under keys derived per secret.
//!
//! HKDF-SHA-256(key, salt = 0³², info = name) → aes_key ‖ mac_key, 32 bytes each; the entry is
//! `iv`, `ciphertext` = AES-256-CTR(aes_key, iv, secret) and `mac` = HMAC-SHA-256(mac_key,
//! ciphertext): [the specification's
//! text](https://spec.matrix.org/v1.19/client-server-api/#msecret_storagev1aes-hmac-sha2-1).
//!
//! # Security
//!
//! The MAC covers neither the IV nor the key ID. Anyone who stores the entry can change `iv` so
//! that another text comes out although the MAC verifies. Secrets of a known kind are therefore
//! compared with their public keys ([`crate::secret_kind`]).

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use rand_core::CryptoRng;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{OpenEntryError, array_member, bytes_member, expand, extract, hmac};
use crate::{Content, Secret, SecretName};

/// One encrypted copy of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The initial counter block. Bit 63 is clear in what Fourfold writes.
    pub iv: [u8; 16],
    /// As long as the secret.
    pub ciphertext: Vec<u8>,
    /// HMAC-SHA-256 over the ciphertext.
    pub mac: [u8; 32],
}

impl Entry {
    /// Reads `{"iv": …, "ciphertext": …, "mac": …}`, all base64.
    ///
    /// # Errors
    ///
    /// [`OpenEntryError::Malformed`] names the member that is missing or wrong.
    pub fn from_content(entry: &Content) -> Result<Self, OpenEntryError> {
        Ok(Self {
            iv: array_member(entry, "iv")?,
            ciphertext: bytes_member(entry, "ciphertext")?,
            mac: array_member(entry, "mac")?,
        })
    }

    /// Writes unpadded base64.
    #[must_use]
    pub fn to_content(&self) -> Content {
        // Besides the ciphertext in base64 there are some 90 bytes.
        let mut content = Content::with_capacity(3, self.ciphertext.len() / 3 * 4 + 100);
        content.insert_base64("ciphertext", &self.ciphertext);
        content.insert_base64("iv", &self.iv);
        content.insert_base64("mac", &self.mac);
        content
    }
}

/// A key of this algorithm. What HKDF extracts from it is the same for every secret, and done once.
pub(crate) struct Key {
    bytes: Zeroizing<[u8; 32]>,
    extracted: Hkdf<Sha256>,
}

impl Key {
    pub(crate) fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        let extracted = extract(&bytes);
        Self { bytes, extracted }
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

/// Encrypts a secret. The IV comes from the random number generator and from nowhere else.
pub(crate) fn seal(
    key: &Key,
    name: &SecretName,
    secret: &Secret,
    rng: &mut impl CryptoRng,
) -> Entry {
    let keys = DerivedKeys::new(key, name.as_str());
    let iv = random_iv(rng);
    let mut ciphertext = secret.expose_secret().as_bytes().to_vec();
    keys.apply_keystream(&iv, &mut ciphertext);
    let mac = keys.mac(&ciphertext).finalize().into_bytes().into();
    Entry {
        iv,
        ciphertext,
        mac,
    }
}

/// Decrypts a secret after its MAC has verified.
pub(crate) fn open(key: &Key, name: &SecretName, entry: Entry) -> Result<Secret, OpenEntryError> {
    let keys = DerivedKeys::new(key, name.as_str());
    keys.mac(&entry.ciphertext)
        .verify_slice(&entry.mac)
        .map_err(|_| OpenEntryError::Mac)?;
    if is_ambiguous(&entry.iv, entry.ciphertext.len()) {
        return Err(OpenEntryError::AmbiguousCounter);
    }
    let mut plaintext = Zeroizing::new(entry.ciphertext);
    keys.apply_keystream(&entry.iv, &mut plaintext);
    Secret::from_utf8(plaintext).ok_or(OpenEntryError::NotText)
}

/// The `mac` of a key description: 32 zero bytes encrypted with an empty name.
///
/// Kept apart from [`seal`], so that a secret can never pose as a key check.
pub(crate) fn key_check_mac(key: &Key, iv: &[u8; 16]) -> [u8; 32] {
    let keys = DerivedKeys::new(key, "");
    let mut zeros = [0; 32];
    keys.apply_keystream(iv, &mut zeros);
    keys.mac(&zeros).finalize().into_bytes().into()
}

/// 16 random bytes with bit 63 (counted from the least significant) cleared, because some clients
/// count with 64 bits only.
pub(crate) fn random_iv(rng: &mut impl CryptoRng) -> [u8; 16] {
    let mut iv = [0; 16];
    rng.fill_bytes(&mut iv);
    clear_bit_63(iv)
}

/// The same IV with bit 63 cleared.
pub(crate) fn clear_bit_63(iv: [u8; 16]) -> [u8; 16] {
    (u128::from_be_bytes(iv) & !(1 << 63)).to_be_bytes()
}

/// The AES key and the MAC key.
struct DerivedKeys(Zeroizing<[[u8; 32]; 2]>);

impl DerivedKeys {
    fn new(key: &Key, info: &str) -> Self {
        let mut keys = Zeroizing::new([[0; 32]; 2]);
        expand(&key.extracted, info, keys.as_flattened_mut());
        Self(keys)
    }

    fn apply_keystream(&self, iv: &[u8; 16], bytes: &mut [u8]) {
        let [aes, _] = &*self.0;
        Ctr128BE::<Aes256>::new(aes.into(), iv.into()).apply_keystream(bytes);
    }

    fn mac(&self, ciphertext: &[u8]) -> Hmac<Sha256> {
        let [_, mac] = &*self.0;
        hmac(mac).chain_update(ciphertext)
    }
}

/// Returns `true` if the low 64 bits of the counter overflow, where a 64-bit counter wraps and a
/// 128-bit counter carries.
fn is_ambiguous(iv: &[u8; 16], length: usize) -> bool {
    let low = u128::from_be_bytes(*iv) & u128::from(u64::MAX);
    low + length.div_ceil(16) as u128 > 1 << 64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn key(bytes: [u8; 32]) -> Key {
        Key::new(bytes.into())
    }

    // shows: LIB-05, SE-01
    #[test]
    fn every_bit_of_ciphertext_and_mac_is_authenticated() {
        let (key, name) = (key([7; 32]), SecretName::new("org.example.secret").unwrap());
        let entry = seal(
            &key,
            &name,
            &Secret::new("x".repeat(60)),
            &mut testing::rng(),
        );
        for bit in 0..entry.ciphertext.len() * 8 {
            let mut changed = entry.clone();
            changed.ciphertext[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&key, &name, changed).unwrap_err(), OpenEntryError::Mac);
        }
        for bit in 0..256 {
            let mut changed = entry.clone();
            changed.mac[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&key, &name, changed).unwrap_err(), OpenEntryError::Mac);
        }
    }

    // shows: LIB-06, LIB-13
    #[test]
    fn ivs_are_fresh_and_have_bit_63_clear() {
        let mut rng = testing::rng();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..100_000 {
            let iv = random_iv(&mut rng);
            assert_eq!(iv[8] & 0x80, 0);
            assert!(seen.insert(iv));
        }
    }

    // shows: SUP-02, LIB-21
    #[test]
    fn the_states_of_ciphers_hashes_and_keys_are_wiped() {
        fn is_wiped<T: zeroize::ZeroizeOnDrop>() {}
        is_wiped::<Aes256>();
        is_wiped::<Ctr128BE<Aes256>>();
        is_wiped::<cbc::Encryptor<Aes256>>();
        is_wiped::<cbc::Decryptor<Aes256>>();
        // HKDF and PBKDF2 hold an HMAC, and HMAC holds these.
        is_wiped::<Sha256>();
        is_wiped::<sha2::Sha512>();
        is_wiped::<ed25519_dalek::SigningKey>();
        is_wiped::<x25519_dalek::StaticSecret>();
        is_wiped::<x25519_dalek::SharedSecret>();
    }

    // shows: LIB-07
    #[test]
    fn derives_the_known_keys() {
        for vector in testing::vectors("derive_keys") {
            let keys = DerivedKeys::new(&key(vector.bytes("key_hex")), vector.text("name"));
            let [aes, mac] = &*keys.0;
            vector.expect_ok(&serde_json::json!({
                "aes_key_hex": testing::hex(aes),
                "mac_key_hex": testing::hex(mac),
            }));
        }
    }
}
