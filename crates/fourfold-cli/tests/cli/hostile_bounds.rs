//! A homeserver that wants memory and time: more of it than anybody needs, or more often.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::homeserver::{Homeserver, Person};
use crate::invocation::Invocation;
use crate::liar::Liar;
use crate::proxy::{Message, Proxy, Turn};

const NAME: &str = "org.example.wallet";
const SECRET: &str = "four folds of paper";
const PASSPHRASE: &str = "seven geese under the old bridge";

/// All memory that a command may write to, in KiB: the heap, stacks of threads and static data.
const LIMIT: &str = "ulimit -d 200000";

/// The most resident memory of an agent, in KiB.
const MOST: u64 = 200_000;

struct Scene {
    /// Held: it ends with its value.
    _server: Homeserver,
    proxy: Proxy,
    alice: Person,
}

impl Scene {
    fn new() -> Self {
        let server = Homeserver::start();
        let proxy = Proxy::to(&server.address);
        let alice = server.person_through(&proxy, "alice");
        alice.set_up("key");
        alice.put(NAME, SECRET, "key").run().succeeds();
        Self {
            _server: server,
            proxy,
            alice,
        }
    }

    fn get(&self) -> Invocation {
        self.alice.get(NAME, "key").after(LIMIT)
    }
}

// shows: LIB-22
#[test]
fn account_data_of_sixty_megabytes_is_read_in_bounded_memory() {
    let scene = Scene::new();
    scene.proxy.play("account-data-of-sixty-megabytes");
    assert_eq!(scene.get().run().succeeds(), SECRET);
    scene.proxy.play("account-data-of-seventy-megabytes");
    scene.get().run().fails(4).says("more than 67108864 bytes");
}

// shows: LIB-22
#[test]
fn nearly_two_million_events_are_refused_in_bounded_memory() {
    let scene = Scene::new();
    scene.proxy.play("two-million-events");
    scene.get().run().fails(4).says("more than 20000 events");
}

// shows: LIB-22
#[test]
fn as_many_secrets_as_are_read_are_read() {
    let scene = Scene::new();
    scene.proxy.play("twenty-thousand-secrets");
    assert_eq!(scene.get().run().succeeds(), SECRET);
    for command in [["ls"].as_slice(), &["status"], &["key", "ls"]] {
        scene.alice.call(command).after(LIMIT).run().succeeds();
    }
}

// shows: LIB-22
#[test]
fn an_endless_answer_about_keys_or_the_backup_is_refused() {
    let scene = Scene::new();
    scene.proxy.play("endless-query");
    scene.get().run().fails(4).says("more than 4194304 bytes");
    // Nothing else waits for a backup that cannot be read.
    scene.proxy.play("endless-backup");
    let got = scene.get().run();
    got.succeeds();
    got.says("the key backup cannot be used")
        .says("more than 4194304 bytes");
}

// An error of Matrix is parsed, and what is in it may be anything.
// shows: LIB-22
#[test]
fn an_error_of_sixty_megabytes_is_refused() {
    let scene = Scene::new();
    for lie in [
        "refusal-of-sixty-megabytes",
        "delay-of-sixty-megabytes",
        "failure-of-sixty-megabytes",
    ] {
        scene.proxy.play(lie);
        scene.get().run().fails(4).says("more than 1048576 bytes");
    }
}

// Without a bound each of the keys costs seconds.
// shows: KEY-05, LIB-22
#[test]
fn a_passphrase_is_not_tried_on_every_expensive_key() {
    let server = Homeserver::start();
    let proxy = Proxy::to(&server.address);
    let alice = server.person_through(&proxy, "alice");
    let passphrase = alice.folder.write("passphrase", PASSPHRASE);
    let key = alice.folder.name_of("key");
    alice
        .call(&["setup", "--storage-only", "--yes"])
        .arguments(["--recovery-key-out", &key])
        .arguments(["--new-passphrase-file", &passphrase])
        .run()
        .succeeds();
    alice.put(NAME, SECRET, "key").run().succeeds();
    proxy.play("two-hundred-expensive-keys");
    // The right one is tried first.
    let get = |file: &str| alice.call(&["get", NAME, "--passphrase-file", file]);
    assert_eq!(get(&passphrase).run().succeeds(), SECRET);
    let wrong = alice
        .folder
        .write("wrong", "eight geese under the old bridge");
    get(&wrong)
        .run()
        .fails(3)
        .says("200 more would take")
        .says("--key");
}

// shows: AGT-08, LIB-22
#[test]
fn an_agent_takes_in_huge_answers_in_bounded_memory() {
    let liar = Liar::new();
    let agent = liar.agent(&[]);
    let event = json!({
        "type": "m.room.encrypted",
        "sender": liar.laptop.user_id,
        "content": {"ciphertext": "x".repeat(100_000)},
    });
    let names = r#""","#.repeat(10_000_000);
    let mut lies = vec![
        // Many short names.
        format!(r#""device_lists":{{"changed":[{names}"a"]}}"#),
        format!(r#""device_unused_fallback_key_types":[{names}"a"]"#),
        // Large events.
        format!(
            r#""to_device":{{"events":[{}{{}}]}}"#,
            format!("{event},").repeat(570)
        ),
    ];
    let (told, number) = (Arc::new(AtomicUsize::new(0)), lies.len());
    let count = Arc::clone(&told);
    liar.proxy.lie(move |request| {
        let line = request.first_line();
        if !request.is_sync() || line.contains("timeout=0") {
            return Turn::Honest;
        }
        let mut parts = line.split(['?', '&', ' ']);
        let since = parts.find_map(|part| part.strip_prefix("since="));
        count.fetch_add(1, Ordering::Relaxed);
        match (lies.pop(), since) {
            (Some(lie), Some(since)) => {
                let body = format!(r#"{{"next_batch":"{since}",{lie}}}"#);
                Turn::Answered(Message::answer(200, "application/json", body))
            }
            _ => Turn::Honest,
        }
    });
    // The one that waits for something comes back at once.
    let mut phone = liar.phone();
    let laptop = liar.to_laptop(&phone);
    phone.send(&laptop, "org.example.wake", &json!({}));
    for number in 1..=number + 1 {
        liar.proxy
            .wait_until(|_| told.load(Ordering::Relaxed) >= number);
    }
    let memory = agent.most_memory();
    assert!(memory < MOST, "{memory} KiB");
}

// shows: AGT-08
#[test]
fn requests_to_be_verified_do_not_fill_the_terminal() {
    let liar = Liar::new();
    let agent = liar.agent(&[]);
    let mut phone = liar.phone();
    liar.imitate(&phone);
    liar.play("flood-of-verifications");
    liar.settle(&mut phone);
    agent.signal(rustix::process::Signal::TERM);
    let (_, said) = agent.wait();
    let asked = said.matches("asks to be verified").count();
    assert_eq!(asked, 3, "{said}");
    let left_out = format!("{} more were omitted: requests to verify", 300 - asked);
    let log = liar.log();
    let is_it = |line: &&Value| {
        line["reason"]
            .as_str()
            .is_some_and(|reason| reason.starts_with(&left_out))
    };
    assert_eq!(log.iter().filter(is_it).count(), 1, "{said}");
}

// shows: AGT-09
#[test]
fn devices_that_come_and_go_do_not_fill_the_log() {
    let liar = Liar::new();
    let agent = liar.agent(&[("m.megolm_backup.v1", "allow")]);
    let mut phone = liar.phone();
    let laptop = liar.to_laptop(&phone);
    liar.settle(&mut phone);
    phone.ask(&laptop, "asked before", crate::liar::BACKUP);
    phone.wait_for_answer("asked before");
    liar.play("devices-that-come-and-go");
    for _ in 0..3 {
        liar.say_changed();
        liar.settle(&mut phone);
    }
    agent.signal(rustix::process::Signal::TERM);
    agent.wait();
    let log = liar.log();
    let with = |text: &str| {
        let reasons = log.iter().filter_map(|line| line["reason"].as_str());
        reasons.filter(|reason| reason.contains(text)).count()
    };
    assert_eq!(liar.logged("shared"), 1);
    assert!(log.len() < 100, "{} lines", log.len());
    assert!(with("more were omitted: ") >= 1, "{log:?}");
}
