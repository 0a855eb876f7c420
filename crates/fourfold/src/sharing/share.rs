//! The final word before a secret is encrypted: everything that is checked then is checked here.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{Secret, sharing::DeviceSummary};

/// The permission to encrypt one secret to one device, now. It cannot be kept: every
/// [`authorise`](super::SecretSharing::authorise) gives it once.
#[derive(Debug)]
#[must_use = "whoever was authorised sends, or the device waits in vain"]
pub struct Authorised {
    pub(super) device: DeviceSummary,
    pub(super) kind: ShareKind,
}

impl Authorised {
    /// Who gets it: encrypt to exactly these keys.
    #[must_use]
    pub const fn device(&self) -> &DeviceSummary {
        &self.device
    }

    /// The type of the event in the Olm plaintext.
    #[must_use]
    pub fn event_type(&self) -> &'static str {
        "m.secret.send"
    }

    /// The content of the event in the Olm plaintext, as JSON.
    #[must_use]
    pub fn content(&self, secret: &Secret) -> Zeroizing<String> {
        let _ = (secret, &self.kind);
        Zeroizing::new(String::new())
    }
}

/// What a share is for.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) enum ShareKind {
    Answer,
}

/// Why a secret is not shared after all.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize, thiserror::Error)]
#[non_exhaustive]
pub enum ShareRefusal {
    /// The share is over: it was carried out, cancelled, or came too late.
    #[error("the request is over")]
    Over,
}
