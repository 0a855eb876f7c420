//! Who may ask other devices for a secret, and whom.

use super::{IdentityAlarm, Trust};
use crate::identity::DeviceTrust;

impl Trust {
    /// Whether this device may ask for a secret: `from` the device with this ID, or all that are
    /// verified. What it trusts must be [fresh](Self::is_fresh).
    ///
    /// This device must be verified, because no other device answers it before; and only a verified
    /// device is asked, because what another one answers is not taken.
    ///
    /// # Errors
    ///
    /// [`CannotAsk`].
    pub fn check_can_ask(&self, from: Option<&str>) -> Result<(), CannotAsk> {
        match (self.verdict_on_this_device(), self.alarm()) {
            (DeviceTrust::Verified, _) => {}
            (DeviceTrust::NotPinned, _) => return Err(CannotAsk::NotPinned),
            (_, Some(alarm)) => return Err(CannotAsk::Alarm(*alarm)),
            (verdict, None) => return Err(CannotAsk::NotVerified(verdict)),
        }
        match from {
            Some(id) => match self.verdict(id) {
                DeviceTrust::Verified => Ok(()),
                verdict => Err(CannotAsk::NotTrusted(verdict)),
            },
            None if self.verified_devices().next().is_none() => Err(CannotAsk::Nobody),
            None => Ok(()),
        }
    }
}

/// Why no device is asked for a secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[expect(
    clippy::large_enum_variant,
    reason = "two public keys are not large enough to be boxed"
)]
#[non_exhaustive]
pub enum CannotAsk {
    /// The identity is not the one that was pinned.
    #[error("{0}")]
    Alarm(IdentityAlarm),
    /// There is nobody to ask.
    #[error("there is no other verified device that could answer")]
    Nobody,
    /// No master key is pinned.
    #[error("this machine does not know your identity: no device is trusted")]
    NotPinned,
    /// The device that is to be asked is not trusted.
    #[error("the device is not trusted: {0}")]
    NotTrusted(DeviceTrust),
    /// This device is not verified.
    #[error("this device is not verified, and no other device answers it: {0}")]
    NotVerified(DeviceTrust),
}

crate::error_code::error_codes! {
    CannotAsk:
    Self::Alarm { .. } => "cannot_ask_alarm",
    Self::Nobody { .. } => "cannot_ask_nobody",
    Self::NotPinned { .. } => "cannot_ask_not_pinned",
    Self::NotTrusted { .. } => "cannot_ask_not_trusted",
    Self::NotVerified { .. } => "cannot_ask_not_verified",
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cross_signing::CrossSigningKeys;
    use crate::identity::PinnedBy;
    use crate::testing::rng;

    #[test]
    fn a_device_that_nobody_verified_asks_nobody() {
        let mut trust = Trust::new("@alice:example.org", "HERE");
        let keys = CrossSigningKeys::generate(&mut rng());
        for is_pinned in [false, true] {
            if is_pinned {
                trust.pin(keys.master_key().public_key(), PinnedBy::PrivateKey);
            }
            // The server does not show this device: nobody can have signed it.
            for from in [None, Some("THERE")] {
                let refused = trust.check_can_ask(from);
                assert_eq!(refused, Err(CannotAsk::NotVerified(DeviceTrust::Unknown)));
            }
        }
    }
}
