//! After a lock, nothing secret is left in the memory of the agent.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;

use crate::agents::RunningAgent;
use crate::canary::Canary;
use crate::homeserver::{Homeserver, Person};

const NAME: &str = "org.example.wallet";
const SECRET: &str = "the canary sings four folds of paper";
const PASSPHRASE: &str = "seven canaries under the old bridge";

/// Whether this user is allowed to look into the memory of the agent.
pub(crate) fn is_visible(agent: &RunningAgent) -> bool {
    memory(agent.process()).is_some()
}

/// Everything that a process could have written somewhere, each area as the characters with the
/// numbers of its bytes. `None` where it is not allowed to look: the agent closes itself to the user's
/// other processes, so that only root sees it.
fn memory(process: u32) -> Option<Vec<(String, String)>> {
    let memory = match File::open(format!("/proc/{process}/mem")) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return None,
        memory => memory.unwrap(),
    };
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mut areas = Vec::new();
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (range, access) = (fields.next().unwrap(), fields.next().unwrap());
        if !access.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let address = |text| u64::from_str_radix(text, 16).unwrap();
        let (start, end) = (address(start), address(end));
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        memory.read_exact_at(&mut bytes, start).unwrap();
        areas.push((line.to_owned(), bytes.into_iter().map(char::from).collect()));
    }
    assert!(areas.iter().any(|(name, _)| name.ends_with("[heap]")));
    assert!(areas.iter().any(|(name, _)| name.ends_with("[stack]")));
    Some(areas)
}

/// Where a canary is.
pub(crate) fn places(agent: &RunningAgent, canary: &Canary) -> Vec<String> {
    let areas = memory(agent.process()).unwrap().into_iter();
    let found = areas.filter(|(_, bytes)| canary.is_in_latin_1(bytes));
    found
        .map(|(name, _)| format!("{} is in {name}", canary.what()))
        .collect()
}

/// Secret storage with a passphrase, a secret, and everything that must not be found.
fn person(server: &Homeserver) -> (Person, Vec<Canary>) {
    let alice = server.person("alice");
    let passphrase = alice.folder.write("passphrase", PASSPHRASE);
    let key = alice.folder.name_of("key");
    alice
        .call(&[
            "setup",
            "--storage-only",
            "--yes",
            "--recovery-key-out",
            &key,
        ])
        .arguments(["--new-passphrase-file", &passphrase])
        .run()
        .succeeds();
    alice.put(NAME, SECRET, "key").run().succeeds();
    let recovery_key = alice.folder.read("key");
    let [aes, mac] = derived(recovery_key.trim());
    let canaries = vec![
        Canary::new("the secret", SECRET),
        Canary::new("the passphrase", PASSPHRASE),
        Canary::recovery_key("the recovery key", recovery_key.trim()),
        Canary::bytes("the derived cipher key", &aes),
        Canary::bytes("the derived MAC key", &mac),
    ];
    (alice, canaries)
}

/// What is derived from a storage key for the secret.
fn derived(recovery_key: &str) -> [[u8; 32]; 2] {
    let key = fourfold::recovery_key::decode(recovery_key).unwrap();
    let mut keys = [[0; 32]; 2];
    hkdf::Hkdf::<sha2::Sha256>::new(Some(&[0; 32]), key.as_slice())
        .expand(NAME.as_bytes(), keys.as_flattened_mut())
        .unwrap();
    keys
}

// shows: AGT-02, LIB-21, SUP-02, AG-07
#[test]
fn a_locked_agent_has_forgotten_everything() {
    let server = Homeserver::start();
    let (alice, canaries) = person(&server);
    let agent = alice.agent(&[]);
    if !is_visible(&agent) {
        // Which is the other half of what is wanted.
        return;
    }
    let passphrase = alice.folder.name_of("passphrase");
    for unlock in [
        alice.unlock("key"),
        alice.call(&["unlock", "--passphrase-file", &passphrase]),
    ] {
        unlock.run().succeeds();
        for _ in 0..3 {
            assert_eq!(alice.call(&["get", NAME]).run().succeeds(), SECRET);
            let put = alice.call(&["put", NAME, "-", "--yes"]).stdin(SECRET);
            put.run().succeeds();
        }
        assert_ne!(
            places(&agent, &canaries[2]),
            [""; 0],
            "the scanner sees nothing"
        );
        for gone in [0, 3, 4] {
            assert_eq!(
                places(&agent, &canaries[gone]),
                [""; 0],
                "it outlives its use"
            );
        }
        alice.call(&["lock"]).run().succeeds();
        for canary in &canaries {
            assert_eq!(places(&agent, canary), [""; 0]);
        }
    }
}

// shows: AGT-03
#[test]
fn other_processes_of_the_user_are_kept_out() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    let agent = alice.agent(&[]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", agent.process())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    let words: Vec<_> = core.split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{core}");
    // What is not dumpable belongs to root, so that nobody else may look inside.
    let owner = std::os::unix::fs::MetadataExt::uid(
        &std::fs::metadata(format!("/proc/{}/mem", agent.process())).unwrap(),
    );
    assert_eq!(owner, 0);
}
