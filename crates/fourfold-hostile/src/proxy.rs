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

use crate::lies;
pub use crate::message::{Message, Script, Turn};
use crate::victim::Victim;

/// A proxy that lives as long as the test process.
pub struct Proxy {
    /// The address of the proxy itself.
    pub address: String,
    shared: Arc<Shared>,
}

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
        let script = lies::named(name).script(&self.shared.victim.lock().unwrap());
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
            // Remembered first: the caller that has the answer may look.
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
        // A caller that looks at the moment looks again.
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
