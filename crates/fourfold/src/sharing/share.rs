//! Everything that is checked before a secret is shared: when a request is looked at, and again, for
//! the final word, when it is about to be encrypted.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::pending::{Pending, ShareKind};
use super::policy::Consent;
use super::rate_limit::RateLimit;
use super::wire;
use crate::identity::{DeviceTrust, KnownDevice};
use crate::sharing::{Context, DeviceSummary, Policy, RequestId};
use crate::{Secret, SecretName};

/// The current conditions for every share.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    pub(super) policy: &'a Policy,
    pub(super) locked: bool,
    pub(super) shareable: &'a BTreeSet<SecretName>,
    pub(super) limit: &'a RateLimit,
}

/// Whether a secret may be shared now, and with which device exactly.
pub(super) fn check<'a>(
    pending: &Pending,
    rules: &Rules<'_>,
    context: &Context<'a>,
) -> Result<&'a KnownDevice, ShareRefusal> {
    if pending.expires <= context.now {
        return Err(ShareRefusal::Over);
    }
    if rules.locked {
        return Err(ShareRefusal::Locked);
    }
    if !context.trust.is_fresh() {
        return Err(ShareRefusal::Stale);
    }
    let verdict = context.trust.verdict(&pending.device_id);
    let device = match context.trust.device(&pending.device_id) {
        Some(device) if verdict.is_verified() => device,
        _ => return Err(ShareRefusal::NotTrusted(verdict)),
    };
    // Who asked, whom the user agreed to, and whom a session was made with.
    let decided = pending.device.as_ref();
    if decided.is_none_or(|decided| {
        decided.curve25519 != device.curve25519 || decided.ed25519 != device.ed25519
    }) {
        return Err(ShareRefusal::KeysChanged);
    }
    if !rules.shareable.contains(&pending.name) {
        return Err(ShareRefusal::NotHeld);
    }
    match rules.policy.consent(&pending.name, device, context.now) {
        Consent::Refused => return Err(ShareRefusal::Denied),
        Consent::Needed if !pending.agreed => return Err(ShareRefusal::ConsentNeeded),
        Consent::Needed | Consent::Given => {}
    }
    if pending.kind == ShareKind::Answer
        && rules
            .limit
            .is_exceeded(&pending.device_id, &pending.name, context.now)
    {
        return Err(ShareRefusal::RateLimited);
    }
    Ok(device)
}

/// The permission to encrypt one secret to one device, now.
/// [`authorise`](super::SecretSharing::authorise) gives it once, and it must not be kept.
#[derive(Debug)]
#[must_use = "an authorised share must be sent, or the device waits for nothing"]
pub struct Authorised {
    pub(super) device: DeviceSummary,
    pub(super) name: SecretName,
    pub(super) request_id: RequestId,
    pub(super) kind: ShareKind,
}

impl Authorised {
    /// The recipient: encrypt to exactly these keys.
    #[must_use]
    pub const fn device(&self) -> &DeviceSummary {
        &self.device
    }

    pub(super) const fn is_answer(&self) -> bool {
        matches!(self.kind, ShareKind::Answer)
    }

    /// The secret that was authorised, and no other.
    #[must_use]
    pub const fn name(&self) -> &SecretName {
        &self.name
    }

    /// The type of the event in the Olm plaintext: `m.secret.send`, or for a push the unstable name
    /// of MSC4385, which is what clients understand.
    #[must_use]
    pub const fn event_type(&self) -> &'static str {
        match self.kind {
            ShareKind::Answer => wire::SEND,
            ShareKind::Push => wire::UNSTABLE_PUSH,
        }
    }

    /// The content of the event in the Olm plaintext, as JSON.
    #[must_use]
    pub fn content(&self, secret: &Secret) -> Zeroizing<String> {
        match self.kind {
            ShareKind::Answer => wire::send(&self.request_id, secret),
            ShareKind::Push => wire::push(&self.name, secret),
        }
    }
}

/// Why a secret is not shared, or not now.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize, thiserror::Error)]
#[non_exhaustive]
pub enum ShareRefusal {
    /// The user has to agree first.
    #[error("the user has to agree first")]
    ConsentNeeded,
    /// The policy denies it.
    #[error("the policy denies it")]
    Denied,
    /// The device has other keys than those that the share was for.
    #[error("the keys of the device changed")]
    KeysChanged,
    /// The machine is locked.
    #[error("locked")]
    Locked,
    /// This machine does not have the secret.
    #[error("the secret is not available")]
    NotHeld,
    /// The device is not verified, or no longer.
    #[error("the device is not trusted: {0}")]
    NotTrusted(DeviceTrust),
    /// The share is over: it was carried out, cancelled, or came too late.
    #[error("the request is over")]
    Over,
    /// The device, or all together, had enough for this hour.
    #[error("too many answers in an hour")]
    RateLimited,
    /// The list of devices is out of date.
    #[error("the list of devices is out of date")]
    Stale,
}

crate::error_code::error_codes! {
    ShareRefusal:
    Self::ConsentNeeded { .. } => "share_consent_needed",
    Self::Denied { .. } => "share_denied",
    Self::KeysChanged { .. } => "share_keys_changed",
    Self::Locked { .. } => "share_locked",
    Self::NotHeld { .. } => "share_not_held",
    Self::NotTrusted { .. } => "share_not_trusted",
    Self::Over { .. } => "share_over",
    Self::RateLimited { .. } => "share_rate_limited",
    Self::Stale { .. } => "share_stale",
}

impl ShareRefusal {
    /// Returns `true` if it may pass before the request is too old.
    pub(super) fn may_pass(self) -> bool {
        match self {
            Self::ConsentNeeded | Self::Locked | Self::Stale => true,
            // The signature, or the list that shows it, may come after the request.
            Self::NotTrusted(trust) => matches!(
                trust,
                DeviceTrust::NotSigned
                    | DeviceTrust::NotPinned
                    | DeviceTrust::IdentityUnusable
                    | DeviceTrust::LogInUnknown
            ),
            Self::Denied | Self::KeysChanged | Self::NotHeld | Self::Over | Self::RateLimited => {
                false
            }
        }
    }
}
