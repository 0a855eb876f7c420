//! The table of attacks: what each does, and the requirement by which others must not notice.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::party::{Name, Party};
use super::scene::Scene;
use super::wire::{self, Wire};
use crate::failure::Failure;

/// One kind of attack.
pub(super) struct Attack {
    pub(super) name: &'static str,
    /// What it does, for the table.
    pub(super) what: &'static str,
    pub(super) requirement: &'static str,
    /// Who attacks, with what they stored before; nothing is measured yet.
    pub(super) prepare: fn(&Scene) -> Result<Vec<Party>, Failure>,
    /// What each of them does, in a thread of its own, until it is over. Only the first error counts,
    /// and only when nothing was answered: a server may end the connections of those who attack it.
    pub(super) act: fn(&Scene, &mut Party, &Name) -> Result<(), Failure>,
}

/// Attacks that anybody who can register can make.
pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "unread syncs",
        what: "100 syncs of 30 MiB of account data, none of them read",
        requirement: "SRV-10",
        prepare: |scene| large_accounts(scene, 1),
        act: |scene, party, _| leave_unread(scene, party, "/sync", 100),
    },
    Attack {
        name: "unread backups",
        what: "25 downloads of a key backup of 40 MB, none of them read",
        requirement: "SRV-10",
        prepare: |scene| large_backup(scene),
        act: |scene, party, _| leave_unread(scene, party, "/room_keys/keys?version=1", 25),
    },
    Attack {
        name: "slow readers",
        what: "50 syncs of 30 MiB, read 4 KiB a fifth of a second",
        requirement: "SRV-10",
        prepare: |scene| large_accounts(scene, 1),
        act: |scene, party, _| read_slowly(scene, party),
    },
    Attack {
        name: "names at the login",
        what: "100 addresses that log in with names of 240 kB, each another one",
        requirement: "SRV-10",
        prepare: |scene| strangers(scene, 100),
        act: |scene, party, _| log_in_as_nobody(scene, party, 240_000),
    },
    Attack {
        name: "filters",
        what: "6 devices that sync through the largest filter that is taken, over 1,000 types",
        requirement: "SRV-11",
        prepare: |scene| filtered(scene),
        act: |scene, party, _| {
            let path = format!("/sync?filter={}", party.device_id);
            again_and_again(scene, party, |_| ("GET", path.clone(), String::new()))
        },
    },
    Attack {
        name: "long polls",
        what: "4,000 long polls of two devices of one user",
        requirement: "SRV-11",
        prepare: |scene| two_devices(scene),
        act: |scene, party, _| {
            let path = format!("/sync?timeout=120000&since={}", party.since()?);
            let open = wire::request("GET", &path, Some(&party.token), "");
            hold_open(scene, party, &open, 2_000)
        },
    },
    Attack {
        name: "half-open connections",
        what: "4,000 connections of one address that begin a request and do not end it",
        requirement: "SRV-11",
        prepare: |scene| strangers(scene, 1),
        act: |scene, party, _| hold_open(scene, party, "GET / HTTP/1.1\r\nHost: a", 4_000),
    },
    Attack {
        name: "bodies without end",
        what: "200 uploads of 4 MiB of one user that lack their last byte",
        requirement: "SRV-10",
        prepare: |scene| backup(scene, 1),
        act: |scene, party, _| {
            let keys = keys(0, 38);
            let text = wire::request("PUT", KEYS, Some(&party.token), &keys);
            let all_but_one = text.get(..text.len() - 1).unwrap_or_default();
            hold_open(scene, party, all_but_one, 200)
        },
    },
    Attack {
        name: "a full inbox",
        what: "a stranger sends messages to a device of the user who works, as fast as the rates allow",
        requirement: "SRV-11",
        prepare: |scene| registered(scene, 1),
        act: |scene, party, victim| {
            let content = json!({ victim.device_id.as_str(): { "x": "x".repeat(1_000) } });
            let body = json!({ "messages": { victim.user_id.as_str(): content } }).to_string();
            again_and_again(scene, party, |n| {
                ("PUT", format!("/sendToDevice/m.siege/{n}"), body.clone())
            })
        },
    },
    Attack {
        name: "failed logins",
        what: "4 addresses that log in as users who do not exist",
        requirement: "SRV-05",
        prepare: |scene| strangers(scene, 4),
        act: |scene, party, _| log_in_as_nobody(scene, party, 10),
    },
    Attack {
        name: "syncs",
        what: "4 users who sync 1 MiB from the beginning without a pause",
        requirement: "SRV-11",
        prepare: |scene| registered_with_data(scene, 4),
        act: |scene, party, _| {
            again_and_again(scene, party, |_| ("GET", "/sync".to_owned(), String::new()))
        },
    },
    Attack {
        name: "large accounts",
        what: "12 users who sync 30 MiB each from the beginning without a pause",
        requirement: "SRV-10",
        prepare: |scene| large_accounts(scene, 12),
        act: |scene, party, _| {
            again_and_again(scene, party, |_| ("GET", "/sync".to_owned(), String::new()))
        },
    },
    Attack {
        name: "big backups",
        what: "4 users who upload 4 MiB of keys without a pause",
        requirement: "SRV-11",
        prepare: |scene| backup(scene, 4),
        act: |scene, party, _| {
            let keys = keys(0, 38);
            again_and_again(scene, party, |_| ("PUT", KEYS.to_owned(), keys.clone()))
        },
    },
    Attack {
        name: "key queries",
        what: "2 users who ask for the keys of 20 large accounts and 200 unknown ones without a pause",
        requirement: "SRV-11",
        prepare: |scene| {
            let mut parties = registered_with_data(scene, 20)?;
            parties.truncate(2);
            Ok(parties)
        },
        act: |scene, party, _| {
            let unknown = (0..200).map(|n| format!("@nobody{n}:localhost"));
            let known = (1..=20).map(|n| format!("@{}:localhost", scene.name(n)));
            let users: serde_json::Map<String, Value> =
                known.chain(unknown).map(|user| (user, json!([]))).collect();
            let body = json!({ "device_keys": users }).to_string();
            again_and_again(scene, party, |_| {
                ("POST", "/keys/query".to_owned(), body.clone())
            })
        },
    },
];

fn registered(scene: &Scene, count: u8) -> Result<Vec<Party>, Failure> {
    (1..=count)
        .map(|party| Party::register(scene, scene.address(party), &scene.name(party)))
        .collect()
}

/// Those who have no account: a token that opens nothing, at an address of their own.
fn strangers(scene: &Scene, count: u8) -> Result<Vec<Party>, Failure> {
    Ok((1..=count)
        .map(|party| Party::stranger(scene, scene.address(party)))
        .collect())
}

fn two_devices(scene: &Scene) -> Result<Vec<Party>, Failure> {
    let first = Party::register(scene, scene.address(1), &scene.name(1))?;
    let second = Party::log_in(scene, scene.address(1), &scene.name(1))?;
    Ok(vec![first, second])
}

fn registered_with_data(scene: &Scene, count: u8) -> Result<Vec<Party>, Failure> {
    let mut parties = registered(scene, count)?;
    for party in &mut parties {
        store(party, 1)?;
    }
    Ok(parties)
}

fn large_accounts(scene: &Scene, count: u8) -> Result<Vec<Party>, Failure> {
    let mut parties = registered(scene, count)?;
    for party in &mut parties {
        store(party, 30)?;
    }
    Ok(parties)
}

/// Stores so many contents of a megabyte.
fn store(party: &mut Party, count: usize) -> Result<(), Failure> {
    let body = json!({ "x": "x".repeat(1_000_000) }).to_string();
    for number in 0..count {
        let path = party.account_data(&format!("m.large{number}"));
        party.must("PUT", &path, &body)?;
    }
    Ok(())
}

fn backup(scene: &Scene, count: u8) -> Result<Vec<Party>, Failure> {
    let mut parties = registered(scene, count)?;
    for party in &mut parties {
        let version = json!({
            "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": {},
        });
        party.must("POST", "/room_keys/version", &version.to_string())?;
    }
    Ok(parties)
}

fn large_backup(scene: &Scene) -> Result<Vec<Party>, Failure> {
    let mut parties = backup(scene, 1)?;
    for party in &mut parties {
        for upload in 0..11 {
            party.must("PUT", KEYS, &keys(upload * 38, 38))?;
        }
    }
    Ok(parties)
}

const KEYS: &str = "/room_keys/keys?version=1";

/// An upload of so many room keys of 100 kB.
fn keys(first: usize, count: usize) -> String {
    let session = json!({
        "first_message_index": 0, "forwarded_count": 0, "is_verified": false,
        "session_data": { "ciphertext": "x".repeat(100_000) },
    });
    let sessions: serde_json::Map<String, Value> = (first..first + count)
        .map(|number| (format!("s{number}"), session.clone()))
        .collect();
    json!({ "rooms": { "!r:localhost": { "sessions": sessions } } }).to_string()
}

/// Six devices of one user with many types. What the server calls the filter stands in the place of
/// the device ID, which nobody needs.
fn filtered(scene: &Scene) -> Result<Vec<Party>, Failure> {
    let mut first = Party::register(scene, scene.address(1), &scene.name(1))?;
    for number in 0..1_000 {
        let path = first.account_data(&format!("m.type{number}"));
        first.must("PUT", &path, "{}")?;
    }
    let path = format!("/user/{}/filter", first.user_id);
    let mut patterns = 52_000_usize;
    let filter = loop {
        let types: Vec<String> = (0..patterns).map(|number| format!("*{number}*")).collect();
        let filter = json!({ "account_data": { "types": types } }).to_string();
        let answer = first.send("POST", &path, &filter)?;
        if let Some(filter) = answer.json().get("filter_id").and_then(Value::as_str) {
            break filter.to_owned();
        }
        patterns /= 2;
        if patterns == 0 {
            return Err(Failure::Check("the server takes no filter".to_owned()));
        }
    };
    let mut parties = vec![first];
    for _ in 0..5 {
        parties.push(Party::log_in(scene, scene.address(1), &scene.name(1))?);
    }
    for party in &mut parties {
        party.device_id.clone_from(&filter);
    }
    Ok(parties)
}

/// Asks for something large and reads nothing.
fn leave_unread(scene: &Scene, party: &mut Party, path: &str, count: usize) -> Result<(), Failure> {
    let text = wire::request("GET", path, Some(&party.token), "");
    hold_open(scene, party, &text, count)
}

/// Opens connections, sends the same on each, and holds them.
fn hold_open(scene: &Scene, party: &Party, text: &str, count: usize) -> Result<(), Failure> {
    let mut held: Vec<TcpStream> = Vec::new();
    for _ in 0..count {
        if scene.is_over() {
            break;
        }
        // A server may close connections of a client that has too many.
        let opened = wire::open(party.from, scene.to).and_then(|mut stream| {
            stream.set_write_timeout(Some(Duration::from_secs(2)))?;
            stream.write_all(text.as_bytes())?;
            Ok(stream)
        });
        scene.count(opened.is_ok().then_some(200));
        held.extend(opened);
    }
    scene.hold(held);
    Ok(())
}

fn read_slowly(scene: &Scene, party: &mut Party) -> Result<(), Failure> {
    let text = wire::request("GET", "/sync", Some(&party.token), "");
    let mut readers = Vec::new();
    for _ in 0..50 {
        let opened = wire::open(party.from, scene.to).and_then(|mut stream| {
            stream.write_all(text.as_bytes())?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        });
        scene.count(opened.is_ok().then_some(200));
        readers.extend(opened);
    }
    let mut chunk = [0; 4096];
    while !scene.is_over() {
        for reader in &mut readers {
            // Nothing yet, or the end: a slow reader treats both like bytes.
            let _read = reader.read(&mut chunk);
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Logs in under names of a length, each another one, as often as an address may.
fn log_in_as_nobody(scene: &Scene, party: &mut Party, length: usize) -> Result<(), Failure> {
    let mut wire = Wire::new(party.from, scene.to);
    let mut number = 0_usize;
    let (from, filling) = (party.from, "x".repeat(length));
    while !scene.is_over() {
        number += 1;
        // Put together by hand: an attacker who is busy with JSON attacks less.
        let body = format!(
            r#"{{"type":"m.login.password","password":"x","user":"{from}-{number}-{filling}"}}"#
        );
        let answer = wire.send("POST", "/login", None, &body)?;
        // 403 is the answer that such a login gets.
        scene.count((answer.status == 403).then_some(200));
    }
    Ok(())
}

/// Sends one request after another without a pause.
fn again_and_again(
    scene: &Scene,
    party: &mut Party,
    mut next: impl FnMut(u64) -> (&'static str, String, String),
) -> Result<(), Failure> {
    let mut number = 0;
    while !scene.is_over() {
        number += 1;
        let (method, path, body) = next(number);
        let status = party.send(method, &path, &body)?.status;
        scene.count(Some(status));
    }
    Ok(())
}
