//! Passphrases: how a key is derived from one, and how strong one is.
//!
//! [`m.pbkdf2`](https://spec.matrix.org/v1.19/client-server-api/#deriving-keys-from-passphrases):
//! PBKDF2-HMAC-SHA-512 over the UTF-8 of the passphrase and of the salt, 256 bits. The parameters
//! lie on the server, which may have chosen them. They are therefore bounded before anything is
//! derived, and a key derived with too few iterations may read but never write.

use pbkdf2::pbkdf2_hmac;
use rand_core::CryptoRng;
use sha2::Sha512;
use subtle::{Choice, ConstantTimeEq as _};
use zeroize::Zeroizing;

use crate::Content;
use crate::key_id::random_alphanumerics;

/// A passphrase as the user typed it: no normalisation, no trimming, as in every other client.
/// Wiped when dropped, never printed.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes the text as it is.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The strength of the passphrase.
    ///
    /// Anyone who has the account data can guess offline, so a passphrase for a new key should be
    /// [`Strength::is_enough`].
    #[must_use]
    pub fn strength(&self) -> Strength {
        // Longer input only costs time: 128 characters are beyond guessing if they vary at all.
        // Reserved in full, so that no growth leaves a copy behind.
        let mut head = Zeroizing::new(String::with_capacity(128 * char::MAX.len_utf8()));
        head.extend(self.0.chars().take(128));
        let estimate = zxcvbn::zxcvbn(&head, &[]);
        Strength {
            characters: self.0.chars().count(),
            score: estimate.score().into(),
            advice: estimate
                .feedback()
                .and_then(zxcvbn::feedback::Feedback::warning)
                .map(|warning| warning.to_string()),
        }
    }

    /// Returns `true` if it is one of these texts, compared in constant time.
    #[must_use]
    pub(crate) fn is_one_of<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> bool {
        let same = texts.into_iter().fold(Choice::from(0), |same, text| {
            same | self.0.as_bytes().ct_eq(text.as_bytes())
        });
        same.into()
    }

    /// PBKDF2-HMAC-SHA-512(passphrase, salt, iterations) → 32 bytes. Takes about 0.2 s for 500,000
    /// iterations.
    pub(crate) fn derive(&self, parameters: &PassphraseParameters) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        let salt = parameters.salt.as_bytes();
        pbkdf2_hmac::<Sha512>(
            self.0.as_bytes(),
            salt,
            parameters.iterations,
            key.as_mut_slice(),
        );
        key
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// The `passphrase` object of a key description: what a passphrase is turned into a key with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassphraseParameters {
    iterations: u32,
    salt: String,
}

impl PassphraseParameters {
    /// The parameters of a new key: a salt of 32 random alphanumerics and 500,000 iterations.
    #[must_use]
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        Self {
            iterations: Self::NEW_ITERATIONS,
            salt: random_alphanumerics(rng),
        }
    }

    /// As [`random`](Self::random), with a different number of iterations of at least
    /// [`Bounds::DEFAULT`]'s minimum.
    ///
    /// # Errors
    ///
    /// [`ParametersError`] when the number is out of bounds.
    pub fn random_with_iterations(
        iterations: u32,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, ParametersError> {
        let parameters = Self {
            iterations,
            salt: random_alphanumerics(rng),
        };
        Bounds::DEFAULT.check(&parameters)?;
        Ok(parameters)
    }

    /// The iterations of a new key.
    pub const NEW_ITERATIONS: u32 = 500_000;

    /// Reads the object. The number of iterations is not bounded yet: see [`Bounds::check`].
    ///
    /// # Errors
    ///
    /// [`ParametersError`] names the member that is missing or wrong.
    pub fn from_content(content: &Content) -> Result<Self, ParametersError> {
        match content.get::<String>("algorithm") {
            Some(Ok(name)) if name == ALGORITHM => {}
            Some(Ok(name)) => {
                let name = name.chars().take(SHOWN_CHARACTERS).collect();
                return Err(ParametersError::UnsupportedAlgorithm { name });
            }
            _ => return Err(ParametersError::NoAlgorithm),
        }
        let salt = match content.get::<String>("salt") {
            Some(Ok(salt)) if SALT_BYTES.contains(&salt.len()) => salt,
            _ => return Err(ParametersError::Salt),
        };
        match content.raw("bits") {
            None | Some("256") => {}
            Some(_) => return Err(ParametersError::Bits),
        }
        let iterations = content
            .raw("iterations")
            .ok_or(ParametersError::IterationsMalformed)?;
        if iterations == "0" || !iterations.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParametersError::IterationsMalformed);
        }
        let limit = Bounds::DEFAULT.maximum;
        let iterations = iterations
            .parse()
            .map_err(|_| ParametersError::TooManyIterations { limit })?;
        Ok(Self { iterations, salt })
    }

    /// Writes the object. `bits` is omitted: it would be the default, 256.
    #[must_use]
    pub fn to_content(&self) -> Content {
        let mut content = Content::default();
        content.insert("algorithm", ALGORITHM);
        content.insert("iterations", &self.iterations);
        content.insert("salt", &self.salt);
        content
    }

    /// The number of iterations of the hash. A server that lowers it between two uses of a key
    /// makes guessing cheaper; anyone who keeps local state should compare.
    #[must_use]
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// The salt, as the string that it is in JSON.
    #[must_use]
    pub fn salt(&self) -> &str {
        &self.salt
    }
}

/// The minimum and maximum number of iterations that are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    minimum: u32,
    maximum: u32,
}

impl Bounds {
    /// 100,000 to 10,000,000: fewer make guessing cheap, more make the client hang.
    pub const DEFAULT: Self = Self {
        minimum: 100_000,
        maximum: 10_000_000,
    };

    /// As [`DEFAULT`](Self::DEFAULT), without the minimum. What is derived with fewer iterations
    /// than the default minimum never becomes a [`ProvenKey`](crate::ProvenKey).
    #[must_use]
    pub const fn allow_weak() -> Self {
        Self {
            minimum: 1,
            ..Self::DEFAULT
        }
    }

    /// Refuses parameters out of bounds, before anything is derived.
    ///
    /// # Errors
    ///
    /// [`ParametersError::TooFewIterations`] or [`ParametersError::TooManyIterations`].
    pub fn check(self, parameters: &PassphraseParameters) -> Result<(), ParametersError> {
        let requested = parameters.iterations;
        if requested < self.minimum {
            Err(ParametersError::TooFewIterations {
                requested,
                minimum: self.minimum,
            })
        } else if requested > self.maximum {
            Err(ParametersError::TooManyIterations {
                limit: self.maximum,
            })
        } else {
            Ok(())
        }
    }

    /// A budget for derivations within these bounds.
    #[must_use]
    pub const fn budget(self) -> Budget {
        Budget::new(self)
    }

    /// Returns `true` if a key derived like this may only read.
    pub(crate) fn is_weak(parameters: &PassphraseParameters) -> bool {
        parameters.iterations < Self::DEFAULT.minimum
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The number of iterations that one task may spend on derivations in total, however many keys the
/// server lists: the bounds of each derivation, and the iterations that are left.
///
/// One budget goes through everything that belongs to one question to the user.
#[derive(Debug)]
pub struct Budget {
    bounds: Bounds,
    left: u32,
}

impl Budget {
    /// The iterations of all derivations together: 10,000,000, as many as one key may ask for.
    pub const TOTAL: u32 = Bounds::DEFAULT.maximum;

    /// All of it, with these bounds for each derivation.
    #[must_use]
    pub const fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            left: Self::TOTAL,
        }
    }

    /// Spends what these parameters ask for, before anything is derived.
    pub(crate) fn spend(
        &mut self,
        parameters: &PassphraseParameters,
    ) -> Result<(), ParametersError> {
        self.bounds.check(parameters)?;
        let left = self.left.checked_sub(parameters.iterations);
        self.left = left.ok_or(ParametersError::OverBudget {
            requested: parameters.iterations,
        })?;
        Ok(())
    }
}

/// Why no key is derived with the parameters of a description.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParametersError {
    /// `bits` is there and is not 256.
    #[error("the key description asks for a key size other than 256 bits")]
    Bits,
    /// `iterations` is missing or no positive integer.
    #[error("the key description has no valid number of iterations")]
    IterationsMalformed,
    /// `algorithm` is missing or no string.
    #[error("the key description does not say how to derive the key")]
    NoAlgorithm,
    /// More iterations than are left of [`Budget::TOTAL`] after other keys were tried.
    #[error(
        "the key description asks for {requested} iterations, and at most {} are carried out in \
         total",
        Budget::TOTAL
    )]
    OverBudget {
        /// The number in the description.
        requested: u32,
    },
    /// `salt` is missing, no string, or not 8 to 1024 bytes long.
    #[error("the key description has no valid salt")]
    Salt,
    /// So few iterations that the passphrase could be guessed.
    #[error(
        "the key description asks for only {requested} iterations, less than {minimum}; \
         the server may have changed it"
    )]
    TooFewIterations {
        /// The number in the description.
        requested: u32,
        /// The least that is carried out.
        minimum: u32,
    },
    /// So many iterations that the derivation would not end.
    #[error("the key description asks for more than {limit} iterations")]
    TooManyIterations {
        /// The most that is carried out.
        limit: u32,
    },
    /// The object is damaged.
    #[error("the parameters of the passphrase are damaged")]
    Malformed,
    /// The derivation is not `m.pbkdf2`.
    #[error("the key description names an unknown key derivation: {name:?}")]
    UnsupportedAlgorithm {
        /// The first characters of its name. Untrusted text, which the message shows escaped.
        name: String,
    },
}

crate::error_code::error_codes! {
    ParametersError:
    Self::Bits { .. } => "passphrase_bits",
    Self::IterationsMalformed { .. } => "passphrase_iterations_malformed",
    Self::NoAlgorithm { .. } => "passphrase_no_algorithm",
    Self::OverBudget { .. } => "passphrase_over_budget",
    Self::Salt { .. } => "passphrase_salt",
    Self::TooFewIterations { .. } => "passphrase_too_few_iterations",
    Self::TooManyIterations { .. } => "passphrase_too_many_iterations",
    Self::Malformed { .. } => "passphrase_malformed",
    Self::UnsupportedAlgorithm { .. } => "passphrase_unsupported_algorithm",
}

/// The strength of a passphrase.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Strength {
    /// Its length in characters.
    pub characters: usize,
    /// From 0 (guessed at once) to 4 (very unlikely to be guessed), by zxcvbn.
    pub score: u8,
    /// The weakness, in a sentence for the user.
    pub advice: Option<String>,
}

impl Strength {
    /// Returns `true` if it is good enough for a new key: at least 12 characters and a score of 3.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.characters >= 12 && self.score >= 3
    }
}

const ALGORITHM: &str = "m.pbkdf2";
/// As much of an unknown name as an error repeats.
const SHOWN_CHARACTERS: usize = 64;
const SALT_BYTES: std::ops::RangeInclusive<usize> = 8..=1024;

#[cfg(test)]
mod tests {
    use super::*;

    // shows: KEY-11, KD-24
    #[test]
    fn strength_is_bounded_in_time_and_never_panics() {
        for text in [
            "",
            "password",
            &"é漢🔑".repeat(100),
            &"a".repeat(100_000),
            "\u{1F511}",
        ] {
            assert!(!Passphrase::new(text).strength().is_enough(), "{text:.10}");
        }
        assert!(
            Passphrase::new("wombat plumage tariff hubcap")
                .strength()
                .is_enough()
        );
    }

    // shows: KEY-09
    #[test]
    fn new_parameters_round_trip() {
        let parameters = PassphraseParameters::random(&mut crate::testing::rng());
        assert_eq!(parameters.iterations(), 500_000);
        assert_eq!(parameters.salt().len(), 32);
        assert_eq!(
            PassphraseParameters::from_content(&parameters.to_content()),
            Ok(parameters)
        );
    }
}
