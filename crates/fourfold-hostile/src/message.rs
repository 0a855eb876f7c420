//! Requests and answers as they are on the wire, and what becomes of them.

#![expect(clippy::unwrap_used, reason = "what goes wrong here ends a test")]

use std::fmt;

use serde_json::Value;

/// A request or an answer.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// The first line and the headers.
    pub head: String,
    /// What comes after them.
    pub body: Vec<u8>,
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

    /// Returns `true` if it writes account data.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.head.starts_with("PUT ") && self.head.contains("/account_data/")
    }

    /// Returns `true` if it logs in.
    #[must_use]
    pub fn is_login(&self) -> bool {
        self.head.starts_with("POST ") && self.head.contains("/login ")
    }

    /// Returns `true` if it asks for what is new.
    #[must_use]
    pub fn is_sync(&self) -> bool {
        self.head.starts_with("GET ") && self.head.contains("/sync?")
    }

    /// Returns `true` if it asks for this event of account data.
    pub fn reads(&self, event_type: &str) -> bool {
        self.head.starts_with("GET ") && self.head.contains(&format!("/account_data/{event_type} "))
    }
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

/// Decides about every request.
pub type Script = Box<dyn FnMut(&Message) -> Turn + Send>;
