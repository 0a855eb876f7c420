//! An agent whose clock is set while it runs.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::agents::RunningAgent;
use crate::invocation::missing;
use crate::key_endpoints::sealed;
use crate::liar::{BACKUP, Liar, SELF_SIGNING};
use crate::peer::Peer;

/// An agent and the file that says how wrong its clock is.
struct Mistimed {
    agent: RunningAgent,
    clock: PathBuf,
}

impl Mistimed {
    /// With this clock. `None` where there is no such software.
    fn start(liar: &Liar, first: &str, preparation: &str) -> Option<Self> {
        let found = Command::new("faketime").arg("--version").output();
        if found.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            missing("faketime");
            return None;
        }
        let clock = liar.laptop.folder.join("clock");
        std::fs::write(&clock, first).unwrap();
        let rules = format!("[secrets]\n\"{BACKUP}\" = \"allow\"\n\"{SELF_SIGNING}\" = \"ask\"\n");
        let policy = liar.laptop.folder.write("policy.toml", rules);
        let call = sealed(&liar.laptop, &["agent", "--policy", &policy])
            .environment("FAKETIME_TIMESTAMP_FILE", &clock)
            .after(&format!(
                "LD_PRELOAD=$(faketime -m -f +0 printenv LD_PRELOAD); \
                 export LD_PRELOAD FAKETIME_NO_CACHE=1 {preparation}"
            ));
        let agent = RunningAgent::start(call);
        liar.laptop.unlock("key").run().succeeds();
        Some(Self { agent, clock })
    }

    fn set(&self, clock: &str) {
        // At once: the agent may look at any moment.
        let new = self.clock.with_extension("new");
        std::fs::write(&new, clock).unwrap();
        std::fs::rename(new, &self.clock).unwrap();
    }
}

/// The clock on the wall alone, as when somebody sets it.
const OF_THE_WALL: &str = "DONT_FAKE_MONOTONIC=1";

// A year back, and then a year ahead.
// shows: AGT-15, AG-06
#[test]
fn a_clock_that_is_set_changes_neither_sharing_nor_the_lifetime_of_a_key() {
    let liar = Liar::new();
    let mut phone = liar.phone();
    let Some(laptop) = Mistimed::start(&liar, "+0", OF_THE_WALL) else {
        return;
    };
    liar.is_answered(&mut phone, "before");
    laptop.set("-1y");
    liar.is_answered(&mut phone, "a year back");
    laptop.set("+1y");
    liar.is_answered(&mut phone, "a year ahead");
    // No more than three in an hour: the year did not pass.
    let to = liar.to_laptop(&phone);
    phone.ask(&to, "one too many", BACKUP);
    liar.settle(&mut phone);
    assert_eq!(liar.sent().len(), 3);

    laptop.set("-1y");
    let key = liar.laptop.folder.name_of("key");
    let unlock = ["unlock", "--lifetime", "1s", "--recovery-key-file", &key];
    liar.laptop.call(&unlock).run().succeeds();
    let begun = Instant::now();
    while !is_locked(&liar) {
        assert!(begun.elapsed().as_secs() < 60, "it keeps the key");
        phone.sync(100);
    }
    assert_eq!(years(&liar), [-1, 0, 1].into());
}

// The machine starts anew with an empty battery.
#[test]
fn an_agent_that_starts_a_year_ago_remembers_what_it_shared() {
    let liar = Liar::new();
    let mut phone = liar.phone();
    let Some(laptop) = Mistimed::start(&liar, "+0", OF_THE_WALL) else {
        return;
    };
    for number in 1..=3 {
        liar.is_answered(&mut phone, &format!("request {number}"));
    }
    laptop.agent.kill();
    let _laptop = Mistimed::start(&liar, "-1y", OF_THE_WALL);
    let to = liar.to_laptop(&phone);
    phone.ask(&to, "one too many", BACKUP);
    liar.settle(&mut phone);
    assert_eq!(liar.sent().len(), 3);
    assert_eq!(liar.logged("alert"), 1);
    assert_eq!(years(&liar), [-1, 0].into());
}

// The homeserver keeps copies of all that it delivered, and delivers them an hour later.
#[test]
fn what_comes_again_an_hour_later_is_neither_answered_nor_asked_about() {
    let liar = Liar::new();
    let mut phone = liar.phone();
    let Some(laptop) = Mistimed::start(&liar, "+0", "DONT_FAKE_MONOTONIC=0") else {
        return;
    };
    liar.is_answered(&mut phone, "one");
    let to = liar.to_laptop(&phone);
    phone.ask(&to, "two", SELF_SIGNING);
    liar.settle(&mut phone);
    assert_eq!(liar.logged("prompted"), 1);
    laptop.set("+1h");
    let again = |phone: &Peer, id: &str, name: &str| {
        let content = phone.request(id, name);
        json!({
            "type": "m.secret.request", "sender": phone.user_id, "content": content
        })
    };
    let copies = vec![
        again(&phone, "two", SELF_SIGNING),
        again(&phone, "one", BACKUP),
    ];
    for _ in 0..3 {
        liar.inject(copies.clone());
        liar.settle(&mut phone);
    }
    assert_eq!(liar.sent().len(), 1);
    assert_eq!(liar.logged("prompted"), 1);
    // The hour passed for the agent too.
    assert_eq!(years(&liar), [0].into());
    for number in 1..=3 {
        liar.is_answered(&mut phone, &format!("new {number}"));
    }
}

/// By how many years the agent was wrong when it wrote something down. What its device tells goes by
/// the clock that nobody can set.
fn years(liar: &Liar) -> BTreeSet<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_millis()).unwrap();
    let log = liar.log();
    let times = log.iter().map(|line| line["time"].as_i64().unwrap());
    times
        .map(|time| (time - now + YEAR / 2).div_euclid(YEAR))
        .collect()
}

fn is_locked(liar: &Liar) -> bool {
    let status = liar.laptop.call(&["agent", "status", "--json"]).run();
    status.json()["key_id"].is_null()
}

const YEAR: i64 = 365 * 24 * 3600 * 1000;
