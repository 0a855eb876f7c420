//! Everything that is checked when a secret arrives, whether it was asked for or pushed.
//!
//! A value is taken only from a verified device of the user, over Olm, for an open request that was
//! sent to that device, and when it is what its name says.

use crate::identity::{DeviceTrust, KnownDevice};
use crate::sharing::effects::Effects;
use crate::sharing::open_request::Request;
use crate::sharing::{Alert, Assurance, Channel, Context, Ignored, Policy};
use crate::{BackupVersion, Secret, SecretKind, SecretName, Verdict};

/// An answer whose every check passed.
#[derive(Debug)]
pub(super) struct Accepted<'a> {
    pub(super) device: &'a KnownDevice,
    pub(super) standing: Assurance,
}

/// Checks an answer against the open request that has its ID.
pub(super) fn answer<'a>(
    channel: &Channel,
    secret: &Secret,
    request: Option<&Request>,
    locked: bool,
    context: &Context<'a>,
) -> Result<Accepted<'a>, Rejection> {
    let device = sender(channel, locked, context)?;
    let request = request.ok_or(Rejection::NotOpen)?;
    if request.expires <= context.now {
        return Err(Rejection::NotOpen);
    }
    // The very device, not another one that took its ID since.
    if request.asked.get(&device.device_id) != Some(&device.curve25519) {
        return Err(Rejection::NotAsked);
    }
    let standing = value(&request.name, secret, context).ok_or_else(|| Rejection::Invalid {
        name: request.name.clone(),
        device_id: device.device_id.clone(),
    })?;
    Ok(Accepted { device, standing })
}

/// Checks a secret that nobody asked for.
pub(super) fn push<'a>(
    channel: &Channel,
    name: &SecretName,
    secret: &Secret,
    policy: &Policy,
    locked: bool,
    context: &Context<'a>,
) -> Result<Accepted<'a>, Rejection> {
    if !policy.accepts_pushes_of(name) {
        return Err(Rejection::NotOpen);
    }
    let device = sender(channel, locked, context)?;
    let standing = value(name, secret, context).ok_or_else(|| Rejection::Invalid {
        name: name.clone(),
        device_id: device.device_id.clone(),
    })?;
    Ok(Accepted { device, standing })
}

/// The verified device of the user that an event came from.
fn sender<'a>(
    channel: &Channel,
    locked: bool,
    context: &Context<'a>,
) -> Result<&'a KnownDevice, Rejection> {
    let Channel::Olm {
        sender,
        curve25519,
        ed25519,
    } = channel
    else {
        return Err(Rejection::NotEncrypted);
    };
    if sender != context.trust.user_id() {
        return Err(Rejection::OtherUser);
    }
    if locked {
        return Err(Rejection::Locked);
    }
    // By both of its keys, never by a device ID that somebody says.
    let device = context
        .trust
        .device_by_keys(*curve25519, *ed25519)
        .ok_or(Rejection::UnknownDevice)?;
    match context.trust.verdict(&device.device_id) {
        DeviceTrust::Verified => Ok(device),
        trust => Err(Rejection::NotTrusted {
            device_id: device.device_id.clone(),
            trust,
        }),
    }
}

/// The assurance about a value; `None` if it is not of the kind that its name says, or when nothing
/// is known that a value of such a name must be compared with.
fn value(name: &SecretName, secret: &Secret, context: &Context<'_>) -> Option<Assurance> {
    let size = secret.expose_secret().len();
    if size == 0 || size > Secret::MAX_BYTES {
        return None;
    }
    let trust = context.trust;
    let (public_key, is_published) = match context.published_keys.judge(name, secret).ok()? {
        Verdict::Matches { public_key } => (public_key, true),
        Verdict::NothingToCompare { derived } => (derived, false),
        Verdict::OtherVersion { .. } => return None,
        Verdict::Untyped => return Some(Assurance::Untyped),
    };
    let pinned = match SecretKind::of(name) {
        SecretKind::MasterKey => trust.pinned().map(|(key, _)| key.to_base64()),
        SecretKind::SelfSigningKey => trust.pinned_self_signing_key().map(|key| key.to_base64()),
        // It matches what is published, signed by the master key that is published: that one must
        // be the pinned one.
        SecretKind::UserSigningKey if is_published && is_published_identity_pinned(context) => {
            Some(public_key.clone())
        }
        SecretKind::BackupKey if is_published => {
            return context
                .published_keys
                .backup
                .as_ref()
                .map(|backup| of_backup(backup, context));
        }
        _ => None,
    };
    (pinned? == public_key).then_some(Assurance::Pinned { public_key })
}

/// A backup that the pinned master key signed is the user's; any other may be the server's.
fn of_backup(backup: &BackupVersion, context: &Context<'_>) -> Assurance {
    let version = backup.version().to_owned();
    let (auth_data, user_id) = (backup.auth_data(), context.trust.user_id());
    let pinned = context.trust.pinned();
    if pinned.is_some_and(|(key, _)| key.verify(auth_data, user_id).is_ok()) {
        Assurance::SignedBackup { version }
    } else {
        Assurance::ServerBackup { version }
    }
}

fn is_published_identity_pinned(context: &Context<'_>) -> bool {
    let published = context
        .published_keys
        .identity
        .as_ref()
        .and_then(|identity| identity.master_key().ok());
    published.is_some() && published == context.trust.pinned().map(|(key, _)| key)
}

/// Why a secret is not taken. It stays here: nothing of it goes back to the sender.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Rejection {
    Invalid {
        name: SecretName,
        device_id: String,
    },
    Locked,
    NotAsked,
    NotEncrypted,
    NotOpen,
    NotTrusted {
        device_id: String,
        trust: DeviceTrust,
    },
    OtherUser,
    UnknownDevice,
}

impl Rejection {
    /// Tells the user what they should know about a rejected secret.
    pub(super) fn report(self, io: &mut Effects<'_>, context: &Context<'_>) -> Ignored {
        match self {
            Self::Invalid { name, device_id } => {
                let alert = Alert::InvalidValue { name, device_id };
                io.announcements.alert(alert, context.now);
                Ignored::InvalidValue
            }
            Self::NotTrusted { device_id, trust } => {
                if trust.is_gone() {
                    let alert = Alert::GoneDevice { device_id, trust };
                    io.announcements.alert(alert, context.now);
                }
                Ignored::NotTrusted
            }
            Self::Locked => Ignored::Locked,
            Self::NotAsked => Ignored::NotAsked,
            Self::NotEncrypted => Ignored::NotEncrypted,
            Self::NotOpen => Ignored::NotOpen,
            Self::OtherUser => Ignored::OtherUser,
            Self::UnknownDevice => Ignored::UnknownDevice,
        }
    }
}
