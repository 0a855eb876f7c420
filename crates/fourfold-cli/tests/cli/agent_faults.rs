//! An agent on a machine that fails it, among processes that mean it harm.

use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use rustix::process::{Resource, Signal, geteuid};
use rustix::thread::{Uid, set_thread_res_uid};
use serde_json::json;

use crate::agents::RunningAgent;
use crate::homeserver::{Homeserver, Person};
use crate::invocation::skipped;
use crate::key_endpoints::sealed;
use crate::liar::{BACKUP, Liar};
use crate::peer::Peer;

const NAME: &str = "org.example.wallet";
const SECRET: &str = "four folds of paper";

/// Somebody with a secret, and their agent, which has the key.
fn unlocked(server: &Homeserver) -> (Person, RunningAgent) {
    let alice = server.person("alice");
    alice.set_up("key");
    alice.put(NAME, SECRET, "key").run().succeeds();
    let agent = alice.agent(&[]);
    alice.unlock("key").run().succeeds();
    (alice, agent)
}

fn still_serves(alice: &Person) {
    assert_eq!(alice.call(&["get", NAME]).run().succeeds(), SECRET);
}

// Another user has got as far as the socket.
// shows: AGT-01, AG-02
#[test]
fn another_user_gets_not_a_byte() {
    if !geteuid().is_root() {
        return skipped("only root can be another user");
    }
    let server = Homeserver::start();
    let (alice, agent) = unlocked(&server);
    let socket = Path::new(&agent.socket);
    for path in socket
        .ancestors()
        .take_while(|path| path.starts_with(alice.folder.path()))
    {
        std::fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
    }
    let said = std::thread::scope(|scope| {
        let stranger = scope.spawn(|| {
            // Of this thread alone.
            let nobody = Uid::from_raw(65534);
            set_thread_res_uid(nobody, nobody, nobody).unwrap();
            let mut stream = UnixStream::connect(socket).unwrap();
            let _ = stream.write_all(&frame(r#"{"request":"status"}"#));
            let mut said = Vec::new();
            let _ = stream.read_to_end(&mut said);
            said
        });
        stranger.join().unwrap()
    });
    assert_eq!(said, b"");
    for path in socket
        .ancestors()
        .take_while(|path| path.starts_with(alice.folder.path()))
    {
        std::fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
    }
    std::fs::set_permissions(socket, Permissions::from_mode(0o600)).unwrap();
    still_serves(&alice);
}

/// A request as commands send it.
fn frame(json: &str) -> Vec<u8> {
    let length = u32::try_from(json.len()).unwrap().to_be_bytes();
    [&length, [0; 4].as_slice(), json.as_bytes()].concat()
}

// A gigabyte is announced, half a request is sent, and thousands come and go.
// shows: AGT-01, AG-02
#[test]
fn processes_of_the_user_that_say_anything_cost_little() {
    let server = Homeserver::start();
    let (alice, agent) = unlocked(&server);
    let before = agent.memory();
    let request = frame(r#"{"request":"status"}"#);
    let announced = [0x40, 0, 0, 0, 0, 0, 0, 0, b'{'];
    let beside = [0, 0, 0, 2, 0x40, 0, 0, 0, b'{', b'}'];
    for said in [&announced, beside.as_slice(), &request[..12], &[0xff; 4096]] {
        let mut stream = UnixStream::connect(&agent.socket).unwrap();
        let _ = stream.write_all(said);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        // The greeting, and nothing else.
        assert!(answer.len() < 200, "{}", answer.len());
    }
    for _ in 0..10_000 {
        drop(UnixStream::connect(&agent.socket).unwrap());
    }
    still_serves(&alice);
    let after = agent.memory();
    assert!(after < before + 16 * 1024, "{before} KiB, then {after} KiB");
}

// It stands still for longer than the key may stay.
#[test]
fn an_agent_that_was_stopped_has_no_key_when_it_goes_on() {
    let liar = Liar::new();
    let mut phone = liar.phone();
    let laptop = liar.to_laptop(&phone);
    let agent = liar.laptop.sharing_agent(&[(BACKUP, "allow")], &[]);
    // Once it has looked at the devices.
    liar.settle(&mut phone);
    let key = liar.laptop.folder.name_of("key");
    let unlock = ["unlock", "--lifetime", "1s", "--recovery-key-file", &key];
    liar.laptop.call(&unlock).run().succeeds();
    agent.signal(Signal::STOP);
    phone.ask(&laptop, "late", BACKUP);
    // The homeserver has nothing more for the phone in this time.
    let stopped = Instant::now();
    while stopped.elapsed().as_secs() < 1 {
        phone.sync(1000);
    }
    agent.signal(Signal::CONT);
    liar.settle(&mut phone);
    assert_eq!(liar.sent(), []);
    let status = liar.laptop.call(&["agent", "status", "--json"]).run();
    assert!(status.json()["key_id"].is_null());
    assert_eq!(liar.logged("locked"), 1);
}

// shows: AGT-03, AG-08
#[test]
fn memory_that_cannot_be_locked_is_told_and_the_agent_works() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    alice.set_up("key");
    let call = alice.call(&["agent"]).after("ulimit -l 0");
    let agent = RunningAgent::start(call);
    alice.unlock("key").run().succeeds();
    alice.call(&["agent", "stop"]).run().succeeds();
    let (status, said) = agent.wait();
    assert!(status.success(), "{said}");
    assert!(said.contains("may be written to swap"), "{said}");
    assert!(said.contains("ulimit -l unlimited"), "{said}");
}

#[test]
fn without_a_runtime_folder_the_socket_is_with_the_state() {
    let server = Homeserver::start();
    let (alice, agent) = unlocked(&server);
    let folder = alice.state().canonicalize().unwrap().join("agent");
    assert_eq!(Path::new(&agent.socket).parent(), Some(folder.as_path()));
    // One that is not there is said, and does not matter to those who need no agent.
    let missing = alice.folder.join("missing");
    let with = |arguments: &[&str]| {
        let call = alice.call(arguments);
        call.environment("XDG_RUNTIME_DIR", &missing).run()
    };
    with(&["agent", "status"]).fails(2).says("missing");
    agent.kill();
    let key = alice.folder.name_of("key");
    let outcome = with(&["get", NAME, "--recovery-key-file", &key]);
    assert_eq!(outcome.succeeds(), SECRET);
    with(&["agent", "--foreground"]).fails(2).says("missing");
}

// Not one more file can be opened, for a while.
#[test]
fn an_agent_without_descriptors_loses_nothing() {
    let liar = Liar::new();
    let mut phone = liar.phone();
    let laptop = liar.to_laptop(&phone);
    let agent = liar.agent(&[(BACKUP, "allow")]);
    liar.is_answered(&mut phone, "before");
    let before = agent.limit(Resource::Nofile, 3);
    let seen = liar.proxy.seen().len();
    phone.ask(&laptop, "meanwhile", BACKUP);
    // Whoever comes now waits.
    let mut stream = UnixStream::connect(&agent.socket).unwrap();
    liar.has_told(seen, "meanwhile", 1);
    agent.limit(Resource::Nofile, before);
    phone.wait_for_answer("meanwhile");
    let mut greeting = [0; 8];
    stream.read_exact(&mut greeting).unwrap();
    drop(stream);
    liar.settle(&mut phone);
    assert_eq!(liar.sent().len(), 2);
    assert_eq!(liar.logged("shared"), 2);
}

// Where it complains, nobody listens any more.
#[test]
fn an_agent_that_cannot_complain_goes_on() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    alice.set_up("key");
    alice.put(NAME, SECRET, "key").run().succeeds();
    let call = alice.call(&["agent"]);
    // It has something to complain of right at the start.
    let agent = RunningAgent::start(call.after("ulimit -l 0; exec 2>/dev/full"));
    alice.unlock("key").run().succeeds();
    still_serves(&alice);
    alice.call(&["agent", "stop"]).run().succeeds();
    assert!(agent.wait().0.success());
}

// A homeserver that takes the request for the devices and never answers it.
#[test]
fn a_homeserver_that_never_answers_holds_up_neither_lock_nor_stop() {
    let liar = Liar::new();
    let mut phone = liar.phone();
    let laptop = liar.to_laptop(&phone);
    let agent = liar.agent(&[(BACKUP, "allow")]);
    liar.is_answered(&mut phone, "before");
    let sent = liar.sent().len();
    let (asked, has_asked) = std::sync::mpsc::channel();
    liar.lie("/keys/query ", move |_| {
        asked.send(()).unwrap();
        loop {
            std::thread::park();
        }
    });
    liar.say_changed();
    phone.ask(&laptop, "meanwhile", BACKUP);
    has_asked.recv().unwrap();
    // Whoever needs the local state is told whose fault it is.
    let fingerprint = &laptop.ed25519;
    let borrow = [
        "device",
        "sign",
        "DEVICE",
        "--fingerprint",
        fingerprint,
        "--yes",
    ];
    sealed(&liar.laptop, &borrow)
        .run()
        .fails(4)
        .says("the agent is waiting for the homeserver");
    liar.laptop.call(&["lock"]).run().succeeds();
    let status = liar.laptop.call(&["agent", "status", "--json"]).run();
    assert!(status.json()["key_id"].is_null());
    agent.signal(Signal::TERM);
    let (status, said) = agent.wait();
    assert!(status.success(), "{said}");
    assert_eq!(liar.sent().len(), sent);
}

// A backup of yesterday is put back.
// shows: AGT-13, AG-04
#[test]
fn files_of_yesterday_are_noticed_and_nothing_is_encrypted_twice() {
    let liar = Liar::new();
    let mut phone = liar.phone();
    let file = liar.laptop.state_file();
    let agent = liar.agent(&[(BACKUP, "allow")]);
    liar.is_answered(&mut phone, "one");
    agent.kill();
    let yesterday = std::fs::read(&file).unwrap();

    let agent = liar.agent(&[(BACKUP, "allow")]);
    liar.is_answered(&mut phone, "two");
    begin_sessions(&phone, &liar);
    liar.settle(&mut phone);
    agent.kill();
    std::fs::write(&file, yesterday).unwrap();

    let agent = liar.agent(&[(BACKUP, "allow")]);
    // It has the private halves of as many as it publishes, and no more.
    begin_sessions(&phone, &liar);
    liar.settle(&mut phone);
    phone.forget_session(&liar.to_laptop(&phone));
    liar.is_answered(&mut phone, "three");
    assert_eq!(liar.logged("alert"), 1);
    let sent = liar.sent();
    let mut texts: Vec<_> = sent.iter().map(|(_, body)| body.to_string()).collect();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 3);
    liar.laptop.call(&["agent", "stop"]).run().succeeds();
    let (_, said) = agent.wait();
    assert!(said.contains("an older copy"), "{said}");
}

/// Devices claim most of the keys that the laptop published, and it publishes others.
fn begin_sessions(by: &Peer, liar: &Liar) {
    let claim = json!({"one_time_keys": {&by.user_id: {&liar.laptop_id: "signed_curve25519"}}});
    for _ in 0..30 {
        by.call("POST", "keys/claim", &claim);
    }
}
