//! What a device asks for and does not get: the homeserver cannot tell why.

use serde_json::json;

use crate::hostile_requests::Answering;
use crate::liar::{BACKUP, SELF_SIGNING, USER_SIGNING};

const REQUESTS: usize = 1000;
/// How many come with one answer of the homeserver.
const AT_ONCE: usize = 250;

/// What the homeserver sees of the agent while such requests come: every call, without what counts
/// on by itself, and the size of its body.
fn seen(scene: &mut Answering, kind: &str, device_id: &str, name: &str) -> Vec<(String, usize)> {
    let before = scene.liar.proxy.seen().len();
    for batch in 0..REQUESTS / AT_ONCE {
        let events = (0..AT_ONCE).map(|number| {
            let mut content = scene
                .phone
                .request(&format!("{kind} {batch} {number}"), name);
            content["requesting_device_id"] = json!(device_id);
            scene.event(&scene.phone.user_id, &content)
        });
        scene.liar.inject(events.collect());
        scene.settle();
    }
    let all = scene.liar.proxy.seen();
    let calls = all[before..].iter().map(|(request, _)| {
        let line = request.first_line();
        let parts = line.split(['?', '&']);
        let parts: Vec<_> = parts.filter(|part| !part.starts_with("since=")).collect();
        (parts.join("&"), request.body.len())
    });
    calls.collect()
}

// shows: SHR-18, RQ-11
#[test]
fn a_thousand_requests_look_the_same_whatever_the_reason_for_silence() {
    let mut scene = Answering::with(&[
        ("org.example.none", "allow"),
        (BACKUP, "allow"),
        (SELF_SIGNING, "deny"),
        (USER_SIGNING, "ask"),
    ]);
    let stranger = scene.liar.stranger();
    // More of these are not answered within the hour.
    for number in 0..3 {
        let id = format!("allowed {number}");
        scene.phone.ask(&scene.laptop, &id, BACKUP);
        scene.phone.wait_for_answer(&id);
    }
    scene.settle();
    let phone = scene.phone.device_id.clone();
    let mut all = Vec::new();
    for (kind, device_id, name) in [
        ("had, too often", phone.as_str(), BACKUP),
        ("had, nobody says yes", &phone, USER_SIGNING),
        ("had, denied", &phone, SELF_SIGNING),
        ("not had", &phone, "org.example.none"),
        ("not had, not named", &phone, "org.example.other"),
        ("had, not trusted", &stranger.device_id, BACKUP),
        ("had, nobody's", "NOBODY", BACKUP),
    ] {
        all.push((kind, seen(&mut scene, kind, device_id, name)));
    }
    let (_, first) = &all[0];
    assert!(
        first.iter().all(|(line, _)| line.contains("/sync")),
        "{first:?}"
    );
    assert!(first.len() >= REQUESTS / AT_ONCE, "{first:?}");
    for (kind, calls) in &all {
        assert_eq!(calls, first, "{kind}");
    }
    assert_eq!(scene.liar.sent().len(), 3);
}
