//! One-time keys, the fallback key, and files that are an older copy.

use std::time::Duration;

use super::*;
use crate::account::SyncAnswer;
use crate::testing::{Received, Reply, Server, once};

const HOUR_LONG: Duration = Duration::from_millis(HOUR);

fn is_told_restored(device: &mut Device) -> bool {
    let told = device.events.take_all();
    told.iter()
        .any(|event| matches!(event, DeviceEvent::Restored))
}

fn answer(count: u64, unused_fallback: bool) -> SyncAnswer {
    let unused = if unused_fallback {
        r#"["signed_curve25519"]"#
    } else {
        "[]"
    };
    serde_json::from_str(&format!(
        r#"{{"next_batch":"a","device_one_time_keys_count":{{"signed_curve25519":{count}}},
            "device_unused_fallback_key_types":{unused}}}"#
    ))
    .unwrap()
}

fn device() -> (Machine, Device) {
    let mut machine = Machine::new("https://h");
    let mut device = Device::create(&mut machine.state, &key(1)).unwrap();
    device.prepare_upload().unwrap().unwrap();
    device.uploaded(50).unwrap();
    (machine, device)
}

fn count(body: &Content, member: &str) -> usize {
    body.object(member)
        .map_or(0, |keys| keys.unwrap().members().count())
}

#[test]
fn the_server_is_filled_up_when_half_is_gone() {
    let (_machine, mut device) = device();
    device.observe_counts(&answer(25, true)).unwrap();
    assert!(device.prepare_upload().unwrap().is_none());
    device.observe_counts(&answer(24, true)).unwrap();
    let body = device.prepare_upload().unwrap().unwrap();
    assert_eq!(count(&body, "one_time_keys"), 26);
    assert_eq!(count(&body, "fallback_keys"), 0);
    assert!(body.raw("device_keys").is_none());
}

#[test]
fn a_server_that_always_wants_more_gets_no_more_than_so_many_in_an_hour() {
    let (_machine, mut device) = device();
    let mut made = 50;
    for _ in 0..20 {
        device.observe_counts(&answer(0, true)).unwrap();
        let Some(body) = device.prepare_upload().unwrap() else {
            break;
        };
        made += count(&body, "one_time_keys");
        device.uploaded(0).unwrap();
    }
    assert_eq!(made, 500);
    device.clock.advance(HOUR_LONG);
    device.observe_counts(&answer(0, true)).unwrap();
    let body = device.prepare_upload().unwrap().unwrap();
    assert_eq!(count(&body, "one_time_keys"), 50);
}

#[test]
fn a_fallback_key_that_was_used_is_replaced_and_kept_for_an_hour() {
    let (_machine, mut device) = device();
    device.observe_counts(&answer(50, false)).unwrap();
    assert!(device.prepare_upload().unwrap().is_none(), "too soon");
    device.clock.advance(HOUR_LONG);
    let body = device.prepare_upload().unwrap().unwrap();
    assert_eq!(count(&body, "fallback_keys"), 1);
    device.uploaded(50).unwrap();
    let forgets = |device: &Device| device.keys().unwrap().account.forget_fallback_key();
    device.observe_counts(&answer(50, true)).unwrap();
    device.rows.commit().unwrap();
    assert!(forgets(&device), "the older one is still there");
    device.clock.advance(HOUR_LONG);
    device.observe_counts(&answer(50, true)).unwrap();
    device.rows.commit().unwrap();
    assert!(!forgets(&device));
}

#[test]
fn more_keys_on_the_server_than_private_halves_show_an_older_copy() {
    let (_machine, mut device) = device();
    assert!(!device.observe_counts(&answer(50, true)).unwrap());
    assert!(device.observe_counts(&answer(51, true)).unwrap());
}

/// A server that holds so many one-time keys of a later state.
fn server_with(mut foreign: usize) -> impl FnMut(&Received) -> Reply + Send + 'static {
    move |request| match request.target.rsplit('/').next().unwrap() {
        "claim" => {
            let keys = if foreign == 0 {
                r#"{"signed_curve25519:AAAAAA":{"key":"x","fallback":true}}"#
            } else {
                foreign -= 1;
                r#"{"signed_curve25519:AAAAAA":{"key":"x"}}"#
            };
            Reply::json(
                200,
                format!(r#"{{"one_time_keys":{{"{USER}":{{"DEVICE":{keys}}}}}}}"#),
            )
        }
        "upload" if foreign > 0 => Reply::json(
            400,
            r#"{"errcode":"M_UNKNOWN","error":"One time key signed_curve25519:AAAAAA already exists. Old key: …"}"#,
        ),
        "upload" => Reply::json(200, r#"{"one_time_key_counts":{"signed_curve25519":50}}"#),
        _ => Reply::json(500, ""),
    }
}

// shows: AGT-13
#[tokio::test]
async fn an_older_copy_drops_its_sessions_and_replaces_its_keys() {
    let server = Server::start(server_with(3)).await;
    let (account, _) = server.account(&once());
    let mut machine = Machine::new(&server.base_url);
    let mut device = Device::create(&mut machine.state, &key(1)).unwrap();
    device.prepare_upload().unwrap().unwrap();
    device.uploaded(50).unwrap();
    let mut other = Machine::named("https://h", "OTHER");
    let mut other = Device::create(&mut other.state, &key(2)).unwrap();
    let to = peer(&other);
    let claimed = one_time_key(&mut other);
    device.begin_outbound(&to, &claimed).unwrap().unwrap();
    device.observe_counts(&answer(20, true)).unwrap();
    device.rows.commit().unwrap();
    assert!(device.has_session(&to).unwrap());

    device.upload_keys(&account).await.unwrap();
    assert!(is_told_restored(&mut device));
    assert!(!device.has_session(&to).unwrap());
    let paths: Vec<_> = server
        .received()
        .iter()
        .map(|request| request.target.rsplit('/').next().unwrap().to_owned())
        .collect();
    assert_eq!(
        paths,
        ["upload", "claim", "claim", "claim", "claim", "upload"]
    );
    // Not again on the same day, whatever the server says.
    assert!(!device.start_over(&account).await.unwrap());
}

#[tokio::test]
async fn another_refusal_is_no_older_copy() {
    let server = Server::scripted([Reply::error(400, "M_UNKNOWN")]).await;
    let (account, _) = server.account(&once());
    let mut machine = Machine::new(&server.base_url);
    let mut device = Device::create(&mut machine.state, &key(1)).unwrap();
    device.upload_keys(&account).await.unwrap_err();
    assert!(!is_told_restored(&mut device));
}
