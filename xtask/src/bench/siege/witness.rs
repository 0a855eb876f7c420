//! The user who works while others attack: what each request takes, and whether what was acknowledged
//! is there.

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::party::Party;
use super::scene::Scene;
use crate::bench::wrk::Series;
use crate::failure::Failure;

/// Rounds of work in one series. Each reads, writes, and sends to the user's other device.
const ROUNDS: u64 = 150;

/// The pause after each request: well within what one user may ask.
const PAUSE: Duration = Duration::from_millis(10);

const TYPE: &str = "org.example.note";

/// Two devices of a user.
#[derive(Debug)]
pub(super) struct Witness {
    first: Party,
    /// To which the first one sends, and which others attack.
    pub(super) second: Party,
    since: Option<String>,
    sent: u64,
}

/// What a series showed.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) series: Series,
    /// Requests that were not answered with 200.
    pub(super) failed: u64,
    /// Writes that were acknowledged and are not there.
    pub(super) lost: u64,
}

impl Witness {
    pub(super) fn new(scene: &Scene) -> Result<Self, Failure> {
        let from = Ipv4Addr::new(127, 0, 0, 2);
        let name = scene.name(0);
        Ok(Self {
            first: Party::register(scene, from, &name)?,
            second: Party::log_in(scene, from, &name)?,
            since: None,
            sent: 0,
        })
    }

    /// Works for a while.
    pub(super) fn work(&mut self) -> Result<Work, Failure> {
        let path = self.first.account_data(TYPE);
        let (mut taken, mut failed) = (Vec::new(), 0);
        let (mut noted, mut delivered) = (None, Vec::new());
        let mut measure = |party: &mut Party, method: &str, path: &str, body: &Value| {
            let body = if method == "GET" {
                String::new()
            } else {
                body.to_string()
            };
            let begun = Instant::now();
            let status = party.send(method, path, &body).map(|answer| answer.status);
            taken.push(begun.elapsed());
            thread::sleep(PAUSE);
            let is_good = matches!(status, Ok(200));
            failed += u64::from(!is_good);
            is_good
        };
        for _ in 0..ROUNDS {
            self.sent += 1;
            let number = json!({ "number": self.sent });
            if measure(&mut self.first, "PUT", &path, &number) {
                noted = Some(self.sent);
            }
            let content = json!({ self.second.device_id.as_str(): number });
            let message = json!({ "messages": { self.second.user_id.as_str(): content } });
            let send = format!("/sendToDevice/{TYPE}/{}", self.sent);
            if measure(&mut self.first, "PUT", &send, &message) {
                delivered.push(self.sent);
            }
            measure(&mut self.first, "GET", &path, &Value::Null);
        }
        let mut lost = 0;
        let stored = self.first.must("GET", &path, "")?;
        let stored = stored.get("number").and_then(Value::as_u64);
        // A write without an answer may have happened.
        lost += u64::from(stored < noted);
        let received = self.receive()?;
        lost += delivered.iter().filter(|it| !received.contains(it)).count() as u64;
        Ok(Work {
            series: Series::of(taken, 1),
            failed,
            lost,
        })
    }

    /// Receives all that waits for the second device; returns the numbers of what the first one sent.
    pub(super) fn receive(&mut self) -> Result<Vec<u64>, Failure> {
        let mut numbers = Vec::new();
        loop {
            let since = self.since.as_ref();
            let since = since.map_or_else(String::new, |since| format!("?since={since}"));
            let sync = self.second.must("GET", &format!("/sync{since}"), "")?;
            let since = sync.get("next_batch").and_then(Value::as_str);
            self.since = since.map(str::to_owned);
            let events = sync.pointer("/to_device/events").and_then(Value::as_array);
            let events = events.map_or(&[][..], Vec::as_slice);
            if events.is_empty() {
                return Ok(numbers);
            }
            let number = |event: &Value| event.pointer("/content/number").and_then(Value::as_u64);
            numbers.extend(events.iter().filter_map(number));
        }
    }
}
