//! The peers among themselves: what a homeserver must do for them, whoever we are.
#![expect(
    clippy::indexing_slicing,
    reason = "a missing member of a JSON value is null"
)]

use serde_json::{Value, json};

use super::scene::{STANDARD, Scene, both, trust_each_other};
use crate::failure::Failure;
use crate::http::PASSWORD;
use crate::live::peer::{Library, Peer};

/// A device sets everything up; then a device of each library is verified by it, one asking and one
/// asked, and is sent the secrets.
pub(super) fn verify_each_other(scene: &mut Scene<'_>) -> Result<(), Failure> {
    let mut first = scene.peer("first")?;
    let set_up = first.ask(json!({ "do": "set_up", "password": PASSWORD }))?;
    let backup = first.tell("backup")?;
    scene.expect("a backup is in use", &backup["active"], &json!(true))?;

    let [asking, asked] = Library::ALL;
    let mut later = scene.peer_of(asking, asking.name())?;
    different_emoji(scene, &mut later, &mut first)?;
    scene.compare_emoji(&mut later, &mut first)?;
    received_all(scene, &mut first, &mut later, &backup)?;
    let mut later = scene.peer_of(asked, asked.name())?;
    scene.compare_emoji(&mut first, &mut later)?;
    received_all(scene, &mut first, &mut later, &backup)?;

    let mut last = scene.peer("last")?;
    last.ask(json!({ "do": "recover", "recovery_key": set_up["recovery_key"] }))?;
    received_all(scene, &mut first, &mut last, &backup)
}

/// What a person does who sees something else on the other screen.
fn different_emoji(
    scene: &mut Scene<'_>,
    asker: &mut Peer,
    asked: &mut Peer,
) -> Result<(), Failure> {
    let nothing = asker.tell("held")?;
    scene.expect("a new device holds nothing", nothing, json!([]))?;
    asker.ask(json!({ "do": "request_verification", "device": asked.device_id() }))?;
    asked.tell("accept_verification")?;
    asker.tell("start_sas")?;
    both(asker, asked, "compare")?;
    let code = asker.tell("mismatch")?;
    scene.expect(
        "different emoji end it",
        code,
        json!({ "code": "m.mismatched_sas" }),
    )?;
    let nothing = asker.tell("held")?;
    scene.expect("and nothing was sent", nothing, json!([]))?;
    let device = asker.device_id();
    asked.ask(json!({ "do": "await_device", "device": device, "verified": false }))?;
    Ok(())
}

fn received_all(
    scene: &mut Scene<'_>,
    first: &mut Peer,
    later: &mut Peer,
    backup: &Value,
) -> Result<(), Failure> {
    let held = later.ask(json!({ "do": "await_held", "names": STANDARD }))?;
    scene.expect(
        &format!("{} has the secrets", later.name()),
        held,
        json!(STANDARD),
    )?;
    let used = later.tell("backup")?;
    scene.same("and uses the same backup", &used, backup)?;
    trust_each_other(first, later)
}
