//! The lies of a hostile homeserver: what each is called, what it does, and what it attacks.
//!
//! A test plays one by its name, and the lane `requirements` fails when none does. They stand in one
//! file for each subject, and in one table.

#![expect(
    clippy::indexing_slicing,
    reason = "an answer that is not what a homeserver gives ends a test"
)]

mod answers;
mod backup;
mod bounds;
mod descriptions;
mod devices;
mod forged_devices;
mod identity;
mod one_time_keys;
mod requests;
mod storage;
mod to_device;

use std::fmt;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::proxy::{Message, Script, Turn};
use crate::victim::Victim;

/// One lie.
#[derive(Debug)]
pub struct Lie {
    /// How a test calls it.
    pub name: &'static str,
    /// What the homeserver does.
    pub does: &'static str,
    /// The requirements that a client breaks which falls for it.
    pub attacks: &'static [&'static str],
    tell: Tell,
}

/// How a lie is told.
#[derive(Debug)]
enum Tell {
    /// By what becomes of requests.
    Turns(fn(&Victim) -> Script),
    /// By changing the answers to requests whose first line has this in it.
    Answers(&'static str, fn(Message) -> Message),
    /// By changing answers of several kinds, with keys and IDs of whom it is told to.
    Forgeries(fn(&Victim) -> Vec<Forgery>),
    /// By events that come to the device before all others.
    Events(fn(&Victim) -> Vec<Value>),
}

/// What becomes of the answers to some requests.
pub struct Forgery {
    /// The first line of such a request has this in it.
    pub path: &'static str,
    /// Changes the answer.
    pub change: Box<dyn FnMut(Message) -> Message + Send>,
}

/// Every lie.
pub fn table() -> impl Iterator<Item = &'static Lie> {
    SUBJECTS.iter().copied().flatten()
}

impl Lie {
    /// The lie of this name.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    #[expect(clippy::panic, reason = "a test that misspells a lie shows nothing")]
    pub fn named(name: &str) -> &'static Self {
        let found = table().find(|lie| lie.name == name);
        found.unwrap_or_else(|| panic!("there is no lie {name:?}"))
    }

    /// What becomes of each request while the lie is told.
    #[must_use]
    pub fn script(&self, victim: &Victim) -> Script {
        if let Tell::Turns(script) = self.tell {
            return script(victim);
        }
        let mut forgeries = self.forgeries(victim);
        let events = self.events(victim);
        if !events.is_empty() {
            forgeries.push(comes_first(events));
        }
        let forgeries = Arc::new(Mutex::new(forgeries));
        Box::new(move |request| {
            let (forgeries, line) = (Arc::clone(&forgeries), request.first_line().to_owned());
            Turn::Altered(Box::new(move |mut answer| {
                let Ok(mut forgeries) = forgeries.lock() else {
                    return answer;
                };
                for forgery in &mut *forgeries {
                    if line.contains(forgery.path) {
                        answer = (forgery.change)(answer);
                    }
                }
                answer
            }))
        })
    }

    /// Which answers are changed, and how; none when the lie is told in another way.
    #[must_use]
    pub fn forgeries(&self, victim: &Victim) -> Vec<Forgery> {
        match self.tell {
            Tell::Turns(_) | Tell::Events(_) => Vec::new(),
            Tell::Answers(path, change) => vec![Forgery::new(path, change)],
            Tell::Forgeries(forgeries) => forgeries(victim),
        }
    }

    /// The events that come to the device; none when the lie is told in another way.
    #[must_use]
    pub fn events(&self, victim: &Victim) -> Vec<Value> {
        match self.tell {
            Tell::Events(events) => events(victim),
            _ => Vec::new(),
        }
    }
}

impl Forgery {
    fn new(path: &'static str, change: impl FnMut(Message) -> Message + Send + 'static) -> Self {
        Self {
            path,
            change: Box::new(change),
        }
    }

    /// Changes the JSON of the answer.
    fn of_json(path: &'static str, mut change: impl FnMut(&mut Value) + Send + 'static) -> Self {
        Self::new(path, move |answer| answer.with_json(&mut change))
    }

    /// Whether it is about devices or identities, which a homeserver says have changed.
    #[must_use]
    pub fn is_about_devices(&self) -> bool {
        [QUERY, DEVICES].contains(&self.path)
    }
}

impl fmt::Debug for Forgery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forgery")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Puts these before the events of the next answer.
fn comes_first(events: Vec<Value>) -> Forgery {
    let mut events = Some(events);
    Forgery::of_json(SYNC, move |body| {
        let to_device = &mut body["to_device"]["events"];
        let later = to_device.as_array().cloned().unwrap_or_default();
        let first = events.take().unwrap_or_default();
        *to_device = first.into_iter().chain(later).collect();
    })
}

/// The cross-signing key of a user, in base64; nothing when there is none.
fn key_of(body: &Value, member: &str, user_id: &str) -> String {
    let keys = body[member][user_id]["keys"].as_object();
    let key = keys.and_then(|keys| keys.values().next()?.as_str());
    key.unwrap_or_default().to_owned()
}

/// The values of an object; none of what is no object.
fn members(object: &mut Value) -> impl Iterator<Item = &mut Value> {
    object
        .as_object_mut()
        .into_iter()
        .flat_map(|members| members.values_mut())
}

const SUBJECTS: &[&[Lie]] = &[
    answers::LIES,
    backup::LIES,
    bounds::LIES,
    descriptions::LIES,
    devices::LIES,
    forged_devices::LIES,
    identity::LIES,
    one_time_keys::LIES,
    requests::LIES,
    storage::LIES,
    to_device::LIES,
];

const CLAIM: &str = "/keys/claim ";
const DEVICES: &str = "/devices ";
const QUERY: &str = "/keys/query ";
const SYNC: &str = "/sync?";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn each_lie_has_a_name_of_its_own_and_says_what_it_does() {
        let names: BTreeSet<_> = table().map(|lie| lie.name).collect();
        assert_eq!(names.len(), table().count());
        for lie in table() {
            assert_eq!(Lie::named(lie.name).does, lie.does);
            assert!(!lie.does.is_empty() && !lie.attacks.is_empty(), "{lie:?}");
        }
    }

    #[test]
    fn a_script_lies_about_its_own_requests_only() {
        let request = |line: &str| Message {
            head: format!("{line}\r\n\r\n"),
            body: Vec::new(),
        };
        let query = request("POST /_matrix/client/v3/keys/query HTTP/1.1");
        let other = request("GET /_matrix/client/v3/account/whoami HTTP/1.1");
        let mut script = Lie::named("query-that-is-a-list").script(&Victim::default());
        let mut told = |request: &Message| match script(request) {
            Turn::Altered(change) => change(Message::json(&json!({}))).body,
            turn => panic!("{turn:?}"),
        };
        assert_eq!(told(&query), b"[]");
        assert_eq!(told(&other), b"{}");
    }
}
