//! A homeserver that lies about account data: what it says may cost availability, and nothing else.

use serde_json::{Value, json};

use crate::homeserver::{Homeserver, Person};
use crate::proxy::{Message, Proxy, Turn};

pub(crate) const NAME: &str = "org.example.wallet";
const SECRET: &str = "four folds of paper";
pub(crate) const DEFAULT_KEY: &str = "m.secret_storage.default_key";

/// Alice, her secret, and what stands between her and her server.
pub(crate) struct Scene {
    pub(crate) server: Homeserver,
    pub(crate) proxy: Proxy,
    pub(crate) alice: Person,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let server = Homeserver::start();
        let proxy = Proxy::to(&server.address);
        let alice = server.person_through(&proxy, "alice");
        alice.set_up("key");
        alice.put(NAME, SECRET, "key").run().succeeds();
        Self {
            server,
            proxy,
            alice,
        }
    }

    fn account_data(&self) -> String {
        self.server.other_client("alice").everything()
    }

    pub(crate) fn writes(&self) -> usize {
        let seen = self.proxy.seen();
        seen.iter()
            .filter(|(request, _)| request.is_write())
            .count()
    }

    /// The server shows the account data like this, in every answer that it is a part of.
    pub(crate) fn show(&self, event_type: &str, content: Option<Value>) {
        let event_type = event_type.to_owned();
        self.proxy.lie(move |request| {
            let (content, event_type) = (content.clone(), event_type.clone());
            if request.is_sync() {
                return Turn::Altered(Box::new(move |answer| {
                    answer.with_json(|sync| replace(sync, &event_type, content))
                }));
            }
            if !request.reads(&event_type) {
                return Turn::Honest;
            }
            Turn::Answered(match content {
                Some(content) => Message::answer(200, "application/json", content.to_string()),
                None => Message::error(404, "M_NOT_FOUND", "there is none"),
            })
        });
    }
}

pub(crate) fn replace(sync: &mut Value, event_type: &str, content: Option<Value>) {
    let events = sync["account_data"]["events"].as_array_mut().unwrap();
    events.retain(|event| event["type"] != event_type);
    if let Some(content) = content {
        events.push(json!({"type": event_type, "content": content}));
    }
}

// shows: STO-06, MS-01
#[test]
fn a_store_that_is_remembered_is_not_set_up_anew() {
    let scene = Scene::new();
    let before = scene.account_data();
    let writes = scene.writes();
    let file = scene.alice.folder.name_of("new");
    let setup = || {
        let setup = [
            "setup",
            "--storage-only",
            "--yes",
            "--recovery-key-out",
            &file,
        ];
        scene.alice.call(&setup).run()
    };
    for gone in [None, Some(json!({})), Some(Value::Null)] {
        scene.show(DEFAULT_KEY, gone);
        setup().fails(5);
        assert!(!scene.alice.folder.join("new").exists());
    }
    for lie in [
        "no-default-key",
        "empty-default-key",
        "null-default-key",
        "no-account-data",
    ] {
        scene.proxy.play(lie);
        setup().fails(5);
        assert!(!scene.alice.folder.join("new").exists(), "{lie}");
    }
    assert_eq!(scene.writes(), writes);
    assert_eq!(scene.account_data(), before);
}

// shows: MS-02
#[test]
fn a_write_that_was_not_kept_does_not_count() {
    let scene = Scene::new();
    let before = scene.account_data();
    scene.proxy.play("forgets-a-write");
    scene
        .alice
        .put(NAME, "new", "key")
        .run()
        .fails(5)
        .says("did not store what was written to org.example.wallet");
    assert_eq!(scene.account_data(), before);
    scene.alice.call(&["resume"]).run().succeeds();
    assert_eq!(scene.alice.get(NAME, "key").run().succeeds(), "new");

    // What is kept is not what was written.
    scene.proxy.play("keeps-another-value");
    scene.alice.put(NAME, "newer", "key").run().fails(5);
    scene.proxy.be_honest();
    scene.alice.call(&["resume"]).run().fails(5);
    scene.alice.call(&["resume", "--abandon"]).run().succeeds();
}

#[test]
fn what_changes_between_two_looks_is_not_overwritten() {
    let scene = Scene::new();
    let before = scene.account_data();
    // The snapshot is honest, the second look is not.
    scene.proxy.lie(|request| {
        if request.reads(NAME) {
            let other = r#"{"encrypted":{"x":{"iv":"AA","ciphertext":"AA","mac":"AA"}}}"#;
            Turn::Answered(Message::answer(200, "application/json", other))
        } else {
            Turn::Honest
        }
    });
    let writes = scene.writes();
    scene
        .alice
        .put(NAME, "new", "key")
        .run()
        .fails(5)
        .says("was changed by another client");
    assert_eq!(scene.writes(), writes);
    assert_eq!(scene.account_data(), before);
}

// shows: LIB-23, MS-19
#[test]
fn a_redirect_leads_nowhere() {
    let scene = Scene::new();
    let elsewhere = Proxy::to(&scene.server.address);
    for (status, target) in [
        (307, format!("{}/_matrix/client/v3/sync", elsewhere.address)),
        (308, format!("{}/", elsewhere.address)),
    ] {
        scene.proxy.lie(move |_| {
            let answer = Message::answer(status, "application/json", "{}");
            Turn::Answered(answer.with_header("Location", &target))
        });
        let outcome = scene.alice.get(NAME, "key").run();
        outcome.fails(4).says("it redirects to");
    }
    for lie in ["redirects-to-a-file", "redirects-to-another-port"] {
        scene.proxy.play(lie);
        let outcome = scene.alice.get(NAME, "key").run();
        outcome.fails(4).says("it redirects to");
    }
    assert!(elsewhere.seen().is_empty());
}

// shows: MS-24
#[test]
fn a_page_of_a_proxy_is_an_error_and_is_not_printed() {
    let scene = Scene::new();
    let is_told = || {
        scene
            .alice
            .get(NAME, "key")
            .run()
            .fails(4)
            .is_silent_about("\u{1b}")
            .is_silent_about("html");
    };
    for lie in [
        "page-that-commands-the-terminal",
        "byte-order-mark",
        "page-that-forbids",
        "page-that-is-missing",
    ] {
        scene.proxy.play(lie);
        is_told();
    }
    scene
        .proxy
        .lie(|_| Turn::Answered(Message::answer(401, "text/html", "")));
    is_told();
}

#[test]
fn an_answer_that_breaks_off_is_asked_for_again() {
    let scene = Scene::new();
    let mut answers = 0;
    scene.proxy.lie(move |request| {
        if !request.is_sync() {
            return Turn::Honest;
        }
        answers += 1;
        match answers {
            1 => Turn::Answered(Message {
                head: "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n".into(),
                body: b"{\"next_batch\":".to_vec(),
            }),
            2 => Turn::Answered(
                Message::error(429, "M_LIMIT_EXCEEDED", "slowly").with_header("Retry-After", "0"),
            ),
            3 => Turn::Broken(usize::MAX),
            _ => Turn::Honest,
        }
    });
    assert_eq!(scene.alice.get(NAME, "key").run().succeeds(), SECRET);
}

// shows: AGT-15, MS-23
#[test]
fn a_clock_that_is_ten_years_off_changes_nothing() {
    let scene = Scene::new();
    for year in ["clock-of-2036", "clock-of-2016"] {
        scene.proxy.play(year);
        scene.alice.put(NAME, year, "key").run().succeeds();
        assert_eq!(scene.alice.get(NAME, "key").run().succeeds(), year);
        scene
            .alice
            .call(&["status"])
            .run()
            .is_silent_about("warning")
            .succeeds();
    }
}

// shows: STO-10, MS-22
#[test]
fn a_session_that_ends_in_the_middle_of_a_rotation() {
    let scene = Scene::new();
    let alice = &scene.alice;
    for writes in [0, 1, 2] {
        let ended = Message::answer(
            401,
            "application/json",
            r#"{"errcode":"M_UNKNOWN_TOKEN","error":"log in again","soft_logout":true}"#,
        );
        scene.proxy.answer_write_after(writes, ended);
        let new = alice.folder.name_of("new");
        alice
            .change(&["key", "rotate", "--recovery-key-out", &new], &["key"])
            .run()
            .fails(4)
            .says("log in");
        // The old store is whole, and after the log-in the change goes on.
        alice.log_in().run().succeeds();
        assert_eq!(alice.get(NAME, "key").run().succeeds(), SECRET);
        alice.call(&["resume"]).run().succeeds();
        assert_eq!(alice.get(NAME, "new").run().succeeds(), SECRET);
        std::fs::rename(alice.folder.join("new"), alice.folder.join("key")).unwrap();
    }
}

// shows: STO-10, MS-25
#[test]
fn a_connection_that_breaks_at_any_byte_of_a_write() {
    let scene = Scene::new();
    let last = scene.proxy.seen();
    let write = last
        .iter()
        .rfind(|(request, _)| request.is_write())
        .unwrap();
    let (head, whole) = (write.0.head.len(), write.0.bytes().len());
    for (round, bytes) in [0, 1, head / 2, head, head + 1, whole - 1, usize::MAX]
        .into_iter()
        .enumerate()
    {
        let mut is_broken = false;
        scene.proxy.lie(move |request| {
            if request.is_write() && !is_broken {
                is_broken = true;
                Turn::Broken(bytes)
            } else {
                Turn::Honest
            }
        });
        let value = format!("value {round}");
        scene.alice.put(NAME, &value, "key").run().succeeds();
        assert_eq!(scene.alice.get(NAME, "key").run().succeeds(), value);
    }
}
