//! Whether a private key is the one that a description describes.

use subtle::ConstantTimeEq as _;

use crate::algorithm::{MemberProblem, aes_hmac_sha2, curve25519_aes_sha2};
use crate::key::KeyMaterial;
use crate::key_description::corrupt;
use crate::{Algorithm, KeyCheckError, KeyDescription, Quirk, SecretStorageKey, base64};

impl KeyDescription {
    /// Checks whether a private key belongs to this description.
    ///
    /// For `aes-hmac-sha2` the check data is `iv` and `mac`, for `curve25519-aes-sha2` it is
    /// `pubkey`. The deviations of other clients that are known from real accounts are accepted and
    /// reported as [`Quirk`]s. A key of another algorithm never belongs to it.
    ///
    /// # Errors
    ///
    /// [`KeyCheckError`] when the check data is there but damaged, or the algorithm is unknown.
    pub fn check(&self, key: &SecretStorageKey) -> Result<KeyCheck, KeyCheckError> {
        match (self.algorithm(), key.material()) {
            (None, _) => Err(KeyCheckError::UnsupportedAlgorithm),
            (Some(Algorithm::AesHmacSha2), KeyMaterial::AesHmacSha2(key)) => self.check_mac(key),
            (Some(Algorithm::Curve25519AesSha2), KeyMaterial::Curve25519AesSha2(key)) => {
                self.check_public_key(key)
            }
            (Some(Algorithm::AesHmacSha2 | Algorithm::Curve25519AesSha2), _) => {
                Ok(KeyCheck::from_comparison(false, Vec::new()))
            }
        }
    }

    fn check_public_key(&self, key: &[u8; 32]) -> Result<KeyCheck, KeyCheckError> {
        let Some(stored) = self.public_key()? else {
            return Ok(KeyCheck::UNVERIFIABLE);
        };
        let ours = curve25519_aes_sha2::public_key(key);
        Ok(KeyCheck::from_comparison(
            ours.ct_eq(&stored).into(),
            Vec::new(),
        ))
    }

    fn check_mac(&self, key: &aes_hmac_sha2::Key) -> Result<KeyCheck, KeyCheckError> {
        let (iv_text, mac_text) = match (self.check_member("iv")?, self.check_member("mac")?) {
            (None, None) => return Ok(KeyCheck::UNVERIFIABLE),
            (Some(iv), Some(mac)) => (iv, mac),
            (None, Some(_)) => return Err(corrupt("iv", MemberProblem::Missing)),
            (Some(_), None) => return Err(corrupt("mac", MemberProblem::Missing)),
        };
        let iv = base64::decode(&iv_text).map_err(|error| corrupt("iv", error.into()))?;
        let mac = base64::decode(&mac_text).map_err(|error| corrupt("mac", error.into()))?;
        let mut quirks = Vec::new();
        for quirk in iv
            .quirks
            .iter()
            .chain(&mac.quirks)
            .copied()
            .map(Quirk::from)
        {
            if !quirks.contains(&quirk) {
                quirks.push(quirk);
            }
        }
        let found = iv.bytes.len();
        let wrong_iv = || {
            corrupt(
                "iv",
                base64::DecodeError::Size {
                    expected: 16,
                    found,
                }
                .into(),
            )
        };
        if found > LONGEST_IV {
            return Err(wrong_iv());
        }
        let iv: [u8; 16] = *iv.bytes.first_chunk().ok_or_else(wrong_iv)?;
        if found > iv.len() {
            quirks.push(Quirk::LongIv);
        }
        let mac: [u8; 32] = mac.bytes.as_slice().try_into().map_err(|_| {
            let found = mac.bytes.len();
            corrupt(
                "mac",
                base64::DecodeError::Size {
                    expected: 32,
                    found,
                }
                .into(),
            )
        })?;
        let fits = |iv| -> bool { aes_hmac_sha2::key_check_mac(key, iv).ct_eq(&mac).into() };
        let cleared = aes_hmac_sha2::clear_bit_63(iv);
        if cleared == iv {
            return Ok(KeyCheck::from_comparison(fits(&iv), quirks));
        }
        // trixnity and old matrix-js-sdk stored one IV and computed the MAC with another.
        match (fits(&iv), fits(&cleared)) {
            (true, _) => quirks.push(Quirk::IvBit63Set),
            (false, true) => quirks.push(Quirk::MacOverClearedIv),
            (false, false) => return Ok(KeyCheck::from_comparison(false, quirks)),
        }
        Ok(KeyCheck::from_comparison(true, quirks))
    }
}

/// The result of checking a private key against a description.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyCheck {
    /// Whether the key belongs to the description.
    pub outcome: KeyCheckOutcome,
    /// The deviations of the check data from the specification.
    pub quirks: Vec<Quirk>,
}

impl KeyCheck {
    const UNVERIFIABLE: Self = Self {
        outcome: KeyCheckOutcome::Unverifiable,
        quirks: Vec::new(),
    };

    fn from_comparison(fits: bool, quirks: Vec<Quirk>) -> Self {
        let outcome = if fits {
            KeyCheckOutcome::Verified
        } else {
            KeyCheckOutcome::Mismatch
        };
        Self { outcome, quirks }
    }
}

/// Whether a private key belongs to a description.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the three outcomes are the whole truth"
)]
pub enum KeyCheckOutcome {
    /// It does.
    Verified,
    /// The description holds no check data: any key looks right. Opening a secret will tell.
    Unverifiable,
    /// It does not.
    Mismatch,
}

/// mautrix accepts IVs up to three times as long as they should be; nothing longer was ever seen.
const LONGEST_IV: usize = 48;
