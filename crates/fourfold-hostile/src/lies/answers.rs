//! Lies that any answer can be: of a proxy on the way, of a clock, of a position that never changes.

use serde_json::json;

use super::lie::{Lie, Tell};
use crate::message::{Message, Script, Turn};

pub(super) const LIES: &[Lie] = &[
    Lie {
        name: "redirects-to-a-file",
        does: "redirects every request to a file of the machine",
        attacks: &["LIB-23", "MS-19"],
        tell: Tell::Turns(|_| redirects(302, "file:///etc/passwd")),
    },
    Lie {
        name: "redirects-to-another-port",
        does: "redirects every request to another server, without naming a scheme",
        attacks: &["LIB-23", "MS-19"],
        tell: Tell::Turns(|_| redirects(301, "//127.0.0.1:1/")),
    },
    Lie {
        name: "page-that-commands-the-terminal",
        does: "answers with the page of a proxy that sets the title of the terminal",
        attacks: &["CLI-07", "MS-24"],
        tell: Tell::Turns(|_| page(200, "<html>\u{1b}]0;owned\u{7} please log in</html>")),
    },
    Lie {
        name: "byte-order-mark",
        does: "answers with a byte order mark before the JSON",
        attacks: &["MS-20", "MS-24"],
        tell: Tell::Turns(|_| page(200, "\u{feff}{}")),
    },
    Lie {
        name: "page-that-forbids",
        does: "answers 403 with a page that clears the terminal",
        attacks: &["CLI-07", "MS-24"],
        tell: Tell::Turns(|_| page(403, "<html>\u{1b}[2J forbidden</html>")),
    },
    Lie {
        name: "page-that-is-missing",
        does: "answers 404 with a page, as if nothing were stored",
        attacks: &["STO-06", "MS-24"],
        tell: Tell::Turns(|_| page(404, "<html>no such page</html>")),
    },
    Lie {
        name: "clock-of-2036",
        does: "says in each answer that it is ten years later",
        attacks: &["AGT-15", "MS-23"],
        tell: Tell::Answers(" HTTP/1.1", |answer| {
            answer.with_header("Date", "Mon, 24 Nov 2036 00:00:00 GMT")
        }),
    },
    Lie {
        name: "clock-of-2016",
        does: "says in each answer that it is ten years earlier",
        attacks: &["AGT-15", "MS-23"],
        tell: Tell::Answers(" HTTP/1.1", |answer| {
            answer.with_header("Date", "Thu, 24 Nov 2016 00:00:00 GMT")
        }),
    },
    Lie {
        name: "empty-position",
        does: "answers to each sync with an empty position",
        attacks: &["AGT-15", "MS-18"],
        tell: Tell::Turns(|_| stays_at(String::new())),
    },
    Lie {
        name: "same-position",
        does: "answers to each sync with the same position, at once",
        attacks: &["AGT-15", "MS-18"],
        tell: Tell::Turns(|_| stays_at("same".to_owned())),
    },
    Lie {
        name: "huge-position",
        does: "answers to each sync with a position of a megabyte",
        attacks: &["AGT-15", "MS-18"],
        tell: Tell::Turns(|_| stays_at("x".repeat(1_000_000))),
    },
];

fn redirects(status: u16, target: &'static str) -> Script {
    Box::new(move |_| {
        let answer = Message::answer(status, "application/json", "{}");
        Turn::Answered(answer.with_header("Location", target))
    })
}

fn page(status: u16, text: &'static str) -> Script {
    Box::new(move |_| Turn::Answered(Message::answer(status, "text/html", text)))
}

fn stays_at(position: String) -> Script {
    let body = json!({"next_batch": position});
    Box::new(move |request| {
        if request.is_sync() {
            Turn::Answered(Message::json(&body))
        } else {
            Turn::Honest
        }
    })
}
