//! The agent's service for commands.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

use rustix::process::Signal;

use crate::homeserver::{Homeserver, Person};
use crate::invocation::fourfold;

const NAME: &str = "org.example.wallet";
const SECRET: &str = "four folds of paper";

/// Somebody with secret storage and a secret.
fn person(server: &Homeserver) -> Person {
    let alice = server.person("alice");
    alice.set_up("key");
    alice.put(NAME, SECRET, "key").run().succeeds();
    alice
}

fn get(alice: &Person) -> crate::invocation::Outcome {
    alice.call(&["get", NAME]).run()
}

// shows: AGT-09
#[test]
fn a_secret_without_its_key_as_long_as_the_agent_is_unlocked() {
    let server = Homeserver::start();
    let alice = person(&server);
    let agent = alice.agent(&[]);
    get(&alice).fails(2).says("there is no terminal");
    let unlocked = alice.unlock("key").run();
    unlocked.succeeds();
    unlocked.says("after 15 minutes without use");

    let outcome = get(&alice);
    assert_eq!(outcome.succeeds(), SECRET);
    outcome.says("opened with the key ");
    let json = alice.call(&["get", NAME, "--json"]).run().json();
    assert_eq!(json["secret"], SECRET);
    assert_eq!(json["is_default_key"], true);
    alice
        .call(&["get", NAME, "--no-agent"])
        .run()
        .fails(2)
        .says("there is no terminal");
    assert_eq!(alice.get(NAME, "key").run().succeeds(), SECRET);
    alice
        .call(&["get", "org.example.other"])
        .run()
        .fails(1)
        .says("there is no secret org.example.other");

    let status = alice.call(&["agent", "status", "--json"]).run().json();
    assert_eq!(status["user_id"], "@alice:localhost");
    assert!(
        (890..=900).contains(&status["locks_in"].as_u64().unwrap()),
        "{status}"
    );
    let text = alice.call(&["agent", "status"]).run().succeeds();
    assert!(
        text.contains("key      ") && text.contains("15 minutes when"),
        "{text}"
    );
    assert!(alice.call(&["lock"]).run().succeeds().is_empty());
    get(&alice).fails(2).says("there is no terminal");
    alice.call(&["lock"]).run().succeeds();
    alice.call(&["agent", "stop"]).run().succeeds();
    assert!(agent.wait().0.success());
    alice
        .call(&["lock"])
        .run()
        .says("no agent is running")
        .succeeds();
    alice.unlock("key").run().fails(1).says("fourfold agent");
    let log = alice.call(&["agent", "log", "--json"]).run().json();
    let events: Vec<_> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|line| &line["event"])
        .collect();
    assert_eq!(events, ["unlocked", "locked"]);
}

#[test]
fn only_the_key_of_the_account_unlocks() {
    let server = Homeserver::start();
    let alice = person(&server);
    let _agent = alice.agent(&[]);
    alice.folder.write(
        "other",
        "EsTc LW2K PGiF wKEA 3As5 g5c4 BXwk qeeJ ZJV8 Q9fu gUMN UE4d",
    );
    alice.unlock("other").run().fails(3);
    alice.folder.write(
        "typo",
        "EsTc LW2K PGiF wKEA 3As5 g5c4 BXwk qeeJ ZJV8 Q9fu gUMN UE4e",
    );
    alice.unlock("typo").run().fails(3);
    let status = alice.call(&["agent", "status", "--json"]).run().json();
    assert_eq!(status["key_id"], serde_json::Value::Null);
}

#[test]
fn changes_go_on_while_an_agent_runs() {
    let server = Homeserver::start();
    let alice = person(&server);
    let _agent = alice.agent(&[]);
    let other = "org.example.other";
    // Locked: with a key, as ever. Unlocked: without.
    alice.put(other, "first", "key").run().succeeds();
    alice.unlock("key").run().succeeds();
    let put = alice.call(&["put", other, "-", "--yes"]).stdin("second");
    let answer = put.arguments(["--json"]).run().json();
    assert_eq!(answer["changed"], true, "{answer}");
    assert_eq!(alice.call(&["get", other]).run().succeeds(), "second");
    let plan = alice
        .call(&["put", other, "-", "--dry-run", "--json"])
        .stdin("third")
        .run();
    let put = &plan.json()["steps"][0]["action"]["put_account_data"];
    assert!(put["content"]["encrypted"].is_object());
    plan.is_silent_about("third");
    assert_eq!(alice.call(&["get", other]).run().succeeds(), "second");
    assert_eq!(alice.status()["secrets"].as_array().unwrap().len(), 2);
    alice.call(&["rm", other, "--yes"]).run().succeeds();
    assert_eq!(alice.call(&["ls"]).run().succeeds(), format!("{NAME}\n"));
}

#[test]
fn a_rotated_key_is_not_mistaken_for_the_new_one() {
    let server = Homeserver::start();
    let alice = person(&server);
    let _agent = alice.agent(&[]);
    alice.unlock("key").run().succeeds();
    let new = alice.folder.name_of("new");
    alice
        .change(&["key", "rotate", "--recovery-key-out", &new], &["key"])
        .run()
        .succeeds();
    // As without an agent: the user is asked.
    get(&alice).fails(2).says("there is no terminal");
    alice.unlock("new").run().succeeds();
    assert_eq!(get(&alice).succeeds(), SECRET);
}

#[test]
fn what_the_server_takes_back_is_said_through_the_agent_too() {
    let server = Homeserver::start();
    let alice = person(&server);
    let _agent = alice.agent(&[]);
    alice.unlock("key").run().succeeds();
    get(&alice).succeeds();
    server
        .other_client("alice")
        .put("m.secret_storage.default_key", "{}");
    for command in ["status", "ls"] {
        alice
            .call(&[command])
            .run()
            .says("fourfold: warning: ")
            .succeeds();
    }
    let outcome = get(&alice);
    assert_eq!(outcome.says("fourfold: warning: ").succeeds(), SECRET);
    alice
        .call(&["put", NAME, "-", "--yes"])
        .stdin("x")
        .run()
        .fails(5);
    alice.call(&["status", "--accept-changes"]).run().succeeds();
    get(&alice).is_silent_about("warning");
}

// shows: AGT-12, AG-05
#[test]
fn a_second_agent_of_the_same_account_says_so() {
    let server = Homeserver::start();
    let alice = person(&server);
    let agent = alice.agent(&[]);
    alice
        .call(&["agent", "--foreground"])
        .run()
        .fails(5)
        .says(&format!(
            "an agent is running already: process {}",
            agent.process()
        ));
    // A crash leaves the socket behind, and the next one starts all the same.
    let socket = agent.socket.clone();
    agent.kill();
    assert!(std::fs::exists(&socket).unwrap());
    alice.call(&["agent", "status"]).run().fails(1);
    assert_eq!(alice.get(NAME, "key").run().succeeds(), SECRET);
    let agent = alice.agent(&[]);
    agent.signal(Signal::TERM);
    assert!(agent.wait().0.success());
    assert!(!std::fs::exists(&socket).unwrap());
}

#[test]
fn logging_out_ends_the_agent() {
    let server = Homeserver::start();
    let alice = person(&server);
    let agent = alice.agent(&[]);
    alice.call(&["logout"]).run().succeeds();
    let (status, said) = agent.wait();
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("logged out"), "{said}");
    alice
        .call(&["agent", "--foreground"])
        .run()
        .fails(2)
        .says("not logged in");
}

// shows: AGT-01
#[test]
fn the_socket_is_for_the_user_alone() {
    let server = Homeserver::start();
    let alice = person(&server);
    let agent = alice.agent(&[]);
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let socket = std::path::Path::new(&agent.socket);
    assert_eq!(mode(socket), 0o600);
    assert_eq!(mode(socket.parent().unwrap()), 0o700);
    // Commands that need it refuse what others could reach, the others go on without.
    let chmod = |mode| {
        std::fs::set_permissions(socket, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    chmod(0o666);
    alice
        .unlock("key")
        .run()
        .fails(6)
        .says("only this user can access");
    alice
        .call(&["get", NAME])
        .run()
        .says("only this user can access")
        .fails(6);
    chmod(0o600);
    alice.unlock("key").run().succeeds();
    let runtime = alice.folder.join("runtime");
    std::fs::create_dir(&runtime).unwrap();
    std::fs::set_permissions(&runtime, std::fs::Permissions::from_mode(0o777)).unwrap();
    alice
        .call(&["agent", "status"])
        .environment("XDG_RUNTIME_DIR", &runtime)
        .run()
        .fails(6)
        .says("is accessible to other users");
}

#[test]
fn garbage_at_the_socket_does_no_harm() {
    let server = Homeserver::start();
    let alice = person(&server);
    let agent = alice.agent(&[]);
    alice.unlock("key").run().succeeds();
    for garbage in [b"GET / HTTP/1.1\r\n\r\n".as_slice(), &[0xff; 4096], &[0; 8]] {
        let mut stream = UnixStream::connect(&agent.socket).unwrap();
        let _ = stream.write_all(garbage);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        assert!(text.contains("@alice") && text.len() < 200, "{text}");
    }
    assert_eq!(get(&alice).succeeds(), SECRET);
}

#[test]
fn without_a_log_in_there_is_no_agent() {
    let folder = crate::invocation::Folder::new();
    for command in ["agent", "unlock", "lock"] {
        fourfold([command, "--state", &folder.name_of("state")])
            .run()
            .fails(2)
            .says("not logged in");
    }
}

/// A process that is not left behind when a test fails.
struct Killed(String);

impl Drop for Killed {
    fn drop(&mut self) {
        let process = self.0.parse().ok().and_then(rustix::process::Pid::from_raw);
        if std::thread::panicking() {
            let _ = rustix::process::kill_process(process.unwrap(), Signal::KILL);
        }
    }
}

#[test]
fn in_the_background_it_leaves_the_terminal_and_goes_on() {
    let server = Homeserver::start();
    let alice = person(&server);
    let started = alice.call(&["agent"]).run();
    assert!(started.succeeds().starts_with("listening at /"));
    alice.unlock("key").run().succeeds();
    let process = alice.call(&["agent", "status", "--json"]).run().json()["process"].clone();
    let _guard = Killed(process.to_string());
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<_> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(
        fields[3],
        process.to_string(),
        "it leads a session of its own"
    );
    for descriptor in 0..3 {
        let open = std::fs::read_link(format!("/proc/{process}/fd/{descriptor}")).unwrap();
        assert_eq!(open, std::path::Path::new("/dev/null"));
    }
    assert_eq!(get(&alice).succeeds(), SECRET);
    let again = alice.call(&["agent", "--json"]).run();
    let error: serde_json::Value = serde_json::from_str(&again.stderr).unwrap();
    assert_eq!(error["exit_code"], 5);
    let again = alice.call(&["agent"]).run();
    again.fails(5).says("an agent is running already");
    assert_eq!(again.stderr.matches("error").count(), 1, "{}", again.stderr);
    alice.call(&["agent", "stop"]).run().succeeds();
    // It is gone when the account is free again.
    alice.put(NAME, SECRET, "key").run().succeeds();
}

#[test]
fn a_policy_that_is_none_is_refused_at_the_start() {
    let server = Homeserver::start();
    let alice = person(&server);
    let policy = alice
        .folder
        .write("policy.toml", "[secrets]\n\"m.*\" = \"allow\"\n");
    alice
        .call(&["agent", "--policy", &policy])
        .run()
        .fails(2)
        .says("there are no patterns");
    alice
        .call(&["agent", "--ask", &policy])
        .run()
        .fails(2)
        .says("is not a program");
}
