//! Secret storage: what they wrote, we open and change, and what we wrote, they use.
#![expect(
    clippy::indexing_slicing,
    reason = "a missing member of a JSON value is null"
)]

use serde_json::{Value, json};

use super::scene::{STANDARD, Scene};
use crate::failure::Failure;
use crate::http::PASSWORD;
use crate::live::cli::Device;
use crate::live::peer::Peer;

/// A secret that no client knows, with bytes that are not ASCII.
const NOTE: (&str, &str) = ("org.example.note", "s3cret ✓");

/// A peer sets secret storage up; we open it, add to it and give it a new key; the peer goes on.
pub(super) fn we_open_what_they_wrote(scene: &mut Scene<'_>) -> Result<(), Failure> {
    let mut peer = scene.peer("peer")?;
    let set_up = peer.ask(json!({ "do": "set_up", "password": PASSWORD }))?;
    let key = scene.write("key", &set_up["recovery_key"])?;
    let ours = scene.ours("ours")?;

    let status = ours.json(&["status", "--json"])?;
    let state = &status["default_key_state"];
    scene.expect("we understand their default key", state, &json!("ok"))?;
    same_secrets(scene, &mut peer, &ours, &key)?;
    ours.must(
        &["put", NOTE.0, "-", "--yes", "--recovery-key-file", &key],
        NOTE.1,
    )?;
    let got = peer.ask(json!({ "do": "get", "name": NOTE.0 }))?;
    scene.expect("they open what we put", got, json!(NOTE.1))?;
    peer.ask(json!({ "do": "put", "name": "org.example.theirs", "secret": NOTE.1 }))?;
    let got = ours.must(
        &["get", "org.example.theirs", "--recovery-key-file", &key],
        "",
    )?;
    scene.expect("we open what they put", got.as_str(), NOTE.1)?;

    rotated_by_us(scene, &mut peer, &ours, &key)?;
    replaced_by_them(scene, &mut peer, &ours)
}

/// Our new key opens everything for them, and is enough for a new device of theirs.
fn rotated_by_us(
    scene: &mut Scene<'_>,
    peer: &mut Peer,
    ours: &Device,
    key: &str,
) -> Result<(), Failure> {
    let new = scene.path("rotated");
    let rotate = ["key", "rotate", "--yes", "--recovery-key-file", key];
    ours.must(&[&rotate[..], &["--recovery-key-out", &new]].concat(), "")?;
    let entered = json!(scene.read("rotated")?);
    peer.ask(json!({ "do": "unlock", "recovery_key": entered }))?;
    same_secrets(scene, peer, ours, &new)?;
    let got = peer.ask(json!({ "do": "get", "name": NOTE.0 }))?;
    scene.expect("and what only we knew", got, json!(NOTE.1))?;

    let mut later = scene.peer("later")?;
    later.ask(json!({ "do": "recover", "recovery_key": entered }))?;
    let held = later.tell("held")?;
    scene.expect("our key sets a new device up", held, json!(STANDARD))?;
    let used = later.tell("backup")?;
    scene.same("with its backup", &used, &peer.tell("backup")?)?;
    let device = later.device_id();
    peer.ask(json!({ "do": "await_device", "device": device, "verified": true }))?;
    Ok(())
}

/// Their new key opens the standard secrets for us; what they do not know stays under ours.
fn replaced_by_them(scene: &mut Scene<'_>, peer: &mut Peer, ours: &Device) -> Result<(), Failure> {
    let passphrase = json!("correct horse battery staple");
    let changed = peer.ask(json!({ "do": "change_key", "passphrase": passphrase }))?;
    let key = scene.write("replaced", &changed["recovery_key"])?;
    // To us it could be the homeserver that moved the default key.
    ours.must(&["status", "--accept-changes"], "")?;
    same_secrets(scene, peer, ours, &key)?;
    let passphrase = scene.write("passphrase", &passphrase)?;
    let get = ["get", STANDARD[0]];
    let by_key = ours.must(&[&get[..], &["--recovery-key-file", &key]].concat(), "")?;
    let by_passphrase = ours.must(
        &[&get[..], &["--passphrase-file", &passphrase]].concat(),
        "",
    )?;
    scene.same("their passphrase does as well", &by_passphrase, &by_key)?;
    let rotated = scene.path("rotated");
    let note = ours.must(&["get", NOTE.0, "--recovery-key-file", &rotated], "")?;
    scene.expect("our secret is under our key", note.as_str(), NOTE.1)
}

/// Both open the four standard secrets, with the same result.
pub(super) fn same_secrets(
    scene: &mut Scene<'_>,
    peer: &mut Peer,
    ours: &Device,
    key: &str,
) -> Result<(), Failure> {
    for name in STANDARD {
        let theirs = peer.ask(json!({ "do": "get", "name": name }))?;
        let opened = ours.must(&["get", name, "--recovery-key-file", key], "")?;
        scene.same(
            &format!("both open {name}"),
            &Value::from(opened.trim_end()),
            &theirs,
        )?;
    }
    Ok(())
}
