//! The recovery key: 32 key bytes as text that a person can write down.
//!
//! `base58(0x8B ‖ 0x01 ‖ key ‖ parity)`, in groups of four, where `parity` is the XOR of all bytes
//! before it: the [cryptographic key
//! representation](https://spec.matrix.org/v1.19/appendices/#cryptographic-key-representation).
//! Every 32-byte key has 48 characters and starts with `Es`. The same form is used for the key of
//! a key backup; only a key check or a public key tells the two apart.

use zeroize::Zeroizing;

/// Writes a key as a recovery key: 12 groups of 4 characters, 59 characters in all.
///
/// ```
/// let text = fourfold::recovery_key::encode(&[0; 32]);
/// assert!(text.starts_with("EsSz ygLv"));
/// ```
#[must_use]
pub fn encode(key: &[u8; 32]) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0_u8; LENGTH]);
    let (prefix, rest) = bytes.split_at_mut(PREFIX.len());
    prefix.copy_from_slice(&PREFIX);
    let (middle, last) = rest.split_at_mut(key.len());
    middle.copy_from_slice(key);
    last.fill(
        PREFIX
            .iter()
            .chain(key)
            .fold(0, |parity, byte| parity ^ byte),
    );

    let digits = Zeroizing::new(bs58::encode(bytes.as_slice()).into_string());
    // Reserved in full, so that no growth leaves a copy behind.
    let mut text = Zeroizing::new(String::with_capacity(2 * digits.len()));
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && index % 4 == 0 {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Reads a recovery key, whatever white space it was copied or typed with.
///
/// All Unicode white space, the zero-width space and the byte-order mark are ignored. A parity
/// byte finds most typing errors but not all: always follow with a key check.
///
/// # Errors
///
/// [`RecoveryKeyError`] tells the alphabet, the length, the prefix and the parity apart.
///
/// ```
/// let key = fourfold::recovery_key::decode(
///     "EsTc LW2K PGiF wKEA 3As5 g5c4\n BXwk qeeJ ZJV8 Q9fu gUMN UE4d",
/// )?;
/// assert_eq!(key[0], 0x77);
/// # Ok::<(), fourfold::recovery_key::RecoveryKeyError>(())
/// ```
pub fn decode(text: &str) -> Result<Zeroizing<[u8; 32]>, RecoveryKeyError> {
    let mut digits = Zeroizing::new([0_u8; CHARACTERS]);
    let mut characters = 0;
    for character in text.chars().filter(|c| !is_white_space(*c)) {
        let Some(byte) = base58_byte(character) else {
            let position = characters + 1;
            return Err(RecoveryKeyError::Alphabet {
                position,
                character,
            });
        };
        // What comes after them makes no key any more: it is only counted.
        if let Some(digit) = digits.get_mut(characters) {
            *digit = byte;
        }
        characters += 1;
    }
    let mut bytes = Zeroizing::new([0_u8; LENGTH]);
    let length = digits
        .get(..characters)
        .and_then(|digits| bs58::decode(digits).onto(bytes.as_mut_slice()).ok());
    match length {
        Some(LENGTH) => {}
        _ if characters == 0 => return Err(RecoveryKeyError::Empty),
        _ if characters == CHARACTERS => return Err(RecoveryKeyError::Prefix),
        _ => return Err(RecoveryKeyError::Length { characters }),
    }
    let [first, second, key @ .., _parity] = &*bytes;
    if [*first, *second] != PREFIX {
        return Err(RecoveryKeyError::Prefix);
    }
    if bytes.iter().fold(0, |parity, byte| parity ^ byte) != 0 {
        return Err(RecoveryKeyError::Parity);
    }
    Ok(Zeroizing::new(*key))
}

/// Returns `true` if a text was probably meant as a recovery key, though it may not decode as one.
///
/// True for what starts with `Es` and has about the length of a recovery key when white space is
/// left out. Used to explain a typing error instead of deriving a key from it.
#[must_use]
pub fn is_probable(text: &str) -> bool {
    let mut characters = 0_usize;
    let mut starts_right = true;
    for (index, character) in text.chars().filter(|c| !is_white_space(*c)).enumerate() {
        characters += 1;
        starts_right &= match index {
            0 => character == 'E',
            1 => character == 's',
            _ => character.is_ascii_alphanumeric(),
        };
    }
    starts_right && (44..=52).contains(&characters)
}

/// Why a text is not a recovery key. Positions count characters other than white space, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryKeyError {
    /// A character that never occurs in a recovery key.
    #[error(
        "character {position} (group {}) is {character:?}, which never occurs in a recovery key{}",
        (position - 1) / 4 + 1,
        look_alike(*character)
    )]
    Alphabet {
        /// Where it stands, counting from 1 and without white space.
        position: usize,
        /// The character itself; it is no part of any key.
        character: char,
    },
    /// Nothing was given.
    #[error("the recovery key is empty")]
    Empty,
    /// Too many or too few characters.
    #[error("a recovery key has 48 characters (12 groups of 4); this one has {characters}{}",
        missing_group(*characters))]
    Length {
        /// The number of characters without white space.
        characters: usize,
    },
    /// All characters are possible, but one or more of them are wrong.
    #[error("the recovery key contains a typing error (its check digit does not match)")]
    Parity,
    /// It has the right length but does not start like a recovery key.
    #[error("this is not a recovery key: it does not start as one (\"Es\")")]
    Prefix,
}

crate::error_code::error_codes! {
    RecoveryKeyError:
    Self::Alphabet { .. } => "recovery_key_alphabet",
    Self::Empty { .. } => "recovery_key_empty",
    Self::Length { .. } => "recovery_key_length",
    Self::Parity { .. } => "recovery_key_parity",
    Self::Prefix { .. } => "recovery_key_prefix",
}

const PREFIX: [u8; 2] = [0x8B, 0x01];
const LENGTH: usize = 35;
/// More than these never decode to [`LENGTH`] bytes.
const CHARACTERS: usize = 48;

fn is_white_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{200B}' | '\u{FEFF}')
}

/// The byte of a character that occurs in base58.
fn base58_byte(character: char) -> Option<u8> {
    let is_base58 =
        character.is_ascii_alphanumeric() && !matches!(character, '0' | 'O' | 'I' | 'l');
    u8::try_from(character).ok().filter(|_| is_base58)
}

fn look_alike(character: char) -> &'static str {
    match character {
        '0' | 'O' => "; is it a small o?",
        'I' | 'l' => "; is it the digit 1 or a small i?",
        _ => "",
    }
}

fn missing_group(characters: usize) -> &'static str {
    match characters {
        44 => "; one group is missing",
        52 => "; there is one extra group",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // shows: KEY-10
    #[test]
    fn every_single_substitution_is_refused_or_decodes_to_another_key() {
        let key = core::array::from_fn(|index| index as u8);
        let text: Vec<u8> = encode(&key).bytes().filter(|byte| *byte != b' ').collect();
        let (mut tried, mut passed) = (0, 0);
        for position in 0..text.len() {
            for other in (b'0'..=b'z').filter(|byte| base58_byte(char::from(*byte)).is_some()) {
                if other == text[position] {
                    continue;
                }
                let mut typo = text.clone();
                typo[position] = other;
                tried += 1;
                if let Ok(decoded) = decode(std::str::from_utf8(&typo).unwrap()) {
                    assert_ne!(*decoded, key);
                    passed += 1;
                }
            }
        }
        assert_eq!(tried, 48 * 57);
        assert!(
            passed * 100 < tried,
            "parity lets {passed} of {tried} typing errors pass"
        );
    }

    #[test]
    fn hints_name_the_look_alike_and_its_place() {
        let error =
            decode("EsTc LW2K PGiF wKEA 3As5 g5c4 BXwk qeeJ ZJV8 Q9fu gUMN UE40").unwrap_err();
        assert_eq!(
            error.to_string(),
            "character 48 (group 12) is '0', which never occurs in a recovery key; is it a small o?"
        );
        let error = decode("EsTc LW2K PGiF wKEA 3As5 g5c4 BXwk qeeJ ZJV8 Q9fu gUMN").unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("this one has 44; one group is missing")
        );
    }

    #[test]
    fn tells_recovery_keys_with_typing_errors_from_passphrases() {
        assert!(is_probable(
            "EsTc LW2K PGiF wKEA 3As5 g5c4 BXwk qeeJ ZJV8 Q9fu gUMN UE40"
        ));
        assert!(!is_probable(
            "Essential services are never to be interrupted, ever"
        ));
        assert!(!is_probable("correct horse battery staple"));
    }
}
