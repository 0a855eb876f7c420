//! A hostile homeserver: it passes everything on to an honest one, and puts events of its own into
//! the answers of `/sync`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::http::Client;

/// Events in one answer, ten times as many as our server gives.
const BATCH: u64 = 1_000;

/// The largest request that is passed on.
const LARGEST: usize = 16 * 1024 * 1024;

const PAUSE: Duration = Duration::from_millis(20);

/// The homeserver in between.
#[derive(Debug)]
pub(super) struct Injector {
    base: String,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    behind: Client,
    user_id: String,
    /// The real device for which some of the events pretend to speak.
    device_id: Mutex<String>,
    left: AtomicU64,
    syncs: AtomicU64,
}

impl Injector {
    /// Listens for the rest of the run. Until [`flood`](Self::flood), it is honest.
    pub(super) fn start(behind: &str, user_id: &str) -> Result<Self, Failure> {
        let failed = |error| Failure::Check(format!("listening on loopback: {error}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shared = Arc::new(Shared {
            behind: Client::new(behind),
            user_id: user_id.to_owned(),
            device_id: Mutex::default(),
            left: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                thread::spawn(move || shared.serve(stream));
            }
        });
        Ok(Self {
            base: format!("http://{address}"),
            shared,
        })
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Puts so many events into the answers that come.
    pub(super) fn flood(&self, device_id: &str, events: u64) {
        let mut known = self.shared.device_id();
        device_id.clone_into(&mut known);
        self.shared.left.store(events, Ordering::SeqCst);
        // A poll that waits brings the first of them.
    }

    /// The number of events that were not delivered yet.
    pub(super) fn left(&self) -> u64 {
        self.shared.left.load(Ordering::SeqCst)
    }

    pub(super) fn wait_for_another_sync(&self) {
        let before = self.shared.syncs.load(Ordering::SeqCst);
        while self.shared.syncs.load(Ordering::SeqCst) == before {
            thread::sleep(PAUSE);
        }
    }
}

impl Shared {
    /// Answers the requests of one connection until it ends.
    fn serve(&self, stream: TcpStream) {
        let Ok(mut writer) = stream.try_clone() else {
            return;
        };
        let mut reader = BufReader::new(stream);
        while let Some(request) = Request::read(&mut reader) {
            let (status, body) = self.answer(&request);
            let body = body.to_string();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            if writer.write_all((head + &body).as_bytes()).is_err() {
                return;
            }
        }
    }

    fn answer(&self, request: &Request) -> (u16, Value) {
        let client = self.behind.with_token(request.token.clone());
        let is_sync = request.path.starts_with("/_matrix/client/v3/sync");
        let mut path = request.path.clone();
        if is_sync {
            self.syncs.fetch_add(1, Ordering::SeqCst);
            // A short poll, so that a flood that begins is not kept waiting.
            let timeout = if self.left.load(Ordering::SeqCst) > 0 {
                0
            } else {
                1_000
            };
            path = with_timeout(&path, timeout);
        }
        let body = request.body.as_ref();
        match client.send(&request.method, &path, body) {
            Ok(mut answer) => {
                if is_sync && answer.status == 200 {
                    self.inject(&mut answer.body);
                }
                (answer.status, answer.body)
            }
            Err(error) => (
                502,
                json!({ "errcode": "M_UNKNOWN", "error": error.to_string() }),
            ),
        }
    }

    fn inject(&self, answer: &mut Value) {
        let left = self.left.load(Ordering::SeqCst);
        let count = left.min(BATCH);
        if count == 0 {
            return;
        }
        let device_id = self.device_id().clone();
        let junk = (left - count..left).map(|number| self.junk(number, &device_id));
        let mut events: Vec<Value> = junk.collect();
        let honest = answer.pointer_mut("/to_device/events");
        if let Some(honest) = honest.and_then(Value::as_array_mut) {
            events.append(honest);
        }
        if let Some(members) = answer.as_object_mut() {
            members.insert("to_device".to_owned(), json!({ "events": events }));
        }
        self.left.store(left - count, Ordering::SeqCst);
    }

    /// Requests of devices that do not exist, of the one that does, and what cannot be decrypted.
    fn junk(&self, number: u64, device_id: &str) -> Value {
        let request = |device: &str| {
            json!({
                "action": "request",
                "name": "m.cross_signing.user_signing",
                "request_id": format!("junk{number}"),
                "requesting_device_id": device,
            })
        };
        let (event_type, content) = match number % 3 {
            0 => ("m.secret.request", request(&format!("DEVICE{number}"))),
            1 => ("m.secret.request", request(device_id)),
            _ => (
                "m.room.encrypted",
                json!({
                    "algorithm": "m.olm.v1.curve25519-aes-sha2",
                    "sender_key": format!("{number:043}"),
                    "ciphertext": { format!("{number:043}"): { "type": 0, "body": "AwogMyr7" } },
                }),
            ),
        };
        json!({ "type": event_type, "sender": self.user_id, "content": content })
    }

    fn device_id(&self) -> std::sync::MutexGuard<'_, String> {
        self.device_id
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The path with another `timeout`.
fn with_timeout(path: &str, timeout: u32) -> String {
    let Some((before, rest)) = path.split_once("timeout=") else {
        return path.to_owned();
    };
    let after = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
    format!("{before}timeout={timeout}{after}")
}

struct Request {
    method: String,
    path: String,
    token: Option<String>,
    body: Option<Value>,
}

impl Request {
    fn read(reader: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let mut words = line.split_whitespace();
        let mut request = Self {
            method: words.next()?.to_owned(),
            path: words.next()?.to_owned(),
            token: None,
            body: None,
        };
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let Some((name, value)) = header.trim_end().split_once(':') else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "authorization" => {
                    request.token = value.trim().strip_prefix("Bearer ").map(str::to_owned);
                }
                "content-length" => length = value.trim().parse().ok()?,
                _ => {}
            }
        }
        if length > LARGEST {
            return None;
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        request.body = serde_json::from_slice(&body).ok();
        Some(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_another_timeout_in_its_place() {
        assert_eq!(
            with_timeout("/sync?timeout=30000&since=1", 0),
            "/sync?timeout=0&since=1"
        );
        assert_eq!(with_timeout("/sync?since=1", 0), "/sync?since=1");
    }
}
