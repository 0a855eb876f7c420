//! A proxy in front of a homeserver, which remembers every request and can refuse some.

use std::{
    io::BufReader,
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

/// A proxy that lives as long as the test process.
pub(crate) struct Proxy {
    pub(crate) address: String,
    shared: Arc<Shared>,
}

/// A request or an answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    /// The first line and the headers.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

#[derive(Default)]
struct Shared {
    server: String,
    seen: Mutex<Vec<(Message, Message)>>,
    /// How many writes of account data are let through before the next one is refused.
    writes_left: Mutex<Option<usize>>,
}

impl Proxy {
    /// In front of the server at this address.
    pub(crate) fn to(address: &str) -> Self {
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
    pub(crate) fn seen(&self) -> Vec<(Message, Message)> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Lets some writes of account data through and refuses the one after them, once.
    pub(crate) fn refuse_write_after(&self, writes: usize) {
        *self.shared.writes_left.lock().unwrap() = Some(writes);
    }
}

impl Shared {
    fn serve(&self, client: &TcpStream) {
        let mut requests = BufReader::new(client);
        while let Some(request) = Message::read(&mut requests) {
            let answer = if self.is_refused(&request) {
                Message::refusal()
            } else {
                let mut server = TcpStream::connect(&self.server).unwrap();
                request.write(&mut server);
                Message::read(&mut BufReader::new(server)).unwrap()
            };
            self.seen.lock().unwrap().push((request, answer.clone()));
            answer.write(&mut &*client);
        }
    }

    fn is_refused(&self, request: &Message) -> bool {
        let mut left = self.writes_left.lock().unwrap();
        match *left {
            Some(0) if request.is_write() => {
                *left = None;
                true
            }
            Some(number) if request.is_write() => {
                *left = Some(number - 1);
                false
            }
            _ => false,
        }
    }
}

impl Message {
    fn read(source: &mut impl std::io::BufRead) -> Option<Self> {
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

    fn write(&self, sink: &mut impl std::io::Write) {
        let mut bytes = self.head.clone().into_bytes();
        bytes.extend(&self.body);
        // The other side may have gone away.
        let _ = sink.write_all(&bytes);
    }

    fn refusal() -> Self {
        let body = br#"{"errcode":"M_FORBIDDEN","error":"not now"}"#.to_vec();
        let head = format!(
            "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Self { head, body }
    }

    pub(crate) fn is_write(&self) -> bool {
        self.head.starts_with("PUT ") && self.head.contains("/account_data/")
    }

    pub(crate) fn is_login(&self) -> bool {
        self.head.starts_with("POST ") && self.head.contains("/login ")
    }
}
