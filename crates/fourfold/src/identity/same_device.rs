//! Whether what the server serves is the device that is known here.

use crate::{Content, canonical_json};

/// Checks that the server serves the device that was built or confirmed here: `keys`, `user_id`,
/// `device_id` and `algorithms` must be the same. Anyone who signs what the server says that a
/// device is, signs whatever the server likes.
///
/// # Errors
///
/// [`OwnDeviceMismatch`] names the member that differs.
pub fn check_same_device(local: &Content, served: &Content) -> Result<(), OwnDeviceMismatch> {
    for member in ["user_id", "device_id", "algorithms", "keys"] {
        let same = match (local.raw(member), served.raw(member)) {
            (Some(local), Some(served)) => canonical_json::is_same(local, served),
            _ => false,
        };
        if !same {
            return Err(OwnDeviceMismatch { member });
        }
    }
    Ok(())
}

/// The server serves another device under the ID of this one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the device keys on the server differ from those of this device in `{member}`; nothing was \
     signed"
)]
#[non_exhaustive]
pub struct OwnDeviceMismatch {
    /// The member that differs.
    pub member: &'static str,
}

crate::error_code::error_codes! {
    OwnDeviceMismatch:
    Self { .. } => "own_device_mismatch",
}
