//! Events of the device as lines of the log and as questions.

use fourfold::identity::TrustChange;
use fourfold::sharing::{Alert, Audit, AuditDecision, DeviceSummary, Prompt};

use crate::agent::audit::{ALERT, Record, SHARED, TRUST};
use crate::agent::protocol::Question;
use crate::agent::sieve::Kind;
use crate::terminal::duration::written;
use crate::terminal::shown;

/// A line of the audit log.
pub(crate) fn decision(audit: &Audit) -> Record {
    let event = match audit.decision {
        AuditDecision::Asked => "asked",
        AuditDecision::Denied => "refused",
        AuditDecision::EndedUnanswered => "unanswered",
        AuditDecision::Prompted => "prompted",
        AuditDecision::PushReceived => "pushed",
        AuditDecision::RateLimited => "limited",
        AuditDecision::Received => "received",
        AuditDecision::Shared => SHARED,
        AuditDecision::UserDenied => "refused",
        _ => "decided",
    };
    let reason = match audit.decision {
        AuditDecision::Denied => Some("denied by the policy"),
        AuditDecision::RateLimited => Some("the device reached its limit of answers in an hour"),
        AuditDecision::UserDenied => Some("the user declined or did not answer"),
        _ => None,
    };
    let mut record = Record::new(event).secret(audit.name.as_str());
    record.time = audit.at.as_millis();
    if let Some(device) = &audit.device {
        record = record.device(&device.device_id, Some(fingerprint(device)));
    }
    match reason {
        Some(reason) => record.reason(reason),
        None => record,
    }
}

/// An alert as a line of the log, and what it is about.
pub(crate) fn alert(alert: &Alert) -> (Record, Kind) {
    let record = Record::new(ALERT);
    match alert {
        Alert::ConflictingAnswers { name, device_id } => (
            record
                .secret(name.as_str())
                .device(device_id, None)
                .reason("it sent a different value than the device that answered first"),
            Kind::ConflictingAnswers,
        ),
        Alert::GoneDevice { device_id, trust } => (
            record.device(device_id, None).reason(format!(
                "an untrusted device asked for or offered a secret: {trust}"
            )),
            Kind::GoneDevice,
        ),
        Alert::InvalidValue { name, device_id } => (
            record
                .secret(name.as_str())
                .device(device_id, None)
                .reason("it sent a value that does not match the public key"),
            Kind::InvalidValue,
        ),
        Alert::RateLimited { device_id, name } => (
            record
                .secret(name.as_str())
                .device(device_id, None)
                .reason("it sends too many requests; they may be forged"),
            Kind::Limited,
        ),
        _ => (record.reason("something is wrong"), Kind::OtherAlert),
    }
}

/// A change of trust as a line of the log, and what it is about.
pub(crate) fn change(change: &TrustChange) -> (Record, Kind) {
    let record = Record::new(TRUST);
    match change {
        TrustChange::Appeared { device_id } => (
            record.device(device_id, None).reason("it is new"),
            Kind::Appeared,
        ),
        TrustChange::CollidingId { device_id } => (
            record
                .device(device_id, None)
                .reason("its ID is a key of the account: it is never trusted"),
            Kind::CollidingId,
        ),
        TrustChange::IdentityChanged(alarm) => (record.reason(alarm.to_string()), Kind::Identity),
        TrustChange::IdentityUnusable => (
            record.reason("the published identity is not as expected: nothing is shared"),
            Kind::Identity,
        ),
        TrustChange::LogInsUnknown => (
            record.reason(
                "the homeserver does not say which devices are logged in: new devices are not \
                 trusted until it does",
            ),
            Kind::LogInsUnknown,
        ),
        TrustChange::ThisDeviceMissing => (
            record.reason("the homeserver does not list this device"),
            Kind::ThisDeviceMissing,
        ),
        TrustChange::Tombstoned { device_id, reason } => (
            record.device(device_id, None).reason(reason.to_string()),
            Kind::Gone,
        ),
        TrustChange::Verified { device_id } => (
            record.device(device_id, None).reason("it is verified"),
            Kind::Verified,
        ),
        _ => (record.reason("something changed"), Kind::OtherChange),
    }
}

/// A prompt as a question to the user.
pub(crate) fn question(prompt: &Prompt) -> Question {
    let device = &prompt.device;
    let names = prompt.names.iter().map(|name| name.as_str().to_owned());
    Question {
        id: 0,
        secrets: names.collect(),
        device_id: device.device_id.clone(),
        device_name: device.display_name.clone(),
        fingerprint: fingerprint(device),
        first_seen: Some(device.first_seen.as_millis() / 1000),
        verified_by: match (device.confirmed, device.signed_by) {
            (Some(when), _) => format!(
                "you, on this machine, at {}",
                written(when.as_millis() / 1000)
            ),
            (None, Some(_)) => "your identity, whose key signed it".to_owned(),
            (None, None) => "nobody".to_owned(),
        },
        expires_in: 0,
    }
}

fn fingerprint(device: &DeviceSummary) -> String {
    shown::fingerprint(&device.ed25519.to_base64())
}
