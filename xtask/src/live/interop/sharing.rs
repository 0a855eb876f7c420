//! Our device among theirs: verified in both directions by emoji, it gets secrets from them and
//! hands secrets to them.
#![expect(
    clippy::indexing_slicing,
    reason = "a missing member of a JSON value is null"
)]

use serde_json::{Value, json};

use super::scene::Scene;
use super::setup::own_id;
use crate::failure::Failure;
use crate::http::PASSWORD;
use crate::live::cli::Device;
use crate::live::conversation::Conversation;
use crate::live::peer::Peer;

const SELF_SIGNING: &str = "m.cross_signing.self_signing";
const USER_SIGNING: &str = "m.cross_signing.user_signing";
const BACKUP: &str = "m.megolm_backup.v1";

/// What other devices get of ours. The master key is not among it.
const SHARED: [&str; 3] = [SELF_SIGNING, USER_SIGNING, BACKUP];

/// The rules of the agent in this tale: nobody is there to be asked.
const POLICY: &str = r#"
[secrets]
"m.cross_signing.self_signing" = "allow"
"m.cross_signing.user_signing" = "allow"
"m.megolm_backup.v1" = "allow"
"#;

/// A peer verifies our device and sends us secrets; we verify a new peer, and our agent sends it
/// secrets when nobody else can.
pub(super) fn verified_devices_share(scene: &mut Scene<'_>) -> Result<(), Failure> {
    let mut first = scene.peer("first")?;
    let set_up = first.ask(json!({ "do": "set_up", "password": PASSWORD }))?;
    let key = scene.write("key", &set_up["recovery_key"])?;
    let ours = scene.ours("ours")?;

    let refused = ours.run(&["request", BACKUP], "")?;
    scene.expect("an unverified device asks nobody", refused.code, 8)?;
    different_emoji(scene, &mut first, &ours)?;
    they_verify_us(scene, &mut first, &ours)?;
    they_send(scene, &ours, SELF_SIGNING, &key)?;
    they_send(scene, &ours, BACKUP, &key)?;
    // From here on, only our device can answer.
    first.tell("log_out")?;
    drop(first);

    let mut later = scene.peer("later")?;
    we_verify_them(scene, &mut later, &ours, &key)?;
    let agent = unlocked_agent(scene, &ours, &key)?;
    let held = later.ask(json!({ "do": "await_held", "names": SHARED }))?;
    scene.expect("our agent sends what they ask for", held, json!(SHARED))?;
    let backup = later.tell("backup")?;
    scene.expect("and they use the backup", &backup["active"], &json!(true))?;
    they_send(scene, &ours, USER_SIGNING, &key)?;
    ours.must(&["agent", "stop"], "")?;
    drop(agent);
    Ok(())
}

/// Their user sees something else than ours.
fn different_emoji(scene: &mut Scene<'_>, peer: &mut Peer, ours: &Device) -> Result<(), Failure> {
    let ours_id = own_id(ours)?;
    let mut program = asked_by_them(scene, peer, ours)?;
    peer.begin(json!({ "do": "compare" }))?;
    json_of(&mut program)?;
    peer.answer()?;
    let told = peer.tell("mismatch")?;
    scene.expect(
        "they say that it differs",
        told,
        json!({ "code": "m.mismatched_sas" }),
    )?;
    program.say("y")?;
    scene.expect("nothing is verified here", program.end()?, 8)?;
    peer.ask(json!({ "do": "await_device", "device": ours_id, "verified": false }))?;
    scene.expect("nor there", true, true)
}

/// They ask, we agree, and both sides show the same.
fn they_verify_us(scene: &mut Scene<'_>, peer: &mut Peer, ours: &Device) -> Result<(), Failure> {
    let ours_id = own_id(ours)?;
    let mut program = asked_by_them(scene, peer, ours)?;
    let verified = compare(scene, peer, &mut program)?;
    let holds_on = verified["pinned_master_key"].is_string();
    scene.expect("we hold on to the identity", holds_on, true)?;
    peer.ask(json!({ "do": "await_device", "device": ours_id, "verified": true }))?;
    scene.expect("they signed us", true, true)
}

/// They ask, we agree, and they begin.
fn asked_by_them(
    scene: &mut Scene<'_>,
    peer: &mut Peer,
    ours: &Device,
) -> Result<Conversation, Failure> {
    let ours_id = own_id(ours)?;
    // The first command that needs keys of this device makes them; the peer waits for them.
    let verify = ["device", "verify", "--emoji", "--json"];
    let mut program = Conversation::with(ours.start(&verify)?);
    peer.ask(json!({ "do": "request_verification", "device": ours_id }))?;
    let asked = json_of(&mut program)?;
    scene.same(
        "they ask us",
        &asked["requested_by"],
        &json!(peer.device_id()),
    )?;
    program.say("y")?;
    peer.tell("start_sas")?;
    Ok(program)
}

/// We ask, they agree, and both sides show the same. With the recovery key, we sign them.
fn we_verify_them(
    scene: &mut Scene<'_>,
    peer: &mut Peer,
    ours: &Device,
    key: &str,
) -> Result<(), Failure> {
    let ours_id = own_id(ours)?;
    let device = peer.device_id().to_owned();
    let verify = [
        "device",
        "verify",
        &device,
        "--json",
        "--recovery-key-file",
        key,
    ];
    let mut program = Conversation::with(ours.start(&verify)?);
    let asked = peer.tell("accept_verification")?;
    scene.same("we ask them", &asked["device"], &ours_id)?;
    let verified = compare(scene, peer, &mut program)?;
    let signed = &verified["is_device_signed"];
    scene.expect("we signed them", signed, &json!(true))?;
    peer.ask(json!({ "do": "await_device", "device": device, "verified": true }))?;
    scene.expect("and they see it", true, true)
}

/// Both show the same, both users say so; gives what our command says in the end.
fn compare(
    scene: &mut Scene<'_>,
    peer: &mut Peer,
    program: &mut Conversation,
) -> Result<Value, Failure> {
    peer.begin(json!({ "do": "compare" }))?;
    let ours = json_of(program)?;
    let theirs = peer.answer()?;
    let symbols = ours["emoji"].as_array().into_iter().flatten();
    let symbols: Vec<&Value> = symbols.map(|emoji| &emoji["symbol"]).collect();
    scene.same(
        "both show the same emoji",
        &json!(symbols),
        &theirs["emoji"],
    )?;
    scene.same("and numbers", &ours["decimals"], &theirs["decimals"])?;
    peer.begin(json!({ "do": "confirm" }))?;
    program.say("y")?;
    peer.answer()?;
    let verified = json_of(program)?;
    scene.same(
        "it is them",
        &verified["verified"],
        &json!(peer.device_id()),
    )?;
    Ok(verified)
}

/// Our command asks for a secret; what comes is what is in secret storage.
fn they_send(scene: &mut Scene<'_>, ours: &Device, name: &str, key: &str) -> Result<(), Failure> {
    let sent = ours.must(&["request", name], "")?;
    let stored = ours.must(&["get", name, "--recovery-key-file", key], "")?;
    scene.same(&format!("they send {name}"), &sent, &stored)
}

/// Starts the agent, and gives it the key.
fn unlocked_agent(scene: &Scene<'_>, ours: &Device, key: &str) -> Result<Conversation, Failure> {
    let policy = scene.write("policy.toml", &json!(POLICY))?;
    let start = ["agent", "--foreground", "--policy", &policy];
    let mut agent = Conversation::with(ours.start(&start)?);
    agent.hear()?;
    ours.must(&["unlock", "--recovery-key-file", key], "")?;
    Ok(agent)
}

fn json_of(program: &mut Conversation) -> Result<Value, Failure> {
    let line = program.hear()?;
    serde_json::from_str(&line)
        .map_err(|error| Failure::Check(format!("this is not JSON ({error}): {line}")))
}
