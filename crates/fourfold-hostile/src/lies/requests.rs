//! Requests for secrets that nobody made, all in the name of somebody.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::lie::{Lie, Tell};
use crate::attacker::ROGUE;
use crate::victim::Victim;

pub(super) const LIES: &[Lie] = &[
    Lie {
        name: "request-with-another-action",
        does: "makes up events that look like a request of a trusted device",
        attacks: &["SHR-19", "RQ-01"],
        tell: Tell::Events(|victim| {
            let actions = ["REQUEST", "request ", "share"].map(|action| json!(action));
            let actions = actions.into_iter().chain([json!(1), json!(null)]);
            let mut events = with_each(victim, "action", actions);
            let mut content = request(victim, "odd");
            if let Some(content) = content.as_object_mut() {
                content.remove("action");
            }
            events.push(event(&victim.user_id, &content));
            events
        }),
    },
    Lie {
        name: "request-for-another-name",
        does: "makes up requests of a trusted device for what is never shared",
        attacks: &["AGT-05", "RQ-02"],
        tell: Tell::Events(|victim| {
            let names = [
                "",
                "m.cross_signing",
                "m.megolm_backup.v1\0",
                "m.megolm_backup.v1 ",
                "M.MEGOLM_BACKUP.V1",
                "m.secret_storage.default_key",
                "m.secret_storage.key.x",
                "m.cross_signing.master",
                "unknown",
            ];
            let names = names.map(|name| json!(name)).into_iter();
            let names = names.chain([json!(7), json!(null)]).enumerate();
            let events = names.map(|(number, name)| {
                let mut content = request(victim, &format!("odd {number}"));
                content["name"] = name;
                event(&victim.user_id, &content)
            });
            events.collect()
        }),
    },
    Lie {
        name: "request-of-another-device",
        does: "makes up requests of the device itself, of nobody, of a device of its own and of no device",
        attacks: &["SHR-16", "RQ-03"],
        tell: Tell::Events(|victim| {
            let long = [50_000, 1_000_000].map(|length| "x".repeat(length));
            let devices = [victim.device_id.as_str(), "UNKNOWN", ROGUE, "*", ""];
            let devices = devices.into_iter().chain(long.iter().map(String::as_str));
            let devices = devices.map(|id| json!(id)).chain([json!(7)]);
            with_each(victim, "requesting_device_id", devices)
        }),
    },
    Lie {
        name: "request-of-another-user",
        does: "makes up a request of a trusted device that another user sent",
        attacks: &["SHR-16", "RQ-03"],
        tell: Tell::Events(|victim| {
            vec![event(
                &victim.another_user(),
                &request(victim, "of mallory"),
            )]
        }),
    },
    Lie {
        name: "request-with-an-odd-id",
        does: "makes up requests with IDs that nobody could log or send back",
        attacks: &["SHR-19", "RQ-09"],
        tell: Tell::Events(|victim| {
            let (long, longest) = ("x".repeat(2000), "x".repeat(1_000_000));
            let ids = ["", "a\nb", &longest, &long].map(|id| json!(id));
            with_each(victim, "request_id", ids.into_iter().chain([json!(7)]))
        }),
    },
    Lie {
        name: "flood-in-the-name-of-a-trusted-device",
        does: "makes up three thousand requests of a trusted device",
        attacks: &["AGT-06", "AGT-08", "MS-14"],
        tell: Tell::Events(|victim| {
            let flood = (0..3000).map(|number| {
                let content = request(victim, &format!("flood {number}"));
                event(&victim.user_id, &content)
            });
            flood.collect()
        }),
    },
    Lie {
        name: "flood-in-the-name-of-nobody",
        does: "makes up three thousand requests of users and devices that do not exist",
        attacks: &["SHR-16", "AGT-08", "MS-15"],
        tell: Tell::Events(|victim| {
            let flood = (0..3000).map(|number| {
                let mut content = request(victim, &format!("flood {number}"));
                content["requesting_device_id"] = json!(format!("DEVICE{number}"));
                let server = victim
                    .user_id
                    .split_once(':')
                    .map_or("", |(_, server)| server);
                if number % 2 == 0 {
                    event(&victim.user_id, &content)
                } else {
                    event(&format!("@user{number}:{server}"), &content)
                }
            });
            flood.collect()
        }),
    },
    Lie {
        name: "flood-of-verifications",
        does: "makes up three hundred requests to be verified, each taken back",
        attacks: &["AGT-08"],
        tell: Tell::Events(|victim| {
            (0..300)
                .flat_map(|number| verification(victim, number))
                .collect()
        }),
    },
];

/// A request of the trusted device, as it should be.
fn request(victim: &Victim, id: &str) -> Value {
    json!({
        "action": "request",
        "name": victim.secret_name,
        "request_id": id,
        "requesting_device_id": victim.trusted.id,
    })
}

/// Requests that differ from what they should be in one member.
fn with_each(victim: &Victim, member: &str, values: impl IntoIterator<Item = Value>) -> Vec<Value> {
    let events = values.into_iter().map(|value| {
        let mut content = request(victim, "odd");
        content[member] = value;
        event(&victim.user_id, &content)
    });
    events.collect()
}

fn event(sender: &str, content: &Value) -> Value {
    json!({"type": "m.secret.request", "sender": sender, "content": content})
}

/// The trusted device asks to be verified, and does not want it any more.
fn verification(victim: &Victim, number: u32) -> [Value; 2] {
    let id = format!("transaction {number}");
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let request = json!({
        "transaction_id": id,
        "from_device": victim.trusted.id,
        "methods": ["m.sas.v1"],
        "timestamp": u64::try_from(now.as_millis()).unwrap_or_default(),
    });
    let cancel = json!({"transaction_id": id, "code": "m.user", "reason": "no"});
    [("request", request), ("cancel", cancel)].map(|(what, content)| {
        let event_type = format!("m.key.verification.{what}");
        json!({"type": event_type, "sender": victim.user_id, "content": content})
    })
}
