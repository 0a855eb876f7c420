//! Calls with a token, on the wire.

use fourfold::{Content, EventState};

use super::Stored;
use crate::ErrorKind;
use crate::testing::{Received, Reply, Server, Store, TOKEN, USER, once};

const SYNC: &str = r#"{"next_batch": "1", "account_data": {"events": [
    {"type": "m.direct", "content": {"a":  1.50}},
    {"type": "m.broken", "content": 7},
    {"content": {}}, 7, {"type": "m.empty"},
    {"type": "m.null", "content": null}
]}}"#;

/// A server that answers `/sync`, and everything else with this.
async fn server(others: fn(&Received) -> Reply) -> Server {
    Server::start(
        move |request| match request.target.split('?').next().unwrap() {
            "/_matrix/client/v3/sync" => Reply::json(200, SYNC),
            _ => others(request),
        },
    )
    .await
}

#[tokio::test]
async fn a_snapshot_is_everything_about_secret_storage() {
    let server = server(|request| match request.target.as_str() {
        "/_matrix/client/v3/keys/query" => Reply::json(200, r#"{"device_keys": {}}"#),
        "/_matrix/client/v3/room_keys/version" => Reply::json(200, r#"{"version": "1"}"#),
        _ => Reply::html(404),
    })
    .await;
    let (account, _) = server.account(&once());
    let snapshot = account.snapshot().await.unwrap();
    assert_eq!(snapshot.user_id, USER);
    // As it came, with what is damaged beside it.
    assert_eq!(
        snapshot.account_data.raw("m.direct"),
        Some(r#"{"a":  1.50}"#)
    );
    assert!(matches!(
        snapshot.account_data.state("m.broken"),
        EventState::Malformed(_)
    ));
    assert!(matches!(
        snapshot.account_data.state("m.null"),
        EventState::Null
    ));
    assert_eq!(snapshot.account_data.event_types().count(), 3);
    let json: serde_json::Value = serde_json::from_str(&snapshot.to_json()).unwrap();
    assert_eq!(json["keys_query"], serde_json::json!({"device_keys": {}}));
    assert_eq!(json["backup_version"], serde_json::json!({"version": "1"}));

    let received = server.received();
    assert_eq!(received.len(), 3);
    for request in received {
        assert_eq!(request.headers["authorization"], format!("Bearer {TOKEN}"));
        if request.target.contains("/sync") {
            let url = format!("{}{}", server.base_url, request.target);
            let url = reqwest::Url::parse(&url).unwrap();
            let query: std::collections::BTreeMap<_, _> = url.query_pairs().collect();
            let filter: serde_json::Value = serde_json::from_str(&query["filter"]).unwrap();
            assert_eq!(filter["room"]["rooms"], serde_json::json!([]));
            assert!(filter.get("account_data").is_none());
            assert_eq!(
                (&*query["timeout"], &*query["set_presence"]),
                ("0", "offline")
            );
        } else if request.target.contains("/keys/query") {
            assert_eq!(request.body, r#"{"device_keys":{"@alice:example.org":[]}}"#);
        }
    }
}

#[tokio::test]
async fn a_server_without_keys_and_backups_is_fine() {
    for others in [
        (|_| Reply::error(404, "M_UNRECOGNIZED")) as fn(&Received) -> Reply,
        |_| Reply::error(400, "M_UNRECOGNIZED"),
        |_| Reply::html(404),
        |_| Reply::html(405),
    ] {
        let server = server(others).await;
        let (account, _) = server.account(&once());
        let snapshot = account.snapshot().await.unwrap();
        assert!(!snapshot.to_json().contains("keys_query"));
        assert_eq!(snapshot.backup_version(), None);
        assert!(account.key_backup().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn the_devices_are_there_for_an_examination_where_the_server_tells() {
    const DEVICES: &str = r#"{"devices": [{"device_id": "A"}]}"#;
    let told = |request: &Received| match request.target.as_str() {
        "/_matrix/client/v3/devices" => Reply::json(200, DEVICES),
        _ => Reply::html(404),
    };
    let failed = |request: &Received| match request.target.as_str() {
        "/_matrix/client/v3/devices" => Reply::error(500, "M_UNKNOWN"),
        _ => Reply::html(404),
    };
    for (others, devices) in [
        (told as fn(&Received) -> Reply, Some(DEVICES)),
        (failed, None),
        (|_| Reply::html(404), None),
    ] {
        let server = server(others).await;
        let (account, _) = server.account(&once());
        let snapshot = account.snapshot_with_devices().await.unwrap();
        assert_eq!(snapshot.devices(), devices);
        assert_eq!(snapshot.device_id(), account.device_id());
    }
}

/// A proxy that does not know the path says nothing of the account; the server does.
#[tokio::test]
async fn that_there_is_no_key_backup_is_told_from_not_knowing() {
    let server = server(|_| Reply::error(404, "M_NOT_FOUND")).await;
    let (account, _) = server.account(&once());
    let snapshot = account.snapshot().await.unwrap();
    assert_eq!(snapshot.backup_version(), Some("null"));
    assert!(!snapshot.has_key_backup());
    assert_eq!(snapshot.keys_query(), None);
    let kept = fourfold::Snapshot::from_json(&snapshot.to_json()).unwrap();
    assert_eq!(kept.backup_version(), Some("null"));
    assert!(account.key_backup().await.unwrap().is_none());
}

/// Synapse answers the same first sync from a cache for two minutes.
#[tokio::test]
async fn no_two_snapshots_ask_the_same() {
    let server = server(|_| Reply::html(404)).await;
    let (account, _) = server.account(&once());
    account.snapshot().await.unwrap();
    account.snapshot().await.unwrap();
    let mut asked: Vec<_> = server.received().into_iter().map(|it| it.target).collect();
    asked.retain(|target| target.contains("/sync"));
    assert_eq!(asked.len(), 2);
    assert_ne!(asked[0], asked[1]);
}

#[tokio::test]
async fn other_errors_fail_the_snapshot() {
    for (others, kind) in [
        (
            (|_| Reply::html(500)) as fn(&Received) -> Reply,
            ErrorKind::Server { status: 500 },
        ),
        (
            |_| Reply::html(403),
            ErrorKind::NotAHomeserver { status: 403 },
        ),
        (
            |_| Reply::error(401, "M_UNKNOWN_TOKEN"),
            ErrorKind::LoggedOut { soft: false },
        ),
    ] {
        let server = server(others).await;
        let (account, _) = server.account(&once());
        assert_eq!(account.snapshot().await.unwrap_err().kind(), &kind);
    }
    // A page that happens to be JSON is no empty account.
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let (account, _) = server.account(&once());
    let error = account.snapshot().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Malformed { to: "/sync" });
}

#[tokio::test]
async fn account_data_goes_there_and_back() {
    let store = Store::default();
    let answers = store.clone();
    let server = Server::start(move |request| answers.answer(request)).await;
    let (account, _) = server.account(&once());
    let event_type = "m.secret_storage.key.Me3n4Td/oh+h=..%2F?#";
    assert_eq!(account.account_data(event_type).await.unwrap(), None);
    let content = Content::from_json(r#"{"n": 123456789012345678901234567890}"#).unwrap();
    let before = account.read(event_type).await.unwrap();
    assert!(account.write(event_type, &content, &before).await.unwrap());
    assert_eq!(
        account.account_data(event_type).await.unwrap().as_deref(),
        Some(r#"{"n":123456789012345678901234567890}"#)
    );
    let path = "/_matrix/client/v3/user/%40alice%3Aexample.org/account_data/\
                m.secret_storage.key.Me3n4Td%2Foh%2Bh%3D..%252F%3F%23";
    for request in server.received() {
        assert_eq!(request.target, path);
    }
    // Exactly as it was received.
    for content in ["{}", " {\"a\" : 1.0 } ", "null", "[7]"] {
        store
            .0
            .lock()
            .unwrap()
            .insert("x".to_owned(), content.to_owned());
        assert_eq!(
            account.account_data("x").await.unwrap().as_deref(),
            Some(content)
        );
    }
    for event_type in ["", ".", "..", "a\nb", &"x".repeat(256)] {
        let error = account.account_data(event_type).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::InvalidSegment);
        assert!(account.write(event_type, &content, &before).await.is_err());
    }
}

#[tokio::test]
async fn only_the_homeserver_can_say_that_there_is_nothing() {
    for reply in [
        Reply::html(404),
        Reply::json(404, ""),
        Reply::json(404, "{}"),
        Reply::error(404, "M_UNRECOGNIZED"),
        Reply::error(403, "M_NOT_FOUND"),
        Reply::json(200, ""),
        Reply::json(204, ""),
    ] {
        let server = Server::scripted([reply]).await;
        let (account, _) = server.account(&once());
        account.account_data("m.direct").await.unwrap_err();
    }
}

#[tokio::test]
async fn a_refused_put_is_an_error() {
    let server = Server::scripted([Reply::error(413, "M_TOO_LARGE")]).await;
    let (account, _) = server.account(&once());
    let unknown = Stored {
        json: None,
        condition: None,
    };
    let content = Content::default();
    let error = account.write("a", &content, &unknown).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the server stores only smaller values"),
        "{error}"
    );
}

#[tokio::test]
async fn logging_out_twice_is_logging_out() {
    let server = Server::scripted([
        Reply::json(200, "{}"),
        Reply::error(401, "M_UNKNOWN_TOKEN"),
        Reply::error(403, "M_FORBIDDEN"),
    ])
    .await;
    let (account, _) = server.account(&once());
    account.log_out().await.unwrap();
    account.log_out().await.unwrap();
    assert!(account.log_out().await.is_err());
    let request = &server.received()[0];
    assert_eq!(
        (
            request.method.as_str(),
            request.target.as_str(),
            request.body.as_str()
        ),
        ("POST", "/_matrix/client/v3/logout", "{}")
    );
}

#[tokio::test]
async fn knows_who_it_is() {
    let body = format!(r#"{{"user_id":"{USER}","device_id":"DEVICE"}}"#);
    let server = Server::scripted([Reply::json(200, body)]).await;
    let (account, _) = server.account(&once());
    assert_eq!(
        (account.user_id(), account.device_id()),
        (USER, Some("DEVICE"))
    );
    let who = account.whoami().await.unwrap();
    assert_eq!(
        (who.user_id.as_str(), who.device_id.as_deref(), who.is_guest),
        (USER, Some("DEVICE"), false)
    );
    assert!(!format!("{account:?}").contains(TOKEN));
}
