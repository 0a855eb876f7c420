//! Looks for what is secret in everything that is logged, kept or said.

use std::fmt::{self, Write as _};
use std::fs;
use std::sync::{Arc, Mutex};

use fourfold::judged::{Cleared, Writable};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

use crate::testing::{Received, Reply, Server, Store, TOKEN, USER, all_texts, once, session};
use crate::{Client, LocalState, Options, Password, SealingKey, apply};

/// Keeps everything that is logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        let mut log = self.0.lock().unwrap();
        write!(log, "\n{}", attributes.metadata().name()).unwrap();
        attributes.record(&mut Fields(&mut log));
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Fields(&mut self.0.lock().unwrap()));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut log = self.0.lock().unwrap();
        write!(log, "\n{}", event.metadata().target()).unwrap();
        event.record(&mut Fields(&mut log));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

// shows: LIB-18, CLI-05
#[tokio::test]
async fn tokens_passwords_and_contents_are_neither_logged_nor_said() {
    const PASSWORD: &str = "canary_password";
    const CONTENT: &str = "canary_content";
    let log = Log::default();
    // With a single subscriber, tests in other threads, which have none, would decide what is
    // logged here.
    let _second = tracing::Dispatch::new(Log::default());
    let _guard = tracing::subscriber::set_default(log.clone());
    let store = Store::default();
    let answers = store.clone();
    let server =
        Server::start(
            move |request: &Received| match request.target.split('?').next().unwrap() {
                "/_matrix/client/versions" => Reply::json(200, r#"{"versions":[]}"#),
                "/_matrix/client/v3/login" => Reply::json(
                    200,
                    format!(r#"{{"user_id":"{USER}","access_token":"{TOKEN}","device_id":"D"}}"#),
                ),
                "/_matrix/client/v3/sync" => Reply::json(
                    200,
                    format!(
                        r#"{{"next_batch":"1","account_data":{{"events":[
                        {{"type":"org.example","content":{{"a":"{CONTENT}"}}}},
                        {{"content":"{CONTENT}"}}]}}}}"#
                    ),
                ),
                target if target.contains("/account_data/") => answers.answer(request),
                _ => Reply::html(404),
            },
        )
        .await;
    let homeserver = crate::Homeserver::discover_with(&server.base_url, &once())
        .await
        .unwrap();
    let session = homeserver
        .log_in(USER, &Password::new(PASSWORD))
        .session()
        .await
        .unwrap();
    let account = homeserver.account(session.clone()).unwrap();
    let snapshot = account.snapshot().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("state");
    let mut state = LocalState::create(&folder, &session).unwrap();
    state.pin(&snapshot).unwrap();
    let step = format!(
        r#"{{"title":"t","warnings":[],"steps":[{{"reason":"r","action":{{"put_account_data":
            {{"event_type":"org.example","content":{{"a":"{CONTENT}"}}}}}}}}]}}"#
    );
    let plan: fourfold::Plan = step.parse().unwrap();
    apply(
        &account,
        &mut state,
        Cleared::without_comparing(&plan),
        None,
        |_| {},
    )
    .await
    .unwrap();
    assert!(store.0.lock().unwrap()["org.example"].contains(CONTENT));
    let said = format!(
        "{homeserver:?} {session:?} {account:?} {snapshot:?} {state:?} {}",
        all_texts(&account.whoami().await.unwrap_err()),
    );
    state.forget_session().unwrap();
    drop(state);

    let log = log.0.lock().unwrap().clone();
    assert!(log.contains("\nwrite "), "the log works: {log}");
    for canary in [TOKEN, PASSWORD, CONTENT, "CANARY PAGE"] {
        assert!(!log.contains(canary), "{log}");
        assert!(!said.contains(canary), "{said}");
        for entry in fs::read_dir(&folder).unwrap() {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            let is_there = bytes
                .windows(canary.len())
                .any(|window| window == canary.as_bytes());
            assert!(!is_there, "{canary} is left in a file");
        }
    }
    for request in server.received() {
        let may_have_token = request.target.contains("/v3/") && !request.target.ends_with("/login");
        assert_eq!(
            request.headers.contains_key("authorization"),
            may_have_token
        );
        assert!(!request.target.contains(TOKEN));
    }
}

#[test]
fn every_future_can_move_between_threads() {
    fn movable(_: impl Send) {}
    let account = crate::Account::new(session("http://localhost"), &Options::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("state");
    let mut state = LocalState::create(&folder, &session("http://localhost")).unwrap();
    movable(account.snapshot());
    movable(account.account_data("a"));
    movable(crate::Homeserver::discover("a"));
    let snapshot = fourfold::Snapshot::new(USER, Default::default(), None, None).unwrap();
    let now = Writable::accepted(snapshot);
    movable(crate::resume(&account, &mut state, &now, None, |_| {}));
    let client = Client::from_parts(account, state, SealingKey::from_bytes(&[7; 32]));
    let name = fourfold::SecretName::master_key();
    movable(client.device().request(&name));
    movable(client.device().share(
        vec![],
        Default::default(),
        &mut crate::NoSecrets::new(),
        |_| {},
    ));
    fn shareable(_: &impl Sync) {}
    shareable(&client);
}
