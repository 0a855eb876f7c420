//! An agent that is killed at every request it makes, before it gets to the homeserver and before
//! its answer is back: what it was about is done once, after a restart.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::key_endpoints::sealed;
use crate::liar::{BACKUP, Liar};
use crate::peer::{Peer, Target};
use crate::proxy::Turn;

/// Kills a process at one of its requests.
#[derive(Clone, Default)]
struct Killer {
    process: Arc<AtomicI32>,
    /// How many requests from now; nobody is killed at 0.
    after: Arc<AtomicUsize>,
}

impl Killer {
    /// Goes between the laptop and its homeserver.
    fn new(liar: &Liar, is_carried_out: bool) -> Self {
        let killer = Self::default();
        let ours = killer.clone();
        liar.proxy.lie(move |_| {
            let left = ours.after.load(Ordering::SeqCst);
            ours.after.store(left.saturating_sub(1), Ordering::SeqCst);
            if left != 1 {
                return Turn::Honest;
            }
            if is_carried_out {
                let ours = ours.clone();
                return Turn::Altered(Box::new(move |answer| {
                    ours.kill();
                    answer
                }));
            }
            ours.kill();
            Turn::Broken(0)
        });
        killer
    }

    fn kill(&self) {
        let process = Pid::from_raw(self.process.swap(0, Ordering::SeqCst));
        if let Some(process) = process {
            kill_process(process, Signal::KILL).unwrap();
        }
    }

    fn set(&self, process: u32, after: usize) {
        self.process
            .store(i32::try_from(process).unwrap(), Ordering::SeqCst);
        self.after.store(after, Ordering::SeqCst);
    }

    /// Whether it has killed.
    fn is_done(&self) -> bool {
        self.process.load(Ordering::SeqCst) == 0
    }
}

/// What the laptop encrypted: the same under one transaction ID, and never twice under two.
fn check_ciphertexts(liar: &Liar) {
    let mut by_transaction = HashMap::new();
    let mut all = HashSet::new();
    for (line, body) in liar.sent() {
        let body = body.to_string();
        let transaction = line.split(' ').nth(1).unwrap().to_owned();
        let first = by_transaction
            .entry(transaction)
            .or_insert_with(|| {
                assert!(all.insert(body.clone()), "one ciphertext under two IDs");
                body.clone()
            })
            .clone();
        assert_eq!(first, body, "two ciphertexts under one ID");
    }
}

/// A new device asks the laptop, whose agent is killed at its request of this number.
fn ask_and_kill(liar: &Liar, killer: &Killer, number: usize) -> (Peer, bool) {
    let rules = [(BACKUP, "allow")];
    let mut agent = liar.agent(&rules);
    let mut peer = liar.phone();
    let to = liar.to_laptop(&peer);
    killer.set(agent.process(), number);
    peer.ask(&to, "one", BACKUP);
    loop {
        peer.sync(50);
        if killer.is_done() {
            agent.kill();
            agent = liar.agent(&rules);
            peer.wait_for_answer("one");
            break;
        }
        if !peer.secrets().is_empty() {
            break;
        }
    }
    let was_killed = killer.is_done();
    killer.set(0, 0);
    liar.settle(&mut peer);
    peer.sync(0);
    drop(agent);
    (peer, was_killed)
}

fn answers_once_however_it_is_killed(is_carried_out: bool) {
    let liar = Liar::new();
    let killer = Killer::new(&liar, is_carried_out);
    let secret = liar.stored(BACKUP);
    let mut kills = 0;
    for number in 1.. {
        let (peer, was_killed) = ask_and_kill(&liar, &killer, number);
        let expected = [("one".to_owned(), secret.clone())];
        assert_eq!(peer.secrets(), expected, "killed at request {number}");
        if !was_killed {
            break;
        }
        kills += 1;
    }
    assert!(kills >= 3, "{kills}");
    check_ciphertexts(&liar);
}

// shows: AGT-11, AG-03
#[test]
fn an_agent_that_is_killed_before_a_request_is_sent_on_answers_once() {
    answers_once_however_it_is_killed(false);
}

// shows: AGT-11, AG-03
#[test]
fn an_agent_that_is_killed_before_it_hears_the_answer_answers_once() {
    answers_once_however_it_is_killed(true);
}

/// Answers all requests that came to the phone.
fn answer_all(phone: &mut Peer, to: &Target) {
    for event in phone.sync(50) {
        let content = &event["content"];
        if event["type"] == "m.secret.request" && content["action"] == "request" {
            phone.answer(to, content["request_id"].as_str().unwrap(), "of the phone");
        }
    }
}

fn receives_once_however_it_is_killed(is_carried_out: bool) {
    let liar = Liar::new();
    let mut phone = liar.phone();
    let to = liar.to_laptop(&phone);
    let killer = Killer::new(&liar, is_carried_out);
    for number in 1.. {
        let name = format!("org.example.wallet{number}");
        let ask = || sealed(&liar.laptop, &["request", &name]).spawn();
        let mut child = ask();
        killer.set(child.id(), number);
        let mut was_killed = false;
        let output = loop {
            answer_all(&mut phone, &to);
            if let Some(status) = child.try_wait().unwrap() {
                let output = child.wait_with_output().unwrap();
                if status.code().is_some() {
                    break output;
                }
                was_killed = true;
                child = ask();
            }
        };
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "killed at request {number}: {said}"
        );
        assert_eq!(output.stdout, b"of the phone", "killed at request {number}");
        killer.set(0, 0);
        if !was_killed {
            assert!(number > 3, "{number}");
            break;
        }
    }
    let transactions: HashSet<_> = liar
        .proxy
        .seen()
        .into_iter()
        .filter(|(request, _)| request.head.contains("/sendToDevice/m.secret.request/"))
        .map(|(request, _)| json!([request.first_line(), request.body]).to_string())
        .collect();
    assert!(!transactions.is_empty());
}

#[test]
fn a_request_that_is_killed_before_it_is_sent_on_gets_its_secret() {
    receives_once_however_it_is_killed(false);
}

// shows: AGT-15
#[test]
fn a_request_that_is_killed_before_it_hears_the_answer_gets_its_secret() {
    receives_once_however_it_is_killed(true);
}
