//! The lies of a hostile homeserver: what each is called, what it does, and what it attacks.
//!
//! A test plays one by its name, and the lane `requirements` fails when none does. Lies that need the
//! keys of somebody (a device signed by a forger) are told in the tests themselves, with
//! [`Forger`](crate::Forger).

use serde_json::{Value, json};

use crate::proxy::{Message, Script, Turn};

/// One lie.
#[derive(Debug)]
pub struct Lie {
    /// How a test calls it.
    pub name: &'static str,
    /// What the homeserver does.
    pub does: &'static str,
    /// The requirements that a client breaks which falls for it.
    pub attacks: &'static [&'static str],
    tell: Tell,
}

/// What becomes of an answer.
pub type Change = fn(Message) -> Message;

/// How a lie is told.
#[derive(Debug)]
enum Tell {
    /// By what becomes of requests.
    Turns(fn() -> Script),
    /// By changing the answers to requests whose first line has this in it.
    Answers(&'static str, Change),
}

impl Lie {
    /// The lie of this name.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    #[expect(clippy::panic, reason = "a test that misspells a lie shows nothing")]
    pub fn named(name: &str) -> &'static Self {
        let found = LIES.iter().find(|lie| lie.name == name);
        found.unwrap_or_else(|| panic!("there is no lie {name:?}"))
    }

    /// What becomes of each request while the lie is told.
    #[must_use]
    pub fn script(&self) -> Script {
        match self.tell {
            Tell::Turns(script) => script(),
            Tell::Answers(path, change) => Box::new(move |request| {
                if request.first_line().contains(path) {
                    Turn::Altered(Box::new(change))
                } else {
                    Turn::Honest
                }
            }),
        }
    }

    /// Which answers are changed, and how; nothing when the lie is told in another way.
    #[must_use]
    pub fn answers(&self) -> Option<(&'static str, Change)> {
        match self.tell {
            Tell::Turns(_) => None,
            Tell::Answers(path, change) => Some((path, change)),
        }
    }
}

/// Every lie.
pub const LIES: &[Lie] = &[
    Lie {
        name: "no-default-key",
        does: "shows no default key, although there is one",
        attacks: &["STO-06", "MS-01"],
        tell: Tell::Turns(|| shows(None)),
    },
    Lie {
        name: "empty-default-key",
        does: "shows an empty object in place of the default key",
        attacks: &["STO-06", "MS-01"],
        tell: Tell::Turns(|| shows(Some(json!({})))),
    },
    Lie {
        name: "null-default-key",
        does: "shows null in place of the default key",
        attacks: &["STO-06", "MS-01"],
        tell: Tell::Turns(|| shows(Some(Value::Null))),
    },
    Lie {
        name: "no-account-data",
        does: "shows an account in which nothing was ever stored",
        attacks: &["STO-06", "MS-01"],
        tell: Tell::Turns(|| Box::new(forgets_everything)),
    },
    Lie {
        name: "forgets-a-write",
        does: "acknowledges the first write and keeps nothing of it",
        attacks: &["STO-10", "MS-02"],
        tell: Tell::Turns(|| {
            let mut done = Some(Message::json(&json!({})));
            Box::new(move |request| {
                let answer = request.is_write().then(|| done.take()).flatten();
                answer.map_or(Turn::Honest, Turn::Answered)
            })
        }),
    },
    Lie {
        name: "keeps-another-value",
        does: "keeps another value than the one that was written",
        attacks: &["STO-10", "MS-02"],
        tell: Tell::Turns(|| {
            Box::new(|request| {
                if request.is_write() {
                    Turn::Forged(request.with_body(r#"{"encrypted":{}}"#))
                } else {
                    Turn::Honest
                }
            })
        }),
    },
    Lie {
        name: "redirects-to-a-file",
        does: "redirects every request to a file of the machine",
        attacks: &["LIB-23", "MS-19"],
        tell: Tell::Turns(|| redirects(302, "file:///etc/passwd")),
    },
    Lie {
        name: "redirects-to-another-port",
        does: "redirects every request to another server, without naming a scheme",
        attacks: &["LIB-23", "MS-19"],
        tell: Tell::Turns(|| redirects(301, "//127.0.0.1:1/")),
    },
    Lie {
        name: "page-that-commands-the-terminal",
        does: "answers with the page of a proxy that sets the title of the terminal",
        attacks: &["CLI-07", "MS-24"],
        tell: Tell::Turns(|| page(200, "<html>\u{1b}]0;owned\u{7} please log in</html>")),
    },
    Lie {
        name: "byte-order-mark",
        does: "answers with a byte order mark before the JSON",
        attacks: &["MS-20", "MS-24"],
        tell: Tell::Turns(|| page(200, "\u{feff}{}")),
    },
    Lie {
        name: "page-that-forbids",
        does: "answers 403 with a page that clears the terminal",
        attacks: &["CLI-07", "MS-24"],
        tell: Tell::Turns(|| page(403, "<html>\u{1b}[2J forbidden</html>")),
    },
    Lie {
        name: "page-that-is-missing",
        does: "answers 404 with a page, as if nothing were stored",
        attacks: &["STO-06", "MS-24"],
        tell: Tell::Turns(|| page(404, "<html>no such page</html>")),
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
        tell: Tell::Turns(|| stays_at(String::new())),
    },
    Lie {
        name: "same-position",
        does: "answers to each sync with the same position, at once",
        attacks: &["AGT-15", "MS-18"],
        tell: Tell::Turns(|| stays_at("same".to_owned())),
    },
    Lie {
        name: "huge-position",
        does: "answers to each sync with a position of a megabyte",
        attacks: &["AGT-15", "MS-18"],
        tell: Tell::Turns(|| stays_at("x".repeat(1_000_000))),
    },
    Lie {
        name: "no-answer-about-devices",
        does: "answers to a query of keys with an empty object",
        attacks: &["SHR-11", "MS-11"],
        tell: Tell::Answers(QUERY, |_| Message::json(&json!({}))),
    },
    Lie {
        name: "nobodys-devices",
        does: "answers to a query of keys with the devices of nobody",
        attacks: &["SHR-11", "MS-11"],
        tell: Tell::Answers(QUERY, |_| Message::json(&json!({"device_keys": {}}))),
    },
    Lie {
        name: "failed-query",
        does: "says that it could not reach itself when keys are queried",
        attacks: &["SHR-11", "MS-11"],
        tell: Tell::Answers(QUERY, |_| {
            Message::json(&json!({"device_keys": {}, "failures": {"localhost": {}}}))
        }),
    },
    Lie {
        name: "devices-that-are-a-number",
        does: "answers to a query of keys with a number for each user",
        attacks: &["SHR-11", "MS-11"],
        tell: Tell::Answers(QUERY, |answer| {
            answer.with_json(|body| {
                for devices in members(&mut body["device_keys"]) {
                    *devices = json!(7);
                }
            })
        }),
    },
    Lie {
        name: "query-that-is-a-list",
        does: "answers to a query of keys with a list",
        attacks: &["SHR-11", "MS-11"],
        tell: Tell::Answers(QUERY, |_| Message::json(&json!([]))),
    },
    Lie {
        name: "unsigned-one-time-key",
        does: "hands out one-time keys without their signatures",
        attacks: &["SHR-13", "MS-12"],
        tell: Tell::Answers(CLAIM, |answer| {
            answer.with_json(|body| change_keys(body, |key| key["signatures"] = json!({})))
        }),
    },
    Lie {
        name: "fallback-that-is-none",
        does: "says of a one-time key that it is the last one and may be used again",
        attacks: &["SHR-13", "MS-12"],
        tell: Tell::Answers(CLAIM, |answer| {
            answer.with_json(|body| change_keys(body, |key| key["fallback"] = json!(true)))
        }),
    },
];

const QUERY: &str = "/keys/query ";
const CLAIM: &str = "/keys/claim ";
const DEFAULT_KEY: &str = "m.secret_storage.default_key";

/// Shows the default key like this, in every answer that it is a part of.
fn shows(content: Option<Value>) -> Script {
    Box::new(move |request| {
        let content = content.clone();
        if request.is_sync() {
            return Turn::Altered(Box::new(move |answer| {
                answer.with_json(|sync| {
                    let events = sync.pointer_mut("/account_data/events");
                    let Some(events) = events.and_then(Value::as_array_mut) else {
                        return;
                    };
                    events.retain(|event| {
                        event.get("type").and_then(Value::as_str) != Some(DEFAULT_KEY)
                    });
                    let shown =
                        content.map(|content| json!({"type": DEFAULT_KEY, "content": content}));
                    events.extend(shown);
                })
            }));
        }
        if !request.reads(DEFAULT_KEY) {
            return Turn::Honest;
        }
        Turn::Answered(match content {
            Some(content) => Message::json(&content),
            None => Message::error(404, "M_NOT_FOUND", "there is none"),
        })
    })
}

fn forgets_everything(request: &Message) -> Turn {
    if request.is_sync() {
        Turn::Altered(Box::new(|answer| {
            answer.with_json(|sync| {
                if let Some(events) = sync.pointer_mut("/account_data/events") {
                    *events = json!([]);
                }
            })
        }))
    } else if request.head.contains("/account_data/") {
        Turn::Answered(Message::error(404, "M_NOT_FOUND", "there is none"))
    } else {
        Turn::Honest
    }
}

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

/// Changes each one-time key in an answer.
fn change_keys(body: &mut Value, change: impl Fn(&mut Value)) {
    for user in members(&mut body["one_time_keys"]) {
        for device in members(user) {
            members(device).for_each(&change);
        }
    }
}

fn members(object: &mut Value) -> impl Iterator<Item = &mut Value> {
    object
        .as_object_mut()
        .into_iter()
        .flat_map(|members| members.values_mut())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_lie_has_a_name_of_its_own_and_says_what_it_does() {
        let names: BTreeSet<_> = LIES.iter().map(|lie| lie.name).collect();
        assert_eq!(names.len(), LIES.len());
        for lie in LIES {
            assert_eq!(Lie::named(lie.name).does, lie.does);
            assert!(!lie.does.is_empty() && !lie.attacks.is_empty(), "{lie:?}");
        }
    }

    #[test]
    fn a_script_lies_about_its_own_requests_only() {
        let request = |line: &str| Message {
            head: format!("{line}\r\n\r\n"),
            body: Vec::new(),
        };
        let query = request("POST /_matrix/client/v3/keys/query HTTP/1.1");
        let other = request("GET /_matrix/client/v3/account/whoami HTTP/1.1");
        let mut script = Lie::named("query-that-is-a-list").script();
        let Turn::Altered(change) = script(&query) else {
            panic!("an honest answer");
        };
        assert_eq!(change(Message::json(&json!({}))).body, b"[]");
        assert!(matches!(script(&other), Turn::Honest));
    }
}
