//! What a lie is, and how it is told.

use std::fmt;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::message::{Message, Script, Turn};
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
    pub(super) tell: Tell,
}

/// How a lie is told.
#[derive(Debug)]
pub(super) enum Tell {
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

impl Lie {
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
    pub(super) fn new(
        path: &'static str,
        change: impl FnMut(Message) -> Message + Send + 'static,
    ) -> Self {
        Self {
            path,
            change: Box::new(change),
        }
    }

    /// Changes the JSON of the answer.
    pub(super) fn of_json(
        path: &'static str,
        mut change: impl FnMut(&mut Value) + Send + 'static,
    ) -> Self {
        Self::new(path, move |answer| answer.with_json(&mut change))
    }

    /// Returns `true` if it is about devices or identities, which a homeserver says have changed.
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
pub(super) fn key_of(body: &Value, member: &str, user_id: &str) -> String {
    let keys = body[member][user_id]["keys"].as_object();
    let key = keys.and_then(|keys| keys.values().next()?.as_str());
    key.unwrap_or_default().to_owned()
}

/// The values of an object; none of what is no object.
pub(super) fn members(object: &mut Value) -> impl Iterator<Item = &mut Value> {
    object
        .as_object_mut()
        .into_iter()
        .flat_map(|members| members.values_mut())
}

pub(super) const CLAIM: &str = "/keys/claim ";
pub(super) const DEVICES: &str = "/devices ";
pub(super) const QUERY: &str = "/keys/query ";
pub(super) const SYNC: &str = "/sync?";
