//! The tokens of `/sync`: where a device stands, bound to its user.
//!
//! A token reads `ff2_<position>_<inbox>_<device>_<tag>`; `device` is the beginning of a hash, and
//! the tag is HMAC-SHA-256 over all of it and the user, cut to 96 bits. So nobody can make one, move
//! one to another user, or ask for a position that never was. Another device of the same user may
//! continue from one, but it acknowledges no messages with it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::store::{DeviceId, Position, UserId};

/// Makes and reads sync tokens.
pub(crate) struct SyncTokens(Hmac<Sha256>);

/// Where a device stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SyncPoint {
    /// In the stream of its user.
    pub(crate) position: Position,
    /// In its inbox: it has all messages up to here.
    pub(crate) inbox: Position,
    device: String,
}

impl SyncPoint {
    pub(crate) fn new(device: &DeviceId, position: Position, inbox: Position) -> Self {
        Self {
            position,
            inbox,
            device: device_mark(device),
        }
    }

    /// Returns `true` if the token was given to this device.
    pub(crate) fn is_of(&self, device: &DeviceId) -> bool {
        self.device == device_mark(device)
    }
}

impl SyncTokens {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        // A key of this length is the block-sized case that cannot fail; the other is unreachable.
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        for (to, from) in block.iter_mut().zip(key) {
            *to = from;
        }
        Self(Hmac::new(&block))
    }

    /// The token of a point.
    pub(crate) fn seal(&self, user: &UserId, point: &SyncPoint) -> String {
        let SyncPoint {
            position,
            inbox,
            device,
        } = point;
        let text = format!("{}_{}_{device}", position.0, inbox.0);
        format!("{PREFIX}{text}_{}", self.tag(user, &text))
    }

    /// The point in a token that was made here for this user.
    pub(crate) fn open(&self, user: &UserId, token: &str) -> Option<SyncPoint> {
        let rest = token.strip_prefix(PREFIX)?;
        let mut parts = rest.splitn(4, '_');
        let (position, inbox) = (parts.next()?, parts.next()?);
        let (device, tag) = (parts.next()?, parts.next()?);
        let text = rest.strip_suffix(tag)?.strip_suffix('_')?;
        let expected = self.tag(user, text);
        let authentic = bool::from(expected.as_bytes().ct_eq(tag.as_bytes()));
        authentic.then_some(SyncPoint {
            position: Position(position.parse().ok()?),
            inbox: Position(inbox.parse().ok()?),
            device: device.to_owned(),
        })
    }

    fn tag(&self, user: &UserId, text: &str) -> String {
        let mut mac = self.0.clone();
        // No user ID has a NUL.
        for part in [text, "\0", user.as_str()] {
            mac.update(part.as_bytes());
        }
        let tag = mac.finalize().into_bytes();
        URL_SAFE_NO_PAD.encode(tag.get(..TAG_LENGTH).unwrap_or(&tag))
    }
}

/// Tells the devices of one user apart, in characters that separate nothing in a token.
fn device_mark(device: &DeviceId) -> String {
    let [a, b, c, d, e, f, ..] = <[u8; 32]>::from(Sha256::digest(device.as_str()));
    let number = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    format!("{number:012x}")
}

const PREFIX: &str = "ff2_";
const TAG_LENGTH: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn point() -> SyncPoint {
        SyncPoint::new(&DeviceId::new("D"), Position(17), Position(4))
    }

    #[test]
    fn opens_for_its_user_alone() {
        let tokens = SyncTokens::new([7; 32]);
        let (alice, bob) = (UserId::new("@alice:a"), UserId::new("@bob:a"));
        let token = tokens.seal(&alice, &point());
        assert_eq!(tokens.open(&alice, &token), Some(point()));
        assert_eq!(tokens.open(&bob, &token), None);
        assert_eq!(SyncTokens::new([8; 32]).open(&alice, &token), None);
    }

    #[test]
    fn knows_its_device() {
        assert!(point().is_of(&DeviceId::new("D")));
        assert!(!point().is_of(&DeviceId::new("E")));
    }

    #[test]
    fn opens_no_garbage() {
        let tokens = SyncTokens::new([7; 32]);
        let alice = UserId::new("@alice:a");
        let token = tokens.seal(&alice, &point());
        let forged = [
            token.replace("_17_", "_18_"),
            token.replace("_4_", "_5_"),
            token.replace("_4_", "_04_"),
            format!("{token}A"),
        ];
        let garbage = [
            "",
            "s1_2_3",
            "ff2_",
            "ff2_17",
            "ff2_17_4_x_",
            "ff2_-1_0_x_y",
            "0",
        ];
        for token in forged.iter().map(String::as_str).chain(garbage) {
            assert_eq!(tokens.open(&alice, token), None, "{token}");
        }
    }
}
