//! A proxy in front of a homeserver, which remembers every request and can lie about any.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what goes wrong here ends a test"
)]

use std::fmt;
use std::io::{BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::lies::Lie;
use crate::victim::Victim;

/// A proxy that lives as long as the test process.
pub struct Proxy {
    /// The address of the proxy itself.
    pub address: String,
    shared: Arc<Shared>,
}

/// A request or an answer.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// The first line and the headers.
    pub head: String,
    /// What comes after them.
    pub body: Vec<u8>,
}

/// What becomes of a request.
#[expect(clippy::exhaustive_enums, reason = "whoever lies knows all of them")]
pub enum Turn {
    /// The server answers.
    Honest,
    /// The server answers, to this request instead.
    Forged(Message),
    /// The server answers, and what it says is changed on the way back.
    Altered(Box<dyn FnOnce(Message) -> Message + Send>),
    /// The server never hears of it; this is the answer.
    Answered(Message),
    /// The server gets so many bytes of it before both connections break.
    Broken(usize),
}

/// Decides about every request.
pub type Script = Box<dyn FnMut(&Message) -> Turn + Send>;

#[derive(Default)]
struct Shared {
    server: String,
    /// The first lines of the requests, as they came.
    asked: Mutex<Vec<String>>,
    seen: Mutex<Vec<(Message, Message)>>,
    more: Condvar,
    script: Mutex<Option<Script>>,
    victim: Mutex<Victim>,
}

impl Proxy {
    /// In front of the server at this address.
    pub fn to(address: &str) -> Self {
        let shared = Arc::new(Shared {
            server: address.strip_prefix("http://").unwrap().to_owned(),
            ..Shared::default()
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || shared.serve(&client.unwrap()));
            }
        });
        Self { address, shared }
    }

    /// All requests so far, with their answers.
    pub fn seen(&self) -> Vec<(Message, Message)> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The first lines of all requests so far, also of those that wait for their answer.
    pub fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Waits until what was seen is like this; looked at whenever a request or an answer came.
    #[track_caller]
    pub fn wait_until(&self, mut is_so: impl FnMut(&[(Message, Message)]) -> bool) {
        let seen = self.shared.seen.lock().unwrap();
        let waited = self
            .shared
            .more
            .wait_timeout_while(seen, Duration::from_secs(60), |seen| !is_so(seen));
        assert!(!waited.unwrap().1.timed_out(), "it does not happen");
    }

    /// Decides about every request from now on.
    pub fn lie(&self, script: impl FnMut(&Message) -> Turn + Send + 'static) {
        *self.shared.script.lock().unwrap() = Some(Box::new(script));
    }

    /// Says whom the lies of the table are told to from now on.
    pub fn aim_at(&self, victim: Victim) {
        *self.shared.victim.lock().unwrap() = victim;
    }

    /// Tells this lie from now on.
    ///
    /// # Panics
    ///
    /// When the table has no lie of this name, or it needs a key that the victim does not have.
    pub fn play(&self, name: &str) {
        let script = Lie::named(name).script(&self.shared.victim.lock().unwrap());
        *self.shared.script.lock().unwrap() = Some(script);
    }

    /// Passes everything on from now on.
    pub fn be_honest(&self) {
        *self.shared.script.lock().unwrap() = None;
    }

    /// Lets some writes of account data through and answers the one after them like this, once.
    pub fn answer_write_after(&self, mut writes: usize, answer: Message) {
        let mut answer = Some(answer);
        self.lie(move |request| {
            if !request.is_write() {
                return Turn::Honest;
            }
            if writes > 0 {
                writes -= 1;
                return Turn::Honest;
            }
            answer.take().map_or(Turn::Honest, Turn::Answered)
        });
    }

    /// Lets some writes of account data through and refuses the one after them, once.
    pub fn refuse_write_after(&self, writes: usize) {
        self.answer_write_after(writes, Message::error(403, "M_FORBIDDEN", "not now"));
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Honest => "Honest",
            Self::Forged(_) => "Forged",
            Self::Altered(_) => "Altered",
            Self::Answered(_) => "Answered",
            Self::Broken(_) => "Broken",
        })
    }
}

impl Shared {
    fn serve(&self, client: &TcpStream) {
        let mut requests = BufReader::new(client);
        while let Some(request) = Message::read(&mut requests) {
            self.note(&request);
            let turn = match &mut *self.script.lock().unwrap() {
                Some(script) => script(&request),
                None => Turn::Honest,
            };
            let answer = match turn {
                Turn::Honest => Some(self.ask(&request)),
                Turn::Forged(forged) => Some(self.ask(&forged)),
                Turn::Altered(change) => Some(change(self.ask(&request))),
                Turn::Answered(answer) => Some(answer),
                Turn::Broken(passed_on) => {
                    self.break_off(&request, passed_on);
                    None
                }
            };
            let Some(answer) = answer else {
                self.remember(request, Message::default());
                let _ = client.shutdown(Shutdown::Both);
                return;
            };
            // Remembered first: whoever has the answer may look.
            self.remember(request, answer.clone());
            answer.write(&mut &*client);
            if answer.head.contains("Connection: close") {
                let _ = client.shutdown(Shutdown::Both);
                return;
            }
        }
    }

    fn note(&self, request: &Message) {
        let line = request.first_line().to_owned();
        self.asked.lock().unwrap().push(line);
        // Whoever looks at the moment looks again.
        let _seen = self.seen.lock().unwrap();
        self.more.notify_all();
    }

    fn remember(&self, request: Message, answer: Message) {
        self.seen.lock().unwrap().push((request, answer));
        self.more.notify_all();
    }

    fn ask(&self, request: &Message) -> Message {
        let mut server = TcpStream::connect(&self.server).unwrap();
        request.write(&mut server);
        Message::read(&mut BufReader::new(server)).unwrap()
    }

    /// Passes on the first bytes of a request and waits until the server is done with them.
    fn break_off(&self, request: &Message, passed_on: usize) {
        let bytes = request.bytes();
        let mut server = TcpStream::connect(&self.server).unwrap();
        let _ = server.write_all(&bytes[..passed_on.min(bytes.len())]);
        let _ = server.shutdown(Shutdown::Write);
        let _ = std::io::copy(&mut server, &mut std::io::sink());
    }
}

impl Message {
    /// Reads one message; nothing when the other side is done.
    pub fn read(source: &mut impl std::io::BufRead) -> Option<Self> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if source.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, length)| length.trim().parse().unwrap());
        let mut body = vec![0; length];
        source.read_exact(&mut body).ok()?;
        Some(Self { head, body })
    }

    /// Writes the message.
    pub fn write(&self, sink: &mut impl std::io::Write) {
        // The other side may have gone away.
        let _ = sink.write_all(&self.bytes());
    }

    /// The message as it is sent.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.clone().into_bytes();
        bytes.extend(&self.body);
        bytes
    }

    /// An answer with a body of this type.
    pub fn answer(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let length = body.len();
        Self {
            head: format!(
                "HTTP/1.1 {status} Whatever\r\nContent-Type: {content_type}\r\n\
                 Content-Length: {length}\r\n\r\n"
            ),
            body,
        }
    }

    /// An answer that went well.
    #[must_use]
    pub fn json(body: &Value) -> Self {
        Self::answer(200, "application/json", body.to_string())
    }

    /// An error in the form of Matrix.
    pub fn error(status: u16, errcode: &str, words: &str) -> Self {
        let body = serde_json::json!({"errcode": errcode, "error": words});
        Self::answer(status, "application/json", body.to_string())
    }

    /// The same with another header.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        let end = self.head.len() - 2;
        self.head.insert_str(end, &format!("{name}: {value}\r\n"));
        self
    }

    /// The same with another JSON body.
    pub fn with_json(&self, change: impl FnOnce(&mut Value)) -> Self {
        let mut body = serde_json::from_slice(&self.body).unwrap();
        change(&mut body);
        self.with_body(body.to_string())
    }

    /// The same with another body.
    pub fn with_body(&self, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let head = self
            .head
            .lines()
            .map(|line| match line.split_once(':') {
                Some((name, _)) if name.eq_ignore_ascii_case("content-length") => {
                    format!("{name}: {}\r\n", body.len())
                }
                _ => format!("{line}\r\n"),
            })
            .collect();
        Self { head, body }
    }

    /// What it asks for: the first line.
    #[must_use]
    pub fn first_line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// Whether it writes account data.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.head.starts_with("PUT ") && self.head.contains("/account_data/")
    }

    /// Whether it logs in.
    #[must_use]
    pub fn is_login(&self) -> bool {
        self.head.starts_with("POST ") && self.head.contains("/login ")
    }

    /// Whether it asks for what is new.
    #[must_use]
    pub fn is_sync(&self) -> bool {
        self.head.starts_with("GET ") && self.head.contains("/sync?")
    }

    /// Whether it asks for this event of account data.
    pub fn reads(&self, event_type: &str) -> bool {
        self.head.starts_with("GET ") && self.head.contains(&format!("/account_data/{event_type} "))
    }
}
