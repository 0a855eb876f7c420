//! `m.secret_storage.v1.curve25519-aes-sha2`: the algorithm of MSC1946 in August 2019.
//!
//! X25519 with an ephemeral key, HKDF-SHA-256(shared, salt = 0³², info = "") → aes_key ‖ mac_key ‖
//! iv (32, 32 and 16 bytes), AES-256-CBC with PKCS#7 padding, and the first 8 bytes of an
//! HMAC-SHA-256: see the text of MSC1946, "Encryption algorithms".
//!
//! # Security
//!
//! Anyone who knows the public key can encrypt, and in the deployed [`MacMode::Libolm`] the MAC
//! does not even cover the ciphertext. What this algorithm opens is unauthenticated.

use aes::Aes256;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use hmac::{Hmac, Mac as _};
use rand_core::CryptoRng;
use sha2::Sha256;
use x25519_dalek::{PublicKey as X25519PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::{MemberProblem, OpenEntryError, array_member, bytes_member, expand, extract, hmac};
use crate::{Content, Secret};

/// The input of the MAC of an entry. Both variants exist because implementations did not follow the
/// text.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "no third kind can come up for a retired algorithm"
)]
pub enum MacMode {
    /// Over nothing at all. This is what every client wrote, because libolm did.
    Libolm,
    /// Over the ciphertext, as the text says. No deployed client can read it.
    Spec,
}

/// One encrypted copy of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// AES-256-CBC of the secret.
    pub ciphertext: Vec<u8>,
    /// The public half of the key that was made for this entry.
    pub ephemeral: [u8; 32],
    /// The first 8 bytes of the HMAC.
    pub mac: [u8; 8],
}

impl Entry {
    /// Reads `{"ciphertext": …, "ephemeral": …, "mac": …}`, all base64.
    ///
    /// # Errors
    ///
    /// [`OpenEntryError::Malformed`] names the member that is missing or wrong.
    pub fn from_content(entry: &Content) -> Result<Self, OpenEntryError> {
        let ciphertext = bytes_member(entry, "ciphertext")?;
        if ciphertext.is_empty() || ciphertext.len() % 16 != 0 {
            let (member, problem) = ("ciphertext", MemberProblem::Blocks);
            return Err(OpenEntryError::Malformed { member, problem });
        }
        Ok(Self {
            ciphertext,
            ephemeral: array_member(entry, "ephemeral")?,
            mac: array_member(entry, "mac")?,
        })
    }

    /// Writes unpadded base64.
    #[must_use]
    pub fn to_content(&self) -> Content {
        let mut content = Content::default();
        content.insert_base64("ciphertext", &self.ciphertext);
        content.insert_base64("ephemeral", &self.ephemeral);
        content.insert_base64("mac", &self.mac);
        content
    }
}

/// The public half of a private key, as in `pubkey` of a key description.
pub(crate) fn public_key(private_key: &[u8; 32]) -> [u8; 32] {
    X25519PublicKey::from(&StaticSecret::from(*private_key)).to_bytes()
}

/// Encrypts a secret to a public key. Fails when that is a key of low order.
pub(crate) fn seal(
    recipient: &[u8; 32],
    secret: &Secret,
    mode: MacMode,
    rng: &mut impl CryptoRng,
) -> Result<Entry, OpenEntryError> {
    let ephemeral = StaticSecret::random_from_rng(rng);
    let keys = DerivedKeys::agree(&ephemeral, recipient, "pubkey")?;
    let ciphertext = cbc::Encryptor::<Aes256>::new((&*keys.aes).into(), (&*keys.iv).into())
        .encrypt_padded_vec::<Pkcs7>(secret.expose_secret().as_bytes());
    let mac = keys.mac(&ciphertext, mode);
    Ok(Entry {
        ciphertext,
        ephemeral: X25519PublicKey::from(&ephemeral).to_bytes(),
        mac,
    })
}

/// Decrypts a secret after its MAC has verified in one of the two modes, and says in which.
pub(crate) fn open(
    private_key: &[u8; 32],
    entry: &Entry,
) -> Result<(Secret, MacMode), OpenEntryError> {
    let keys = DerivedKeys::agree(
        &StaticSecret::from(*private_key),
        &entry.ephemeral,
        "ephemeral",
    )?;
    let mode = keys.verify(entry)?;
    // In place: what is wrong at its end is wiped, too.
    let mut plaintext = Zeroizing::new(entry.ciphertext.clone());
    let length = cbc::Decryptor::<Aes256>::new((&*keys.aes).into(), (&*keys.iv).into())
        .decrypt_padded::<Pkcs7>(plaintext.as_mut_slice())
        .map(<[u8]>::len)
        .map_err(|_| OpenEntryError::Malformed {
            member: "ciphertext",
            problem: MemberProblem::Padding,
        })?;
    plaintext.truncate(length);
    Secret::from_utf8(plaintext)
        .map(|secret| (secret, mode))
        .ok_or(OpenEntryError::NotText)
}

struct DerivedKeys {
    aes: Zeroizing<[u8; 32]>,
    mac: Zeroizing<[u8; 32]>,
    iv: Zeroizing<[u8; 16]>,
}

impl DerivedKeys {
    fn agree(
        ours: &StaticSecret,
        theirs: &[u8; 32],
        member: &'static str,
    ) -> Result<Self, OpenEntryError> {
        let shared = ours.diffie_hellman(&X25519PublicKey::from(*theirs));
        if !shared.was_contributory() {
            return Err(OpenEntryError::Malformed {
                member,
                problem: MemberProblem::LowOrder,
            });
        }
        let mut okm = Zeroizing::new([0; 80]);
        expand(&extract(shared.as_bytes()), "", okm.as_mut_slice());
        let mut keys = Self {
            aes: Zeroizing::new([0; 32]),
            mac: Zeroizing::new([0; 32]),
            iv: Zeroizing::new([0; 16]),
        };
        let (aes, rest) = okm.split_at(32);
        let (mac, iv) = rest.split_at(32);
        keys.aes.copy_from_slice(aes);
        keys.mac.copy_from_slice(mac);
        keys.iv.copy_from_slice(iv);
        Ok(keys)
    }

    fn mac(&self, ciphertext: &[u8], mode: MacMode) -> [u8; 8] {
        let full = self.hmac(ciphertext, mode).finalize().into_bytes();
        let mut mac = [0; 8];
        mac.iter_mut().zip(full).for_each(|(mac, byte)| *mac = byte);
        mac
    }

    fn verify(&self, entry: &Entry) -> Result<MacMode, OpenEntryError> {
        let fits = |mode| {
            self.hmac(&entry.ciphertext, mode)
                .verify_truncated_left(&entry.mac)
                .is_ok()
        };
        // Both are always computed: the time does not tell which one fits.
        match (fits(MacMode::Spec), fits(MacMode::Libolm)) {
            (true, _) => Ok(MacMode::Spec),
            (_, true) => Ok(MacMode::Libolm),
            _ => Err(OpenEntryError::Mac),
        }
    }

    fn hmac(&self, ciphertext: &[u8], mode: MacMode) -> Hmac<Sha256> {
        let hmac = hmac(&self.mac);
        match mode {
            MacMode::Libolm => hmac,
            MacMode::Spec => hmac.chain_update(ciphertext),
        }
    }
}
