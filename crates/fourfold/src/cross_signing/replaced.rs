//! How the private keys in secret storage stand to the identity that is published.

use std::fmt;

use crate::signed_json::PublicKey;
use crate::{PublishedKeys, Secret, SecretName, SecretValueError, Verdict};

/// The identity, or one of its keys, was replaced since it was stored: secret storage holds private
/// keys that are not those of what is published.
///
/// Which of both is to be kept is for the user to say. While the master key is the same, the others
/// are signed by it again, and nobody notices.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReplacedIdentity {
    published: Option<PublicKey>,
    master: Stored,
    self_signing: Stored,
    user_signing: Stored,
}

impl ReplacedIdentity {
    /// Compares private keys with what is published; `None` when none of them is that of another
    /// public key.
    pub(crate) fn compare<'a>(
        secrets: impl IntoIterator<Item = (&'a SecretName, &'a Secret)>,
        published_keys: &PublishedKeys,
    ) -> Option<Self> {
        let identity = published_keys.identity.as_ref();
        let mut all = Self {
            published: identity.and_then(|identity| identity.master_key().ok()),
            master: Stored::Unknown,
            self_signing: Stored::Unknown,
            user_signing: Stored::Unknown,
        };
        for (name, secret) in secrets {
            let stored = match published_keys.judge(name, secret) {
                Ok(Verdict::Matches { .. }) => Stored::Same,
                Err(SecretValueError::Mismatch { .. }) => Stored::Other,
                _ => Stored::Unknown,
            };
            if *name == SecretName::master_key() {
                all.master = stored;
            } else if *name == SecretName::self_signing_key() {
                all.self_signing = stored;
            } else if *name == SecretName::user_signing_key() {
                all.user_signing = stored;
            }
        }
        let is_other = all.of_all().contains(&Stored::Other);
        is_other.then_some(all)
    }

    /// Whether the master key was replaced: then it is another identity, for everybody who verified
    /// the user.
    #[must_use]
    pub fn is_master_key(&self) -> bool {
        self.master == Stored::Other
    }

    /// Whether nothing that is stored belongs to what is published, the master key included.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_master_key() && !self.of_all().contains(&Stored::Same)
    }

    /// Whether the self-signing key was replaced, with or without the others.
    #[must_use]
    pub fn is_self_signing_key(&self) -> bool {
        self.self_signing == Stored::Other
    }

    /// Whether secret storage holds the private half of the published master key, with which the
    /// others can be replaced once more.
    #[must_use]
    pub fn has_master_key(&self) -> bool {
        self.master == Stored::Same
    }

    fn of_all(&self) -> [Stored; 3] {
        [self.master, self.self_signing, self.user_signing]
    }
}

impl fmt::Display for ReplacedIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signing = [
            (self.self_signing, "self-signing"),
            (self.user_signing, "user-signing"),
        ];
        let of = |stored| {
            let those = signing.iter().filter(move |(one, _)| *one == stored);
            those.map(|(_, name)| *name).collect::<Vec<_>>()
        };
        if self.is_master_key() {
            match of(Stored::Same).as_slice() {
                [] => f.write_str("the identity was replaced since it was stored")?,
                same => {
                    let were = if same.len() == 1 { "was" } else { "were" };
                    write!(
                        f,
                        "the master key of the identity was replaced since it was stored, and the \
                         {} {were} not",
                        keys(same)
                    )?;
                }
            }
            if let Some(published) = self.published {
                write!(f, ": the master key {published} is published")?;
            }
            return f.write_str(", and secret storage holds another one");
        }
        let other = of(Stored::Other);
        let were = if other.len() == 1 { "was" } else { "were" };
        write!(
            f,
            "the {} of the identity {were} replaced since it was stored",
            keys(&other)
        )?;
        if self.has_master_key() {
            f.write_str("; the master key is the same")?;
        }
        Ok(())
    }
}

/// How a private key that is stored stands to the published one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stored {
    /// It is its private half.
    Same,
    /// It is that of another one.
    Other,
    /// It is not there, or cannot be compared.
    Unknown,
}

fn keys(names: &[&str]) -> String {
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("{} key{plural}", names.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PublishedIdentity;
    use crate::cross_signing::{CrossSigningKeys, KnownKeys};
    use crate::testing::rng_from;

    const USER: &str = "@alice:example.org";

    /// An identity of which each part is from one of two.
    fn mixed(parts: [u64; 3]) -> CrossSigningKeys {
        let mut known = KnownKeys::default();
        for (index, number) in parts.into_iter().enumerate() {
            let all = CrossSigningKeys::generate(&mut rng_from(number * 1000)).secrets();
            let (name, secret) = &all[index];
            let nothing = PublishedKeys::default();
            known.learn(name, secret, &nothing).unwrap();
        }
        known.complete().unwrap()
    }

    fn compare(stored: [u64; 3], published: [u64; 3]) -> Option<ReplacedIdentity> {
        let public = mixed(published).public_keys(USER).unwrap();
        let published_keys = PublishedKeys {
            identity: Some(PublishedIdentity::of(USER, &public)),
            backup: None,
        };
        let secrets = mixed(stored).secrets();
        let secrets = secrets.iter().map(|(name, secret)| (name, secret));
        ReplacedIdentity::compare(secrets, &published_keys)
    }

    #[test]
    fn what_was_replaced_is_said_exactly() {
        assert_eq!(compare([1, 1, 1], [1, 1, 1]), None);
        for (published, words) in [
            ([2, 2, 2], "the identity was replaced since it was stored: "),
            (
                [2, 1, 1],
                "the master key of the identity was replaced since it was stored, and the \
                 self-signing and user-signing keys were not: ",
            ),
            (
                [2, 1, 2],
                "the master key of the identity was replaced since it was stored, and the \
                 self-signing key was not: ",
            ),
            (
                [1, 2, 1],
                "the self-signing key of the identity was replaced since it was stored; the \
                 master key is the same",
            ),
            (
                [1, 1, 2],
                "the user-signing key of the identity was replaced since it was stored; the \
                 master key is the same",
            ),
            (
                [1, 2, 2],
                "the self-signing and user-signing keys of the identity were replaced since it \
                 was stored; the master key is the same",
            ),
        ] {
            let replaced = compare([1, 1, 1], published).unwrap();
            assert!(replaced.to_string().starts_with(words), "{replaced}");
            assert_eq!(replaced.is_master_key(), published[0] == 2);
            assert_eq!(replaced.has_master_key(), published[0] == 1);
            assert_eq!(replaced.is_whole(), published == [2, 2, 2]);
            assert_eq!(replaced.is_self_signing_key(), published[1] == 2);
        }
    }
}
