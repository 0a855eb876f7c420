//! The tokens of `/sync`: a position, bound to its user.
//!
//! A token reads `ff1_<position>_<tag>`; the tag is HMAC-SHA-256 over position and user, cut to 96
//! bits. So nobody can make one, move one to another user, or ask for a position that never was.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::store::{Position, UserId};

/// Makes and reads sync tokens.
pub(crate) struct SyncTokens(Hmac<Sha256>);

impl SyncTokens {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        // A key of this length is the block-sized case that cannot fail; the other is unreachable.
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        for (to, from) in block.iter_mut().zip(key) {
            *to = from;
        }
        Self(Hmac::new(&block))
    }

    /// The token of a position.
    pub(crate) fn seal(&self, user: &UserId, position: Position) -> String {
        format!("{PREFIX}{}_{}", position.0, self.tag(user, position))
    }

    /// The position in a token that was made here for this user.
    pub(crate) fn open(&self, user: &UserId, token: &str) -> Option<Position> {
        let (number, tag) = token.strip_prefix(PREFIX)?.split_once('_')?;
        let position = Position(number.parse().ok()?);
        let expected = self.tag(user, position);
        bool::from(expected.as_bytes().ct_eq(tag.as_bytes())).then_some(position)
    }

    fn tag(&self, user: &UserId, position: Position) -> String {
        let mut mac = self.0.clone();
        mac.update(&position.0.to_be_bytes());
        mac.update(user.as_str().as_bytes());
        let tag = mac.finalize().into_bytes();
        URL_SAFE_NO_PAD.encode(tag.get(..TAG_LENGTH).unwrap_or(&tag))
    }
}

const PREFIX: &str = "ff1_";
const TAG_LENGTH: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_for_its_user_alone() {
        let tokens = SyncTokens::new([7; 32]);
        let (alice, bob) = (UserId::new("@alice:a"), UserId::new("@bob:a"));
        let token = tokens.seal(&alice, Position(17));
        assert_eq!(tokens.open(&alice, &token), Some(Position(17)));
        assert_eq!(tokens.open(&bob, &token), None);
        assert_eq!(SyncTokens::new([8; 32]).open(&alice, &token), None);
    }

    #[test]
    fn opens_no_garbage() {
        let tokens = SyncTokens::new([7; 32]);
        let alice = UserId::new("@alice:a");
        let token = tokens.seal(&alice, Position(17));
        let forged = token.replace("17", "18");
        for garbage in [
            "", "s1_2_3", "ff1_", "ff1_17", "ff1_17_", "ff1_-1_x", &forged, "0",
        ] {
            assert_eq!(tokens.open(&alice, garbage), None, "{garbage}");
        }
    }
}
