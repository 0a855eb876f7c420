//! What the device has to tell, in the words of the log and of the questions.

use fourfold::{
    identity::TrustChange,
    sharing::{Alert, Audit, AuditDecision, DeviceSummary, Prompt},
};

use crate::{
    agent::{audit::Record, protocol::Question},
    duration::written,
    own_device,
};

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
        AuditDecision::Shared => "shared",
        AuditDecision::UserDenied => "refused",
        _ => "decided",
    };
    let reason = match audit.decision {
        AuditDecision::Denied => Some("the policy says no"),
        AuditDecision::RateLimited => Some("it asks for more than a device may have in an hour"),
        AuditDecision::UserDenied => Some("the user said no, or nothing"),
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

/// An alert as a line of the log.
pub(crate) fn alert(alert: &Alert) -> Record {
    let record = Record::new("alert");
    match alert {
        Alert::ConflictingAnswers { name, device_id } => record
            .secret(name.as_str())
            .device(device_id, None)
            .reason("it sent another value than the device that answered first"),
        Alert::GoneDevice { device_id, trust } => record
            .device(device_id, None)
            .reason(format!("it asks or answers, and must not: {trust}")),
        Alert::InvalidValue { name, device_id } => record
            .secret(name.as_str())
            .device(device_id, None)
            .reason("it sent a value that does not fit the public key"),
        Alert::RateLimited { device_id, name } => record
            .secret(name.as_str())
            .device(device_id, None)
            .reason("it asks too often; somebody may forge its requests"),
        _ => record.reason("something is wrong"),
    }
}

/// A change of trust as a line of the log, and whether the user should know now.
pub(crate) fn change(change: &TrustChange) -> (Record, bool) {
    let record = Record::new("trust");
    match change {
        TrustChange::Appeared { device_id } => {
            (record.device(device_id, None).reason("it is new"), false)
        }
        TrustChange::CollidingId { device_id } => (
            record
                .device(device_id, None)
                .reason("its ID is a key of the account: it is never trusted"),
            true,
        ),
        TrustChange::IdentityChanged(alarm) => (record.reason(alarm.to_string()), true),
        TrustChange::IdentityUnusable => (
            record.reason("the identity is not published as it should be: nothing is shared"),
            true,
        ),
        TrustChange::ThisDeviceMissing => (
            record.reason("the homeserver does not list this device"),
            true,
        ),
        TrustChange::Tombstoned { device_id, reason } => (
            record.device(device_id, None).reason(reason.to_string()),
            false,
        ),
        TrustChange::Verified { device_id } => (
            record.device(device_id, None).reason("it is verified"),
            false,
        ),
        _ => (record.reason("something changed"), false),
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
    own_device::fingerprint(&device.ed25519.to_base64())
}
