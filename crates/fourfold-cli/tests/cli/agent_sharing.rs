//! Secrets from one device of a user to another: asked for on a phone, answered by the agent of a
//! laptop.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Child;
use std::thread::yield_now;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::agent_memory::{is_visible, places};
use crate::agents::RunningAgent;
use crate::canary::Canary;
use crate::homeserver::{Homeserver, Person};
use crate::invocation::Invocation;
use crate::key_endpoints::sealed;
use crate::proxy::Proxy;
use crate::terminal::Terminal;

const BACKUP: &str = "m.megolm_backup.v1";
const SELF_SIGNING: &str = "m.cross_signing.self_signing";
const USER_SIGNING: &str = "m.cross_signing.user_signing";

/// A user with two verified devices. What the phone sends goes through a proxy.
struct Household {
    laptop: Person,
    phone: Person,
    proxy: Proxy,
}

impl Household {
    fn new(server: &Homeserver) -> Self {
        let laptop = server.person("alice");
        let key = laptop.folder.name_of("key");
        sealed(&laptop, &["setup", "--yes", "--recovery-key-out", &key])
            .run()
            .succeeds();
        let household = Self {
            proxy: Proxy::to(&server.address),
            phone: Person::at(&server.address, "alice"),
            laptop,
        };
        let phone = household.another();
        household.verify(&phone);
        Self { phone, ..household }
    }

    /// Another machine of the user, logged in and not verified.
    fn another(&self) -> Person {
        let machine = Person::at(&self.proxy.address, "alice");
        machine.log_in().run().succeeds();
        machine
    }

    fn verify(&self, machine: &Person) {
        let key = self.laptop.folder.name_of("key");
        sealed(machine, &["device", "verify", "--recovery-key-file", &key])
            .run()
            .succeeds();
    }

    /// The agent of the laptop, with these rules and options, and its key.
    fn agent(&self, rules: &[(&str, &str)], options: &[&str]) -> RunningAgent {
        self.laptop.sharing_agent(rules, options)
    }

    /// The secret as secret storage has it.
    fn stored(&self, name: &str) -> String {
        self.laptop.get(name, "key").run().succeeds()
    }

    /// What the laptop's agent wrote down about a secret.
    fn log(&self, name: &str) -> Vec<String> {
        let log = self.laptop.call(&["agent", "log", "--json"]).run().json();
        let about = log
            .as_array()
            .unwrap()
            .iter()
            .filter(|line| line["secret"] == name);
        about
            .map(|line| line["event"].as_str().unwrap().to_owned())
            .collect()
    }

    fn wait_for(&self, name: &str, event: &str) {
        while !self.log(name).iter().any(|one| one == event) {
            yield_now();
        }
    }

    /// The contents of the to-device messages of this type that went through the proxy.
    fn sent(&self, event_type: &str) -> Vec<Value> {
        let path = format!("/sendToDevice/{event_type}/");
        let seen = self.proxy.seen().into_iter();
        let sent = seen.filter(|(request, _)| request.head.contains(&path));
        sent.map(|(request, _)| serde_json::from_slice(&request.body).unwrap())
            .collect()
    }
}

fn request(person: &Person, name: &str) -> Invocation {
    sealed(person, &["request", name])
}

/// Waits for its end: the exit code, what it printed, and what it said.
fn finish(child: Child) -> (Option<i32>, String, String) {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

// shows: AGT-05, AGT-09
#[test]
fn the_policy_decides_what_the_phone_gets() {
    let server = Homeserver::start();
    let home = Household::new(&server);
    let rules = [(BACKUP, "allow"), (USER_SIGNING, "deny")];
    let _agent = home.agent(&rules, &[]);

    let outcome = request(&home.phone, BACKUP).run();
    assert_eq!(outcome.succeeds(), home.stored(BACKUP));
    outcome.says("received from the device ");
    assert_eq!(home.log(BACKUP), ["shared"]);
    assert!(home.sent("m.secret.send").is_empty(), "in clear");
    let out = home.phone.folder.name_of("out");
    let again = request(&home.phone, BACKUP).arguments(["--out", &out, "--json"]);
    assert_eq!(again.run().succeeds(), "");
    assert_eq!(home.phone.folder.read("out"), home.stored(BACKUP));

    let denied = request(&home.phone, USER_SIGNING).spawn();
    home.wait_for(USER_SIGNING, "refused");
    interrupt(&denied);
    let (code, printed, said) = finish(denied);
    assert_eq!((code, printed.as_str()), (Some(1), ""), "{said}");
    assert!(said.contains("the request was cancelled"), "{said}");
    let cancelled = home.sent("m.secret.request").pop().unwrap();
    assert!(
        cancelled.to_string().contains("request_cancellation"),
        "{cancelled}"
    );
    request(&home.phone, "m.cross_signing.master")
        .run()
        .fails(6);
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

#[test]
fn the_user_is_asked_by_a_program() {
    let server = Homeserver::start();
    let home = Household::new(&server);
    let program = home.laptop.folder.write(
        "ask",
        format!("#!/bin/sh\ngrep -q '\"secrets\":\\[\"{SELF_SIGNING}\"\\]'\n"),
    );
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let rules = [(SELF_SIGNING, "ask"), (USER_SIGNING, "ask")];
    let _agent = home.agent(&rules, &["--ask", &program]);
    let outcome = request(&home.phone, SELF_SIGNING).run();
    assert_eq!(outcome.succeeds(), home.stored(SELF_SIGNING));
    outcome.is_silent_about("nothing to compare");
    assert_eq!(home.log(SELF_SIGNING), ["prompted", "shared"]);
}

#[test]
fn the_user_is_asked_and_answers_by_a_command() {
    let server = Homeserver::start();
    let home = Household::new(&server);
    let _agent = home.agent(&[(BACKUP, "ask")], &[]);
    let who = home.phone.call(&["whoami", "--json"]).run().json();
    let asking = request(&home.phone, BACKUP).spawn();
    let questions = loop {
        let questions = home
            .laptop
            .call(&["agent", "questions", "--json"])
            .run()
            .json();
        if questions != json!([]) {
            break questions;
        }
    };
    let question = &questions[0];
    assert_eq!(question["device_id"], who["device_id"]);
    assert_eq!(question["secrets"], json!([BACKUP]));
    assert_eq!(
        question["fingerprint"].as_str().unwrap().split(' ').count(),
        11
    );
    let id = question["id"].to_string();
    let text = home.laptop.call(&["agent", "questions"]).run().succeeds();
    assert!(text.contains("verified by  your identity"), "{text}");
    home.laptop
        .call(&["agent", "answer", &id, "yes"])
        .run()
        .succeeds();
    let (code, printed, said) = finish(asking);
    assert_eq!((code, printed), (Some(0), home.stored(BACKUP)), "{said}");
    home.laptop
        .call(&["agent", "answer", &id, "yes"])
        .run()
        .fails(1);
}

// shows: AGT-04
#[test]
fn a_locked_agent_answers_when_it_is_unlocked() {
    let server = Homeserver::start();
    let home = Household::new(&server);
    let _agent = home.agent(&[(BACKUP, "allow")], &[]);
    home.laptop.call(&["lock"]).run().succeeds();
    let mut asking = request(&home.phone, BACKUP).spawn();
    // The laptop has heard of it when it has told the homeserver that it read it; what comes after
    // that is in the order of the log.
    while home.sent("m.secret.request").is_empty() {
        yield_now();
    }
    assert!(asking.try_wait().unwrap().is_none());
    home.laptop.unlock("key").run().succeeds();
    let (code, printed, said) = finish(asking);
    assert_eq!((code, printed), (Some(0), home.stored(BACKUP)), "{said}");
    let log = home.laptop.call(&["agent", "log", "--json"]).run().json();
    let events: Vec<_> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|line| &line["event"])
        .collect();
    let of = |name: &str| events.iter().rposition(|event| *event == name).unwrap();
    assert!(of("locked") < of("unlocked") && of("unlocked") < of("shared"));
}

#[test]
fn an_agent_asks_for_a_command() {
    let server = Homeserver::start();
    let home = Household::new(&server);
    let _laptop = home.agent(&[(BACKUP, "allow")], &[]);
    // It was never unlocked: what comes goes into the hands of the command.
    let _phone = RunningAgent::start(sealed(&home.phone, &["agent"]));
    let outcome = home.phone.call(&["request", BACKUP]).run();
    assert_eq!(outcome.succeeds(), home.stored(BACKUP));
    let json = home.phone.call(&["request", BACKUP, "--json"]).run().json();
    assert_eq!(json["secret"], home.stored(BACKUP));
    // A command that goes away takes its request back.
    let asking = home.phone.call(&["request", "org.example.nothing"]).spawn();
    let number = loop {
        let number = home.sent("m.secret.request").len();
        if number > 2 {
            break number;
        }
    };
    interrupt(&asking);
    finish(asking);
    while home.sent("m.secret.request").len() == number {
        yield_now();
    }
    let last = home.sent("m.secret.request").pop().unwrap();
    assert!(last.to_string().contains("request_cancellation"), "{last}");
}

#[test]
fn an_unlocked_agent_hands_over_what_it_could_have_opened() {
    let server = Homeserver::start();
    let home = Household::new(&server);
    let _laptop = home.agent(&[(BACKUP, "allow")], &[]);
    let _phone = RunningAgent::start(sealed(&home.phone, &["agent"]));
    let key = home.laptop.folder.name_of("key");
    home.phone
        .call(&["unlock", "--recovery-key-file", &key])
        .run()
        .succeeds();
    // The second time, nothing is left over from the first.
    for _ in 0..2 {
        let outcome = home.phone.call(&["request", BACKUP, "--json"]).run();
        outcome.is_silent_about("holds another value");
        let answer = outcome.json();
        assert_eq!(answer["secret"], home.stored(BACKUP));
        assert_eq!(answer["from"]["differs_from_stored"], false);
    }
    assert_eq!(home.log(BACKUP), ["shared", "shared"]);
}

#[test]
fn an_agent_that_waits_for_a_secret_gives_others_too() {
    let server = Homeserver::start();
    let home = Household::new(&server);
    let rules = home.phone.folder.write(
        "policy.toml",
        format!("[secrets]\n\"{BACKUP}\" = \"allow\"\n"),
    );
    let _phone = RunningAgent::start(sealed(&home.phone, &["agent", "--policy", &rules]));
    let asking = home.phone.call(&["request", "org.example.nothing"]).spawn();
    while home.sent("m.secret.request").is_empty() {
        yield_now();
    }
    let key = home.laptop.folder.name_of("key");
    home.phone
        .call(&["unlock", "--recovery-key-file", &key])
        .run()
        .succeeds();
    let outcome = request(&home.laptop, BACKUP).run();
    assert_eq!(outcome.succeeds(), home.stored(BACKUP));
    interrupt(&asking);
    finish(asking);
}

#[test]
fn a_killed_agent_answers_after_its_restart_and_only_once() {
    let server = Homeserver::start();
    let home = Household::new(&server);
    let agent = home.agent(&[(BACKUP, "allow")], &[]);
    let outcome = request(&home.phone, BACKUP).run();
    assert_eq!(outcome.succeeds(), home.stored(BACKUP));
    agent.kill();
    let asking = request(&home.phone, BACKUP).spawn();
    while home.sent("m.secret.request").len() < 2 {
        yield_now();
    }
    let _agent = home.agent(&[(BACKUP, "allow")], &[]);
    let (code, printed, said) = finish(asking);
    assert_eq!((code, printed), (Some(0), home.stored(BACKUP)), "{said}");
    assert_eq!(home.log(BACKUP), ["shared", "shared"]);
}

#[test]
fn a_device_that_is_not_verified_is_told_so() {
    let server = Homeserver::start();
    let home = Household::new(&server);
    let stranger = home.another();
    request(&stranger, BACKUP)
        .run()
        .fails(8)
        .says("fourfold device verify");
    request(&home.phone, BACKUP)
        .arguments(["--from", "STRANGER"])
        .run()
        .fails(8)
        .says("STRANGER");
    let _agent = RunningAgent::start(sealed(&stranger, &["agent"]));
    stranger.call(&["request", BACKUP]).run().fails(8);
    // The agent notices when the device gets its keys.
    home.verify(&stranger);
    let _laptop = home.agent(&[(BACKUP, "allow")], &[]);
    let outcome = stranger.call(&["request", BACKUP]).run();
    assert_eq!(outcome.succeeds(), home.stored(BACKUP));
}

#[test]
fn no_answer_is_an_end_too() {
    let server = Homeserver::start();
    let home = Household::new(&server);
    request(&home.phone, BACKUP)
        .arguments(["--timeout", "1s"])
        .run()
        .fails(1)
        .says("no device sent the secret within 1 second");
    let last = home.sent("m.secret.request").pop().unwrap();
    assert!(last.to_string().contains("request_cancellation"), "{last}");
}

// shows: AGT-02, LIB-21, AG-07, AGT-09
#[test]
fn a_locked_agent_has_forgotten_what_it_shared() {
    let server = Homeserver::start();
    let home = Household::new(&server);
    let agent = home.agent(&[(BACKUP, "allow")], &[]);
    if !is_visible(&agent) {
        return;
    }
    let secret = home.stored(BACKUP);
    let phone = RunningAgent::start(sealed(&home.phone, &["agent"]));
    let outcome = home.phone.call(&["request", BACKUP]).run();
    assert_eq!(outcome.succeeds(), secret);
    home.laptop.call(&["lock"]).run().succeeds();
    let recovery_key = home.laptop.folder.read("key");
    let bytes = fourfold::base64::decode(&secret).unwrap().bytes;
    let canaries = [
        Canary::new("the shared secret", &secret),
        Canary::bytes("the shared key", &bytes),
        Canary::recovery_key("the recovery key", recovery_key.trim()),
    ];
    for canary in &canaries {
        assert_eq!(places(&agent, canary), [""; 0]);
        assert_eq!(places(&phone, canary), [""; 0], "on the phone");
    }
    for person in [&home.laptop, &home.phone] {
        person.call(&["agent", "stop"]).run().succeeds();
    }
    assert!(agent.wait().0.success() && phone.wait().0.success());
    for canary in &canaries {
        canary.is_in_no_file(&home.phone.state());
        canary.is_in_no_file(&home.laptop.state());
    }
}

/// An unlocked agent on the laptop, which asks on this terminal.
fn agent_at_a_terminal(home: &Household) -> Terminal {
    let state = home.laptop.state();
    let key = home.laptop.folder.name_of("state.key");
    let mut terminal = Terminal::run(&[
        "agent",
        "--foreground",
        "--store-key-file",
        &key,
        "--state",
        state.to_str().unwrap(),
    ]);
    terminal.expect("listening at");
    home.laptop.unlock("key").run().succeeds();
    terminal
}

// shows: AGT-07
#[test]
fn the_user_is_asked_at_the_terminal_and_only_yes_is_yes() {
    for (typed, event) in [("y", "shared"), ("", "refused")] {
        let server = Homeserver::start();
        let home = Household::new(&server);
        let mut terminal = agent_at_a_terminal(&home);
        let asking = request(&home.phone, USER_SIGNING).spawn();
        terminal.expect("One of your devices asks for a secret.");
        terminal.expect(USER_SIGNING);
        terminal.expect("verified by  your identity");
        terminal.expect("[y/N]");
        terminal.type_line(typed);
        home.wait_for(USER_SIGNING, event);
        if event == "shared" {
            assert_eq!(finish(asking).0, Some(0));
        } else {
            interrupt(&asking);
            assert_eq!(finish(asking).0, Some(1));
        }
        home.laptop.call(&["agent", "stop"]).run().succeeds();
        assert_eq!(terminal.finish().0, Some(0));
    }
}

// The window is closed in which the question stands.
// shows: AGT-07, RQ-08
#[test]
fn a_question_at_a_terminal_that_goes_away_is_answered_with_no() {
    let server = Homeserver::start();
    let home = Household::new(&server);
    let mut terminal = agent_at_a_terminal(&home);
    let asking = request(&home.phone, USER_SIGNING).spawn();
    terminal.expect("[y/N]");
    terminal.signal(Signal::HUP);
    assert_eq!(terminal.finish().0, Some(0));
    // Nobody is asked about it again.
    let _agent = home.agent(&[(USER_SIGNING, "ask")], &[]);
    home.wait_for(USER_SIGNING, "refused");
    assert_eq!(home.log(USER_SIGNING), ["prompted", "refused"]);
    interrupt(&asking);
    assert_eq!(finish(asking).0, Some(1));
}
