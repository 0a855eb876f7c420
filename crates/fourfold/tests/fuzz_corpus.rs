//! The fuzz targets without a fuzzer: over the committed corpus, and over seeded mutations of it.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers"
)]

#[expect(unreachable_pub, reason = "the fuzzer's crate has it too")]
#[path = "../../../fuzz/src/replay.rs"]
mod replay;
#[expect(unreachable_pub, reason = "the fuzzer's crate exports it")]
#[path = "../../../fuzz/src/targets.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 8] = [
    ("base64", targets::base64),
    ("canonical_json", targets::canonical_json),
    ("encrypted_secret", targets::encrypted_secret),
    ("health", targets::health),
    ("key_description", targets::key_description),
    ("qr_login_code", targets::qr_login_code),
    ("recovery_key", targets::recovery_key),
    ("sharing_event", targets::sharing_event),
];

#[test]
fn every_folder_of_the_corpus_is_replayed() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let folders: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let targets = TARGETS.map(|(name, _)| name.to_owned());
    assert_eq!(folders, BTreeSet::from(targets));
}

// shows: LIB-17
#[test]
fn base64_survives_its_corpus() {
    replay("base64");
}

// shows: LIB-17
#[test]
fn canonical_json_survives_its_corpus() {
    replay("canonical_json");
}

// shows: LIB-17
#[test]
fn encrypted_secrets_survive_their_corpus() {
    replay("encrypted_secret");
}

#[test]
fn health_survives_its_corpus() {
    replay("health");
}

// shows: LIB-17
#[test]
fn key_descriptions_survive_their_corpus() {
    replay("key_description");
}

#[test]
fn qr_codes_survive_their_corpus() {
    replay("qr_login_code");
}

// shows: LIB-17
#[test]
fn recovery_keys_survive_their_corpus() {
    replay("recovery_key");
}

// shows: LIB-17, SHR-19
#[test]
fn events_of_sharing_survive_their_corpus() {
    replay("sharing_event");
}

fn replay(name: &str) {
    let (_, target) = TARGETS
        .into_iter()
        .find(|(other, _)| *other == name)
        .unwrap();
    replay::replay(name, target);
}
