//! What may be signed with the self-signing key: checked first, then handed out as the exact object.

use crate::{Content, canonical_json};

/// The object to sign so that this very device becomes verified: the one that was built here from
/// the device's own account (`local`), provided that the server serves the same (`served`).
///
/// Whoever signs what the server says that the own device is, signs whatever the server likes. So
/// `keys`, `user_id`, `device_id` and `algorithms` must be the same, and what is returned is the
/// local object, without `signatures` and `unsigned`.
///
/// # Errors
///
/// [`OwnDeviceMismatch`] names the member that differs.
pub fn own_device_to_sign(local: &Content, served: &Content) -> Result<Content, OwnDeviceMismatch> {
    for member in ["user_id", "device_id", "algorithms", "keys"] {
        let same = match (local.raw(member), served.raw(member)) {
            (Some(local), Some(served)) => canonical_json::is_same(local, served),
            _ => false,
        };
        if !same {
            return Err(OwnDeviceMismatch { member });
        }
    }
    Ok(unsigned(local))
}

/// The server serves another device under the ID of this one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the server serves other device keys than this device has: `{member}` differs; nothing was \
     signed"
)]
#[non_exhaustive]
pub struct OwnDeviceMismatch {
    /// The member that differs.
    pub member: &'static str,
}

fn unsigned(content: &Content) -> Content {
    let mut content = content.clone();
    content.remove("signatures");
    content.remove("unsigned");
    content
}
