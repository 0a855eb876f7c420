//! Names of any length as keys of a fixed size.

use std::hash::{BuildHasher, Hash, RandomState};

/// What a map of names keeps in place of a name that somebody else chose: 16 bytes, however long the
/// name. Two names share one with a chance of 2⁻¹²⁸, and nobody can look for a pair without the key.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Fingerprint(u128);

impl Fingerprint {
    /// One of so many parts into which a map is divided.
    pub(crate) fn part(self, parts: usize) -> usize {
        let parts = u128::try_from(parts.max(1)).unwrap_or(1);
        usize::try_from(self.0 % parts).unwrap_or(0)
    }
}

/// Makes fingerprints: SipHash, twice, under random keys of this process.
#[derive(Debug)]
pub(crate) struct Fingerprints([RandomState; 2]);

impl Fingerprints {
    pub(crate) fn new() -> Self {
        Self([RandomState::new(), RandomState::new()])
    }

    /// The fingerprint of a name, the same as long as this lives.
    pub(crate) fn of(&self, name: &(impl Hash + ?Sized)) -> Fingerprint {
        let [high, low] = &self.0;
        let [high, low] = [high, low].map(|half| u128::from(half.hash_one(name)));
        Fingerprint(high << 64 | low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_any_length_takes_sixteen_bytes_and_is_told_from_others() {
        assert_eq!(size_of::<Fingerprint>(), 16);
        let fingerprints = Fingerprints::new();
        let names = [
            "",
            "a",
            "b",
            &"x".repeat(256 * 1024),
            &"x".repeat(256 * 1024 + 1),
        ];
        for (index, name) in names.iter().enumerate() {
            assert_eq!(fingerprints.of(*name), fingerprints.of(*name));
            for other in names.iter().skip(index + 1) {
                assert_ne!(fingerprints.of(*name), fingerprints.of(*other));
            }
        }
        // The two halves differ, and so do the fingerprints under different keys.
        let Fingerprint(value) = fingerprints.of("a");
        assert_ne!(value >> 64, value & u128::from(u64::MAX));
        assert_ne!(Fingerprints::new().of("a"), fingerprints.of("a"));
    }
}
