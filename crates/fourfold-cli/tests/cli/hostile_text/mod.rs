//! Texts that would deceive whoever reads them, in every answer of the homeserver to every command.

mod commands;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::commands::{COMMANDS, Call};
use crate::help;
use crate::homeserver::{Homeserver, PASSWORD, Person};
use crate::invocation::{Invocation, Outcome};
use crate::key_endpoints::sealed;
use crate::liar::Liar;
use crate::proxy::{Message, Proxy, Turn};
use crate::terminal::Terminal;

const NAME: &str = "org.example.wallet";
const SECRET: &str = "four folds of paper";

/// Moves the cursor, sets a title, begins a line, changes directions, hides, and is long.
fn hostile() -> String {
    let filler = "x".repeat(5000);
    format!(
        "\u{1b}]0;owned\u{7}\u{1b}[2J\r\nforged: a line\n\u{9b}31m\u{85}\u{7f}\u{0}{SUBTLE}{filler}"
    )
}

/// Has no control characters, so that it is taken for a name or an ID.
const SUBTLE: &str = "A\u{202e}\u{2066}\u{200b}\u{feff}\u{ad}\u{2028}\u{e0041}B";

fn deceives(character: char) -> bool {
    (character.is_control() && character != '\n')
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Looks at what somebody sees.
#[track_caller]
fn is_plain(what: &str, text: &str, is_json: bool) {
    if let Some(found) = text
        .chars()
        .find(|one| deceives(*one) && !(what.starts_with("ls") && *one == '\t'))
    {
        panic!("{what}: {found:?} in {text:?}");
    }
    assert!(
        !text.lines().any(|line| line.starts_with("forged")),
        "{what}: {text}"
    );
    assert!(
        is_json || !text.contains(&"x".repeat(300)),
        "{what}: {text}"
    );
}

#[track_caller]
fn look_at(what: &str, outcome: &Outcome, is_json: bool) {
    let stdout = outcome.text();
    is_plain(what, &stdout, is_json);
    if is_json && !stdout.is_empty() && !what.starts_with("kit") {
        let parsed: Result<Value, _> = serde_json::from_str(&stdout);
        assert!(parsed.is_ok(), "{what}: {stdout}");
    }
    for line in outcome.stderr.lines() {
        is_plain(what, line, is_json && line.starts_with('{'));
    }
    is_plain(what, &outcome.stderr, true);
}

/// A user with everything, and the liar in front of the homeserver.
struct Scene {
    server: Homeserver,
    proxy: Proxy,
    alice: Person,
    id: String,
    device: String,
}

impl Scene {
    fn new() -> Self {
        let server = Homeserver::start();
        let proxy = Proxy::to(&server.address);
        let alice = server.person_through(&proxy, "alice");
        let key = alice.folder.name_of("key");
        sealed(&alice, &["setup", "--yes", "--recovery-key-out", &key])
            .run()
            .succeeds();
        alice.put(NAME, SECRET, "key").run().succeeds();
        alice.folder.write("password", PASSWORD);
        let (file, file_key) = (
            alice.folder.name_of("exported"),
            alice.folder.name_of("file.key"),
        );
        alice
            .call(&["export", &file, "--recovery-key-file", &key])
            .arguments(["--recovery-key-out", &file_key])
            .run()
            .succeeds();
        let id = alice.new_key("other");
        let device = server.other_client("alice").device_id();
        Self {
            server,
            proxy,
            alice,
            id,
            device,
        }
    }

    fn call(&self, command: &str, arguments: &[&str], number: usize) -> Invocation {
        let file = |name: &str| self.alice.folder.name_of(name);
        let words = command.split(' ').chain(arguments.iter().copied());
        let words: Vec<_> = words
            .map(|word| match word {
                "KEY" => file("key"),
                "EXPORTED" => file("exported"),
                "FILE" => file(&format!("file {number}")),
                "FILEKEY" => file("file.key"),
                "NEW" => file(&format!("new {number}")),
                "SEAL" => file("state.key"),
                "PASSWORD" => file("password"),
                "ID" => self.id.clone(),
                "DEVICE" => self.device.clone(),
                "USER" => self.alice.user_id.clone(),
                "SERVER" => self.proxy.address.clone(),
                word => word.to_owned(),
            })
            .collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        self.alice.call(&words).stdin("a new value")
    }

    /// Calls every command, with and without `--json`, while the server lies.
    fn call_all(&self, lie: impl Fn(&Message) -> Turn + Clone + Send + 'static) {
        for (number, (command, call)) in COMMANDS.iter().enumerate() {
            let Call::With(arguments) = call else {
                continue;
            };
            for is_json in [false, true] {
                if *command == "logout" {
                    self.proxy.be_honest();
                    self.alice.log_in().run();
                }
                self.proxy.lie(lie.clone());
                let call = self.call(command, arguments, 2 * number + usize::from(is_json));
                let json = if is_json { "--json" } else { "--verbose" };
                let outcome = call.arguments([json]).run();
                look_at(&format!("{command} {json}"), &outcome, is_json);
            }
        }
    }
}

/// Changes every text of a document.
fn each_text(value: &mut Value, member: &str, change: &mut impl FnMut(&str, &mut String)) {
    match value {
        Value::String(text) => change(member, text),
        Value::Array(all) => {
            for one in all {
                each_text(one, member, change);
            }
        }
        Value::Object(members) => {
            for (name, one) in members {
                each_text(one, name, change);
            }
        }
        _ => {}
    }
}

fn altered(change: impl FnOnce(&mut Value) + Send + 'static) -> Turn {
    Turn::Altered(Box::new(move |answer| {
        let is_json = serde_json::from_slice::<Value>(&answer.body).is_ok();
        if is_json {
            answer.with_json(change)
        } else {
            answer
        }
    }))
}

#[test]
fn every_command_is_in_the_table() {
    let listed: BTreeSet<_> = help::commands()
        .iter()
        .map(|words| words.join(" "))
        .filter(|words| !["", "backup", "device", "key"].contains(&words.as_str()))
        .collect();
    let called: BTreeSet<_> = COMMANDS
        .iter()
        .map(|(words, _)| (*words).to_owned())
        .collect();
    assert_eq!(called, listed);
}

// shows: CLI-07, CL-07
#[test]
fn texts_at_the_end_of_every_member_are_escaped() {
    let scene = Scene::new();
    scene.call_all(|_| {
        altered(|body| each_text(body, "", &mut |_, text| text.push_str(&hostile())))
    });
}

// shows: CLI-07, CL-07
#[test]
fn names_and_ids_that_others_chose_are_escaped() {
    let scene = Scene::new();
    scene.call_all(|request| {
        let line = request.first_line().to_owned();
        altered(move |body| plant(&line, body))
    });
}

/// What a server may add without anything falling apart.
fn plant(line: &str, body: &mut Value) {
    each_text(body, "", &mut |member, text| {
        if member.contains("name") || member == "last_seen_ip" {
            *text = hostile();
        }
    });
    let entry = json!({"iv": "AAAAAAAAAAAAAAAAAAAAAA", "ciphertext": "AAAA",
        "mac": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"});
    if line.contains("/sync?") {
        let Some(events) = body["account_data"]["events"].as_array_mut() else {
            return;
        };
        for event in &mut *events {
            if event["type"]
                .as_str()
                .is_some_and(|one| one.contains("key."))
            {
                event["content"]["name"] = json!(hostile());
            }
            if event["type"] == NAME {
                event["content"]["encrypted"][SUBTLE] = entry.clone();
            }
        }
        for id in [hostile(), SUBTLE.to_owned()] {
            let mut encrypted = serde_json::Map::new();
            encrypted.insert(id.clone(), entry.clone());
            events.push(json!({"type": format!("org.example.{id}"),
                "content": {"encrypted": encrypted}}));
            events.push(
                json!({"type": format!("m.secret_storage.key.{id}"), "content":
                {"name": hostile(), "algorithm": hostile()}}),
            );
            events.push(
                json!({"type": format!("m.secret_storage.key.1{id}"), "content":
                {"name": hostile(), "algorithm": "m.secret_storage.v1.aes-hmac-sha2",
                "iv": hostile(), "mac": hostile(),
                "passphrase": {"algorithm": hostile(), "salt": hostile(), "iterations": 500_000}}}),
            );
        }
    }
    if line.contains("/keys/query ") {
        for devices in body["device_keys"]
            .as_object_mut()
            .into_iter()
            .flat_map(|all| all.values_mut())
        {
            for device in devices.as_object_mut().unwrap().values_mut() {
                // Nobody signs this.
                device["unsigned"] = json!({"device_display_name": hostile()});
            }
            for id in [hostile(), SUBTLE.to_owned()] {
                devices[&id] = json!({"user_id": "@alice:localhost", "device_id": id,
                    "algorithms": [hostile()], "keys": {format!("ed25519:{id}"): hostile()},
                    "signatures": {}, "unsigned": {"device_display_name": hostile()}});
            }
        }
    }
    if line.contains("/devices ") {
        for id in [hostile(), SUBTLE.to_owned()] {
            let device = json!({"device_id": id, "display_name": hostile(),
                "last_seen_ip": hostile(), "last_seen_ts": 0});
            body["devices"].as_array_mut().unwrap().push(device);
        }
    }
    if line.contains("/login ") {
        body["device_id"] = json!(SUBTLE);
        body["well_known"] = json!({"m.homeserver": {"base_url": hostile()}});
    }
    if line.contains("/signatures/upload ") {
        body["failures"] = json!({"@alice:localhost":
            {SUBTLE: {"errcode": hostile(), "error": hostile()}}});
    }
}

// shows: CLI-07, CL-07
#[test]
fn the_words_of_every_refusal_are_escaped() {
    let scene = Scene::new();
    scene.call_all(|_| Turn::Answered(Message::error(403, &hostile(), &hostile())));
    scene.call_all(|request| {
        if request.head.starts_with("GET ")
            || request.is_login()
            || request.head.contains("/query ")
        {
            return Turn::Honest;
        }
        let mut parameters = serde_json::Map::new();
        parameters.insert(
            "m.oauth".to_owned(),
            json!({"url": format!("https://{}", hostile())}),
        );
        let challenge = json!({"session": hostile(), "completed": [hostile()], "errcode": hostile(),
            "error": hostile(), "params": parameters,
            "flows": [{"stages": [hostile(), SUBTLE]}, {"stages": ["m.oauth"]}]});
        let body = challenge.to_string();
        Turn::Answered(Message::answer(401, "application/json", body))
    });
}

// shows: CLI-07, CL-07
#[test]
fn a_text_in_any_one_member_is_escaped() {
    let scene = Scene::new();
    let mut members = BTreeSet::new();
    for (_, answer) in scene.proxy.seen() {
        let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else {
            continue;
        };
        each_text(&mut body, "", &mut |member, _| {
            members.insert(member.to_owned());
        });
    }
    assert!(members.len() > 10, "{members:?}");
    let commands = ["whoami", "status", "device ls", "login"];
    for (number, member) in members.iter().enumerate() {
        for (command, call) in COMMANDS.iter().filter(|(name, _)| commands.contains(name)) {
            let Call::With(arguments) = call else {
                continue;
            };
            let calls = [
                (hostile(), number % 2 == 0),
                (SUBTLE.to_owned(), false),
                (SUBTLE.to_owned(), true),
            ];
            for (text, is_json) in calls {
                let changed = member.clone();
                scene.proxy.lie(move |_| {
                    let (member, text) = (changed.clone(), text.clone());
                    altered(move |body| {
                        each_text(body, "", &mut |name, one| {
                            if name == member {
                                one.clone_from(&text);
                            }
                        });
                    })
                });
                let call = scene.call(command, arguments, 0);
                let json: &[&str] = if is_json { &["--json"] } else { &[] };
                let outcome = call.arguments(json.iter().copied()).run();
                look_at(&format!("{command} with {member}"), &outcome, is_json);
            }
        }
    }
}

// shows: CLI-07, CL-07
#[test]
fn an_agent_says_and_logs_nothing_that_deceives() {
    let liar = Liar::new();
    let user = liar.laptop.user_id.clone();
    let mut phone = liar.phone();
    let agent = liar.agent(&[("m.megolm_backup.v1", "ask")]);
    liar.lie("/devices ", |answer| {
        answer.with_json(|body| plant("/devices ", body))
    });
    liar.lie_about_keys(|body| plant("/keys/query ", body));
    let mut events = Vec::new();
    for id in [hostile(), SUBTLE.to_owned()] {
        events.push(
            json!({"type": "m.secret.request", "sender": user, "content": {"action": "request",
            "name": id, "request_id": id, "requesting_device_id": id}}),
        );
        events.push(
            json!({"type": "m.key.verification.request", "sender": user, "content":
            {"from_device": id, "methods": ["m.sas.v1", id], "transaction_id": id,
            "timestamp": 0}}),
        );
        events.push(
            json!({"type": "m.key.verification.cancel", "sender": user, "content":
            {"code": id, "reason": id, "transaction_id": id}}),
        );
        events.push(json!({"type": id, "sender": id, "content": {SUBTLE: id}}));
        events.push(
            json!({"type": "m.room.encrypted", "sender": user, "content":
            {"algorithm": id, "sender_key": id, "ciphertext": id}}),
        );
    }
    liar.inject(events);
    liar.settle(&mut phone);
    let laptop = liar.to_laptop(&phone);
    phone.ask(&laptop, SUBTLE, "m.megolm_backup.v1");
    liar.settle(&mut phone);
    let name = loop {
        let waiting = liar.laptop.call(&["agent", "questions", "--json"]).run();
        if let Some(question) = waiting.json().get(0) {
            break question["device_name"].clone();
        }
    };
    assert!(name.as_str().unwrap().contains("\u{202e}"), "{name}");
    assert!(!liar.log().is_empty());
    let key = liar.laptop.folder.name_of("key");
    for (command, call) in COMMANDS {
        let arguments = match (*command, call) {
            ("agent" | "agent stop", _) => continue,
            (_, Call::OfAgent(arguments)) => *arguments,
            ("agent log" | "status", Call::With(arguments)) => *arguments,
            _ => continue,
        };
        for is_json in [false, true] {
            let words = command.split(' ').chain(arguments.iter().copied());
            let words = words.map(|word| if word == "KEY" { key.as_str() } else { word });
            let words: Vec<_> = words.collect();
            let call = liar.laptop.call(&words);
            let json: &[&str] = if is_json { &["--json"] } else { &[] };
            let outcome = call.arguments(json.iter().copied()).run();
            look_at(command, &outcome, is_json);
        }
    }
    for file in crate::canary::files(&liar.laptop.state()) {
        if file.to_string_lossy().contains("audit") {
            is_plain("audit", &std::fs::read_to_string(file).unwrap(), true);
        }
    }
    liar.laptop.call(&["agent", "stop"]).run().succeeds();
    let (_, said) = agent.wait();
    for line in said.lines() {
        is_plain("agent", line, false);
    }
    is_plain("agent", &said, false);
}

#[test]
fn a_secret_is_handed_over_byte_by_byte_and_shown_as_what_can_be_seen() {
    let scene = Scene::new();
    let secret = format!("\u{1b}]0;owned\u{7}two\r\nlines\t{SUBTLE}");
    let alice = &scene.alice;
    alice.put(NAME, &secret, "key").run().succeeds();
    assert_eq!(alice.get(NAME, "key").run().succeeds(), secret);
    let file = alice.folder.name_of("out");
    let to_file = alice.get(NAME, "key").arguments(["--out", &file]);
    to_file.run().succeeds();
    assert_eq!(alice.folder.read("out"), secret);
    let json = alice.get(NAME, "key").arguments(["--json"]).run();
    assert_eq!(json.json()["secret"], secret);
    look_at("get", &json, true);
    let key = alice.folder.name_of("key");
    let state = alice.state();
    let shown = [
        "get",
        NAME,
        "--show",
        "--recovery-key-file",
        &key,
        "--state",
        state.to_str().unwrap(),
    ];
    let (code, shown) = Terminal::run(&shown).finish();
    assert_eq!(code, Some(0));
    assert!(shown.contains(r"\u{1b}]0;owned\u{7}two\u{d}"), "{shown}");
    assert!(
        !shown.contains("\u{1b}]0;") && !shown.contains('\u{202e}'),
        "{shown}"
    );
    // Somebody else's client, for the devices.
    drop(scene.server);
}
