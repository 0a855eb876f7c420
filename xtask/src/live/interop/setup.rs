//! A whole set-up: ours, which they take over, and theirs, in which we take our place by key.
#![expect(
    clippy::indexing_slicing,
    reason = "a missing member of a JSON value is null"
)]

use serde_json::{Value, json};

use super::scene::{STANDARD, Scene};
use super::storage::same_secrets;
use crate::failure::Failure;
use crate::http::PASSWORD;
use crate::live::cli::Device;

/// We make identity, secret storage and backup; a peer needs nothing but our recovery key.
pub(super) fn they_use_what_we_wrote(scene: &mut Scene<'_>) -> Result<(), Failure> {
    let ours = scene.ours("ours")?;
    let key = scene.path("key");
    let password = scene.path("password");
    let set_up = ["setup", "--yes", "--recovery-key-out", &key];
    ours.must(&[&set_up[..], &["--password-file", &password]].concat(), "")?;
    let ours_id = own_id(&ours)?;

    let mut peer = scene.peer("peer")?;
    let entered = scene.read("key")?;
    peer.ask(json!({ "do": "recover", "recovery_key": entered }))?;
    let held = peer.tell("held")?;
    scene.expect("our key gives them all", held, json!(STANDARD))?;
    let backup = peer.tell("backup")?;
    scene.expect("they trust our backup", &backup["trusted"], &json!(true))?;
    scene.expect("and use it", &backup["active"], &json!(true))?;
    same_secrets(scene, &mut peer, &ours, &key)?;
    peer.ask(json!({ "do": "await_device", "device": ours_id, "verified": true }))?;
    scene.expect("our device is verified for them", true, true)?;
    all_signed(scene, &ours, 2)?;

    let changed = peer.ask(json!({ "do": "change_key" }))?;
    let key = scene.write("changed", &changed["recovery_key"])?;
    // To us it could be the homeserver that moved the default key.
    ours.must(&["status", "--accept-changes"], "")?;
    same_secrets(scene, &mut peer, &ours, &key)?;
    let again = ["setup", "--yes", "--recovery-key-file", &key];
    let done = ours.run(&again, "")?;
    scene.expect("there is nothing left to set up", done.code, 0)?;
    let unchanged = done.talk.contains("everything is set up");
    scene.expect("and nothing was done", unchanged, true)
}

/// A peer makes everything; its recovery key verifies our device.
pub(super) fn their_key_verifies_us(scene: &mut Scene<'_>) -> Result<(), Failure> {
    let mut peer = scene.peer("peer")?;
    let set_up = peer.ask(json!({ "do": "set_up", "password": PASSWORD }))?;
    let key = scene.write("key", &set_up["recovery_key"])?;
    let ours = scene.ours("ours")?;
    let verify = ["device", "verify", "--json", "--recovery-key-file", &key];
    let verified = ours.json(&verify)?;
    scene.expect(
        "the identity is theirs",
        &verified["identity_matches"],
        &json!(true),
    )?;
    let ours_id = own_id(&ours)?;
    peer.ask(json!({ "do": "await_device", "device": ours_id, "verified": true }))?;
    scene.expect("our device is verified for them", true, true)?;
    all_signed(scene, &ours, 2)
}

/// The ID of our device.
pub(super) fn own_id(ours: &Device) -> Result<Value, Failure> {
    Ok(ours.json(&["whoami", "--json"])?["device_id"].take())
}

/// Our list shows so many devices with keys, all of them signed by the identity.
fn all_signed(scene: &mut Scene<'_>, ours: &Device, number: usize) -> Result<(), Failure> {
    let listed = ours.json(&["device", "ls", "--json"])?;
    let listed = listed.as_array().map_or(&[][..], Vec::as_slice);
    let (with_keys, signed) = listed
        .iter()
        .filter(|device| !device["fingerprint"].is_null())
        .fold((0, 0), |(all, signed), device| {
            (
                all + 1,
                signed + usize::from(device["is_signed"] == json!(true)),
            )
        });
    scene.expect(
        "we see all devices signed",
        (with_keys, signed),
        (number, number),
    )
}
