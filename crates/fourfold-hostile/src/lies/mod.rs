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
mod lie;
mod one_time_keys;
mod requests;
mod storage;
mod to_device;

pub use self::lie::{Forgery, Lie};

/// Every lie.
pub fn table() -> impl Iterator<Item = &'static Lie> {
    SUBJECTS.iter().copied().flatten()
}

/// The lie of this name.
///
/// # Panics
///
/// When there is none.
#[must_use]
#[expect(clippy::panic, reason = "a test that misspells a lie shows nothing")]
pub fn named(name: &str) -> &'static Lie {
    let found = table().find(|lie| lie.name == name);
    found.unwrap_or_else(|| panic!("there is no lie {name:?}"))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::message::{Message, Turn};
    use crate::victim::Victim;

    #[test]
    fn each_lie_has_a_name_of_its_own_and_says_what_it_does() {
        let names: BTreeSet<_> = table().map(|lie| lie.name).collect();
        assert_eq!(names.len(), table().count());
        for lie in table() {
            assert_eq!(named(lie.name).does, lie.does);
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
        let mut script = named("query-that-is-a-list").script(&Victim::default());
        let mut told = |request: &Message| match script(request) {
            Turn::Altered(change) => change(Message::json(&json!({}))).body,
            turn => panic!("{turn:?}"),
        };
        assert_eq!(told(&query), b"[]");
        assert_eq!(told(&other), b"{}");
    }
}
