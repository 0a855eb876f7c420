//! A recovery key that is lost while something else still has the secrets: a new key, without a reset,
//! and nothing that the lost key opens is lost.

use fourfold_hostile::proxy::{Message, Turn};

use crate::homeserver::{Homeserver, Person};
use crate::hostile::NAME;
use crate::key_endpoints::sealed;
use crate::proxy::Proxy;

const SECRET: &str = "four folds of paper";
const MASTER: &str = "m.cross_signing.master";
const BACKUP: &str = "m.megolm_backup.v1";

/// A user with an identity and a key backup, on a laptop whose key is in the file `key`.
fn laptop(server: &Homeserver) -> Person {
    let laptop = server.person("alice");
    let key = laptop.folder.name_of("key");
    sealed(&laptop, &["setup", "--yes", "--recovery-key-out", &key])
        .run()
        .succeeds();
    laptop.put(NAME, SECRET, "key").run().succeeds();
    laptop
}

/// `recover`, with the new key in the file `new`.
fn recover(person: &Person) -> crate::invocation::Invocation {
    let new = person.folder.name_of("new");
    let _ = std::fs::remove_file(person.folder.join("new"));
    sealed(person, &["recover", "--yes", "--recovery-key-out", &new])
}

#[test]
fn the_agent_brings_over_everything_that_its_key_opens() {
    let server = Homeserver::start();
    let alice = laptop(&server);
    // The hints of who is stuck lead here.
    let other = fourfold::NewKey::random(None, &mut fourfold_rng());
    let wrong = alice
        .folder
        .write("wrong", other.key().key().expose_recovery_key().as_str());
    for command in [["key", "check"].as_slice(), &["get", NAME]] {
        let call = alice
            .call(command)
            .arguments(["--recovery-key-file", &wrong]);
        call.run().fails(3).says("if it is lost: fourfold recover");
    }
    alice
        .call(&["get", NAME])
        .run()
        .fails(2)
        .says("fourfold recover");
    let stored: Vec<_> = [NAME, MASTER, BACKUP]
        .into_iter()
        .map(|name| (name, alice.get(name, "key").run().succeeds()))
        .collect();
    let old = alice.default_key();

    let _agent = alice.sharing_agent(&[], &[]);
    let recovered = recover(&alice).run();
    recovered
        .says("the agent opens 5 of the secrets")
        .succeeds();
    assert_ne!(alice.default_key(), old);
    for (name, value) in stored {
        for key in ["key", "new"] {
            assert_eq!(alice.get(name, key).run().succeeds(), value, "{name} {key}");
        }
    }
    alice.put(NAME, "newer", "new").run().succeeds();
    let key = alice.folder.name_of("new");
    let set_up = sealed(&alice, &["setup", "--yes", "--recovery-key-file", &key]);
    set_up.run().says("everything is set up").succeeds();
}

#[test]
fn another_device_sends_what_it_has_and_the_rest_stays_under_the_lost_key() {
    let server = Homeserver::start();
    let laptop = laptop(&server);
    let phone = Person::at(&server.address, "alice");
    phone.log_in().run().succeeds();
    let key = laptop.folder.name_of("key");
    sealed(&phone, &["device", "verify", "--recovery-key-file", &key])
        .run()
        .succeeds();
    let rules = [
        ("m.cross_signing.self_signing", "allow"),
        ("m.cross_signing.user_signing", "allow"),
        (BACKUP, "allow"),
    ];
    let _agent = laptop.sharing_agent(&rules, &[]);
    let backup = laptop.get(BACKUP, "key").run().succeeds();
    let recovered = recover(&phone).run();
    recovered
        .says("received from the device")
        .says("the master key is not asked for")
        .says("2 secrets stay under the lost key; when you find it: fourfold key grant")
        .succeeds();
    let received = phone.get(BACKUP, "new").run();
    assert_eq!(received.says("published key").succeeds(), backup);
    phone.get(NAME, "new").run().fails(1);
    // The lost key turns up, and the hint works.
    phone.folder.write("key", laptop.folder.read("key"));
    let id = phone.default_key();
    let grant = ["key", "grant", &id];
    phone.change(&grant, &["key", "new"]).run().succeeds();
    assert_eq!(phone.get(NAME, "new").run().succeeds(), SECRET);
}

#[test]
fn a_recovery_that_is_interrupted_loses_nothing_and_is_resumed() {
    let server = Homeserver::start();
    let proxy = Proxy::to(&server.address);
    let alice = server.person_through(&proxy, "alice");
    alice.set_up("key");
    for name in [NAME, "org.example.other"] {
        alice.put(name, SECRET, "key").run().succeeds();
    }
    let agent = alice.agent(&[]);
    alice.unlock("key").run().succeeds();
    let mut is_done = false;
    for writes in 0..8 {
        for arrives in [false, true] {
            let (mut left, mut is_refused) = (writes, false);
            proxy.lie(move |request| {
                if is_refused || !request.is_write() {
                    return Turn::Honest;
                }
                if left > 0 {
                    left -= 1;
                    return Turn::Honest;
                }
                is_refused = true;
                let refused = || Message::error(403, "M_FORBIDDEN", "not now");
                if arrives {
                    Turn::Altered(Box::new(move |_| refused()))
                } else {
                    Turn::Answered(refused())
                }
            });
            let outcome = recover(&alice).run();
            proxy.be_honest();
            is_done = !outcome.stderr.contains("not now");
            if is_done {
                outcome.succeeds();
                break;
            }
            // What the lost key opens is there at each step, and so it is in the end.
            assert_eq!(alice.get(NAME, "key").run().succeeds(), SECRET);
            let other = alice.folder.name_of("other");
            let again = ["recover", "--yes", "--recovery-key-out", &other];
            alice.call(&again).run().fails(5).says("fourfold resume");
            alice.call(&["resume"]).run().says("done: ").succeeds();
            for key in ["key", "new"] {
                assert_eq!(alice.get(NAME, key).run().succeeds(), SECRET);
                assert_eq!(alice.get("org.example.other", key).run().succeeds(), SECRET);
            }
            std::fs::rename(alice.folder.join("new"), alice.folder.join("key")).unwrap();
            alice.unlock("key").run().succeeds();
        }
        if is_done {
            break;
        }
    }
    assert!(is_done);
    drop(agent);
}

#[test]
fn with_nothing_at_hand_nothing_is_done_and_the_milder_ways_come_first() {
    let server = Homeserver::start();
    let laptop = laptop(&server);
    let phone = Person::at(&server.address, "alice");
    phone.log_in().run().succeeds();
    let before = server.other_client("alice").everything();
    let refused = recover(&phone).arguments(["--no-request"]).run();
    refused
        .fails(1)
        .says("no secret of the account is at hand")
        .says("the other devices were not asked")
        .says("fourfold device verify DEVICE");
    // This device is verified by no one, so that no one answers it.
    let refused = recover(&phone).run();
    refused.fails(1).says("the other devices cannot be asked");
    assert_eq!(server.other_client("alice").everything(), before);
    assert!(!phone.folder.join("new").exists());
    // A locked agent has no key.
    let _agent = laptop.agent(&["--store-key-file", &laptop.folder.name_of("state.key")]);
    let refused = recover(&laptop).arguments(["--no-request"]).run();
    refused.fails(1).says("the agent is locked");
}

fn fourfold_rng() -> impl fourfold::rand_core::CryptoRng {
    fourfold::rand_core::UnwrapErr(getrandom::SysRng)
}
