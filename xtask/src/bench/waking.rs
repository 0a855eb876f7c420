//! How long a message takes from its sender to a device that waits in a long poll.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::load;
use super::wrk::Series;
use crate::failure::Failure;
use crate::http::Session;

/// Messages of one device in one series.
const MESSAGES: usize = 20;

/// After that, the poll has reached the server and waits there.
const SETTLED: Duration = Duration::from_millis(100);

/// Wakes so many devices at once, each again and again.
pub(super) fn run(sessions: &[Session], connections: u32) -> Result<Series, Failure> {
    let taken: Result<Vec<Vec<Duration>>, Failure> = thread::scope(|scope| {
        let devices: Vec<_> = sessions
            .iter()
            .take(connections as usize)
            .map(|session| scope.spawn(move || of_one_device(session)))
            .collect();
        let ended = devices.into_iter().map(|device| {
            let ended = device.join();
            ended.unwrap_or_else(|_| Err(Failure::Check("a thread ended early".to_owned())))
        });
        ended.collect()
    });
    Ok(Series::of(taken?.concat(), connections))
}

/// The times from before the message is sent until the poll is answered.
fn of_one_device(session: &Session) -> Result<Vec<Duration>, Failure> {
    let mut since = drained(session)?;
    let mut taken = Vec::new();
    for number in 0..MESSAGES {
        let (sender, answered) = mpsc::channel();
        let path = session.sync(Some(&since), 30_000);
        // On a connection of its own: no other request waits behind the poll.
        let client = session.client.clone();
        let poll = thread::spawn(move || {
            let answer = client.must("GET", &path, None);
            let _gone = sender.send(Instant::now());
            answer
        });
        thread::sleep(SETTLED);
        let begun = Instant::now();
        let nanoseconds = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |now| now.as_nanos());
        let path = format!("/_matrix/client/v3/sendToDevice/m.room.encrypted/wake{nanoseconds}");
        let message = load::message(session, number);
        session.client.must("PUT", &path, Some(&message))?;
        let lost = || Failure::Check("a long poll ended without an answer".to_owned());
        let at = answered.recv().map_err(|_| lost())?;
        let answer = poll.join().map_err(|_| lost())??;
        if events(&answer) == 0 {
            return Err(Failure::Check(
                "a long poll came back without the message".to_owned(),
            ));
        }
        taken.push(at.saturating_duration_since(begun));
        since = next_batch(&answer)?;
    }
    Ok(taken)
}

/// Syncs until nothing waits.
fn drained(session: &Session) -> Result<String, Failure> {
    let mut since: Option<String> = None;
    loop {
        let path = session.sync(since.as_deref(), 0);
        let answer = session.client.must("GET", &path, None)?;
        let next = next_batch(&answer)?;
        if events(&answer) == 0 && since.is_some() {
            return Ok(next);
        }
        since = Some(next);
    }
}

fn events(answer: &Value) -> usize {
    let events = answer.pointer("/to_device/events");
    events.and_then(Value::as_array).map_or(0, Vec::len)
}

fn next_batch(answer: &Value) -> Result<String, Failure> {
    let next = answer.get("next_batch").and_then(Value::as_str);
    next.map(str::to_owned)
        .ok_or_else(|| Failure::Check("a sync without next_batch".to_owned()))
}
