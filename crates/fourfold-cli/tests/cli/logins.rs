//! Logging in and out, and what is kept on this machine.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::homeserver::{Homeserver, PASSWORD, Person};
use crate::invocation::{Folder, fourfold};
use crate::proxy::{Message, Proxy, Turn};

#[test]
fn a_password_logs_in_and_logs_out() {
    let server = Homeserver::start();
    server.register("alice");
    let alice = Person::at(&server.address, "alice");
    alice
        .call(&["whoami"])
        .run()
        .fails(2)
        .says("not logged in")
        .says("fourfold login");
    let shown = alice.log_in().run().succeeds();
    assert!(shown.starts_with("@alice:localhost ("), "{shown}");
    assert!(
        shown.ends_with(&format!("on {}\n", server.address)),
        "{shown}"
    );
    let who = alice.call(&["whoami", "--json"]).run().json();
    assert_eq!(who["user_id"], "@alice:localhost");
    assert!(who["device_id"].is_string());
    alice
        .call(&["logout"])
        .run()
        .says("logged out @alice:localhost")
        .succeeds();
    alice.call(&["whoami"]).run().fails(2).says("not logged in");
    alice.call(&["logout"]).run().fails(2);
}

#[test]
fn a_password_comes_from_a_descriptor_too_and_loses_one_line_ending() {
    let server = Homeserver::start();
    server.register("alice");
    let alice = Person::at(&server.address, "alice");
    let log_in = |option: &str, source: &str| {
        alice.call(&[
            "login",
            "@alice:localhost",
            "--homeserver",
            &server.address,
            option,
            source,
        ])
    };
    alice.folder.write("password", format!("{PASSWORD}\n"));
    let descriptor = log_in("--password-fd", "3");
    descriptor
        .descriptor_3(&alice.folder.join("password"))
        .run()
        .succeeds();
    log_in("--password-file", &alice.folder.name_of("password"))
        .run()
        .succeeds();
    let twice = log_in("--password-file", "-").stdin(format!("{PASSWORD}\n\n"));
    twice.run().fails(1);
}

#[test]
fn a_wrong_password_is_refused() {
    let server = Homeserver::start();
    server.register("alice");
    let alice = Person::at(&server.address, "alice");
    for wrong in ["wrong password", "", "\u{1f511}"] {
        let log_in = alice.log_in().stdin(wrong).run();
        log_in
            .fails(1)
            .says("the homeserver refuses the user name or the password");
        if !wrong.is_empty() {
            log_in.is_silent_about(wrong);
        }
    }
    Person::at(&server.address, "nobody")
        .log_in()
        .run()
        .fails(1);
    assert!(!alice.state().exists(), "a state without a session");
}

#[test]
fn a_server_that_is_not_there_is_a_matter_of_the_network() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let alice = Person::at(&address, "alice");
    alice.log_in().run().fails(4).says(&address);
    let elsewhere = Person::at("http://matrix.example.org", "alice");
    elsewhere
        .log_in()
        .run()
        .fails(6)
        .says("unencrypted")
        .says("https");
}

// shows: CLI-04
#[test]
fn what_is_mistyped_is_no_matter_of_the_network() {
    for address in ["not an address", "https://", "ftp://matrix.example.org"] {
        let alice = Person::at(address, "alice");
        let refused = alice.log_in().run();
        refused.fails(2).says("is not the address of a homeserver");
    }
    let server = Homeserver::start();
    server.register("alice");
    let log_in = |user: &str, token: &str| {
        let machine = Person::at(&server.address, "alice");
        let login = ["login", user, "--homeserver", &server.address];
        let login = machine.call(&login).arguments(["--access-token-file", "-"]);
        login.stdin(token.to_owned()).run()
    };
    log_in("@alice", "t")
        .fails(2)
        .says("is not the ID of a user");
    log_in("@alice:localhost", "to\u{1}ken")
        .fails(2)
        .says("copy it again");
}

#[test]
fn an_access_token_logs_in() {
    let server = Homeserver::start();
    server.register("alice");
    server.register("bob");
    let token = server.other_client("alice").access_token();
    let alice = Person::at(&server.address, "alice");
    let log_in = |user: &str| {
        alice
            .call(&["login", user, "--homeserver", &server.address])
            .arguments(["--access-token-file", "-", "--json"])
            .stdin(format!("{token}\n"))
            .run()
    };
    log_in("@bob:localhost")
        .fails(1)
        .says("this session belongs to @alice:localhost, not to @bob:localhost");
    assert_eq!(
        log_in("@alice:localhost").json()["user_id"],
        "@alice:localhost"
    );
    alice.set_up("key");
    let wrong = alice
        .call(&["login", "@alice:localhost", "--homeserver", &server.address])
        .arguments(["--access-token-file", "-"])
        .stdin("nonsense")
        .run();
    wrong
        .fails(4)
        .says("log in again")
        .is_silent_about("nonsense");
    // The session from before is still there.
    alice.call(&["whoami"]).run().succeeds();
}

#[test]
fn a_session_that_the_server_ended_is_said_so() {
    let server = Homeserver::start();
    server.register("alice");
    let other = server.other_client("alice");
    let alice = Person::at(&server.address, "alice");
    let log_in = alice.call(&["login", "@alice:localhost", "--homeserver", &server.address]);
    log_in
        .arguments(["--access-token-file", "-"])
        .stdin(other.access_token())
        .run()
        .succeeds();
    other.log_out();
    alice.call(&["status"]).run().fails(4).says("log in again");
    alice.call(&["logout"]).run().succeeds();
}

#[test]
fn several_accounts_are_told_apart() {
    let server = Homeserver::start();
    server.register("alice");
    server.register("bob");
    let machine = Person::at(&server.address, "alice");
    machine.log_in().run().succeeds();
    let bob = ["login", "@bob:localhost", "--homeserver", &server.address];
    machine
        .call(&bob)
        .arguments(["--password-file", "-"])
        .stdin(PASSWORD)
        .run()
        .succeeds();
    machine
        .call(&["whoami"])
        .run()
        .fails(2)
        .says("there are several accounts; use --account")
        .says("@alice:localhost, @bob:localhost");
    for user_id in ["@alice:localhost", "@bob:localhost"] {
        let who = machine
            .call(&["whoami", "--json", "--account", user_id])
            .run()
            .json();
        assert_eq!(who["user_id"], user_id);
    }
    machine
        .call(&["whoami", "--account", "@eve:localhost"])
        .run()
        .fails(2);
    // One that is logged out is none to choose from.
    machine
        .call(&["logout", "--account", "@bob:localhost"])
        .run()
        .succeeds();
    assert_eq!(
        machine.call(&["whoami", "--json"]).run().json()["user_id"],
        "@alice:localhost"
    );
}

#[test]
fn a_new_log_in_ends_the_session_that_it_replaces_and_no_other() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    let other = server.other_client("alice");
    let earlier = alice.folder.name_of("earlier");
    let keep = |name: &str| {
        let copied = std::process::Command::new("cp")
            .args(["-a", alice.state().to_str().unwrap(), name])
            .status();
        assert!(copied.unwrap().success());
    };
    let who = |state: &str| fourfold(["whoami", "--json", "--state", state]).run();
    keep(&earlier);
    let device = who(&earlier).json()["device_id"].clone();
    // Nothing replaces it when the log-in fails.
    alice.log_in().stdin("wrong password").run().fails(1);
    who(&earlier).succeeds();
    alice.log_in().run().is_silent_about("warning").succeeds();
    who(&earlier).fails(4).says("log in again");
    let now = alice.call(&["whoami", "--json"]).run().json();
    assert_ne!(now["device_id"], device);
    // The same device, with the token that it has already, stays.
    let token = other.access_token();
    for _ in 0..2 {
        let again = alice.call(&["login", "@alice:localhost", "--homeserver", &server.address]);
        again
            .arguments(["--access-token-file", "-"])
            .stdin(token.as_str())
            .run()
            .is_silent_about("warning")
            .succeeds();
        alice.call(&["whoami"]).run().succeeds();
    }
}

#[test]
fn a_session_that_could_not_be_ended_is_named() {
    let server = Homeserver::start();
    let proxy = Proxy::to(&server.address);
    let alice = server.person_through(&proxy, "alice");
    proxy.lie(|request| {
        if request.head.contains("/logout ") {
            Turn::Answered(Message::error(403, "M_FORBIDDEN", "not now"))
        } else {
            Turn::Honest
        }
    });
    alice
        .log_in()
        .run()
        .says("fourfold: warning: the earlier session of this machine could not be ended")
        .succeeds();
    alice.call(&["whoami"]).run().succeeds();
}

// shows: CLI-09, CL-05
#[test]
fn what_others_can_read_is_not_used() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    let open = |path: &std::path::Path, mode: u32| {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    let state = alice.state();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    for file in crate::canary::files(&state) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
        open(&file, 0o640);
        let refused = alice.call(&["status"]).run();
        refused
            .fails(6)
            .says("can be accessed by other users")
            .says("chmod go=");
        open(&file, 0o600);
        alice.call(&["status"]).run().succeeds();
    }
    open(&state, 0o755);
    alice
        .call(&["whoami"])
        .run()
        .fails(6)
        .says("can be accessed by other users");
    // Before a device is made on the server that nobody could use.
    let proxy = Proxy::to(&server.address);
    let again = ["login", "@alice:localhost", "--homeserver", &proxy.address];
    let again = alice.call(&again).arguments(["--password-file", "-"]);
    again.stdin(PASSWORD).run().fails(6);
    assert!(proxy.seen().is_empty());
}

#[test]
fn a_damaged_state_is_told_and_left_alone() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    let database = crate::canary::files(&alice.state())
        .into_iter()
        .find(|file| {
            file.extension()
                .is_some_and(|extension| extension == "sqlite")
        })
        .unwrap();
    std::fs::write(&database, "nonsense, nonsense, nonsense").unwrap();
    alice.call(&["status"]).run().fails(7).says("is damaged");
    alice.log_in().run().fails(7);
    assert_eq!(
        std::fs::read(&database).unwrap(),
        b"nonsense, nonsense, nonsense"
    );
}

#[test]
fn what_was_seen_is_remembered_over_a_log_out() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    alice.set_up("key");
    alice
        .put("org.example.wallet", "old", "key")
        .run()
        .succeeds();
    let other = server.other_client("alice");
    let old = other.content("org.example.wallet").unwrap();
    alice
        .put("org.example.wallet", "new", "key")
        .run()
        .succeeds();
    alice.call(&["logout"]).run().succeeds();
    other.put("org.example.wallet", &old);
    alice
        .log_in()
        .run()
        .says("was rolled back to an earlier value")
        .succeeds();
    alice
        .put("org.example.wallet", "newer", "key")
        .run()
        .fails(5);
}

#[test]
fn the_state_is_kept_where_the_user_keeps_state() {
    let server = Homeserver::start();
    server.register("alice");
    let (home, state) = (Folder::new(), Folder::new());
    let log_in = ["login", "@alice:localhost", "--homeserver", &server.address];
    let log_in = || {
        fourfold(log_in)
            .arguments(["--password-file", "-"])
            .stdin(PASSWORD)
    };
    log_in().environment("HOME", home.path()).run().succeeds();
    assert!(home.join(".local/state/fourfold").is_dir());
    let chosen = log_in().environment("HOME", home.path());
    chosen
        .environment("XDG_STATE_HOME", state.path())
        .run()
        .succeeds();
    assert!(state.join("fourfold").is_dir());
    let named =
        fourfold(["whoami", "--json"]).environment("FOURFOLD_STATE", &state.join("fourfold"));
    assert_eq!(named.run().json()["user_id"], json!("@alice:localhost"));
}
