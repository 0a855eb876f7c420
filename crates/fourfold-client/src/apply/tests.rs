//! Plans against servers that break off, forget, lie, or are written to by somebody else.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fourfold::judged::{Cleared, Writable};
use fourfold::plan::{Destination, Found, StepState, WritingKey};
use fourfold::{
    AccountData, Content, NewKey, Plan, PublishedKeys, Secret, SecretName, SecretStorage,
    SecretStorageKey, Snapshot, plan,
};
use tokio::sync::Notify;

use super::*;
use crate::testing::{Fixed, Received, Reply, Server, Store, USER, once, session};
use crate::{ErrorKind, LocalState, Options};

/// The account as it is now, which the user accepts.
fn now() -> Writable {
    Writable::accepted(Snapshot::new(USER, Default::default(), None, None).unwrap())
}

/// An account whose key is going to be rotated.
struct Rotation {
    before: AccountData,
    after: AccountData,
    old: NewKey,
    new: NewKey,
    names: Vec<SecretName>,
    plan: Plan,
}

impl Rotation {
    fn new(secrets: usize) -> Self {
        let mut rng = Fixed(0);
        let (old, new) = (
            NewKey::random(None, &mut rng),
            NewKey::random(None, &mut rng),
        );
        let mut before = AccountData::default();
        let set_up = plan::set_up(&SecretStorage::new(&before), &old).unwrap();
        set_up.apply_to(&mut before);
        let mut names = Vec::new();
        for index in 0..secrets {
            let name = SecretName::new(format!("org.example.secret.{index}")).unwrap();
            let secret = Secret::new(name.as_str());
            let keys = [WritingKey::Proven(old.key())];
            let storage = SecretStorage::new(&before);
            let published_keys = PublishedKeys::default();
            plan::store(&storage, &name, &secret, &keys, &published_keys, &mut rng)
                .unwrap()
                .apply_to(&mut before);
            names.push(name);
        }
        let plan = plan::rotate(
            &SecretStorage::new(&before),
            old.key().key(),
            Destination::New(&new),
            &PublishedKeys::default(),
            &mut rng,
        )
        .unwrap();
        let mut after = before.clone();
        plan.apply_to(&mut after);
        Self {
            before,
            after,
            old,
            new,
            names,
            plan,
        }
    }

    fn cleared(&self) -> Cleared<'_> {
        Cleared::without_comparing(&self.plan)
    }

    fn event_type(&self, index: usize) -> String {
        let put = self.plan.account_data().nth(index).unwrap();
        put.event_type.clone()
    }

    fn store(&self) -> Store {
        let store = Store::default();
        store.set(&self.before);
        store
    }

    /// Anyone who has the key that is the default opens everything.
    fn assert_usable(&self, store: &Store, when: &str) {
        let account_data = store.account_data();
        let storage = SecretStorage::new(&account_data);
        let default = storage.default_key();
        let id = default
            .key_id()
            .unwrap_or_else(|| panic!("{when}: {default:?}"));
        let key = [&self.old, &self.new]
            .into_iter()
            .find(|key| key.key().id() == id)
            .unwrap_or_else(|| panic!("{when}: {id}"));
        storage
            .prove(again(key))
            .unwrap_or_else(|_| panic!("{when}"));
        for name in &self.names {
            let opened = storage
                .open(name, key.key().key())
                .unwrap_or_else(|error| panic!("{when}: {name}: {error}"));
            assert_eq!(opened.secret.expose_secret(), name.as_str(), "{when}");
        }
    }

    fn assert_complete(&self, store: &Store, state: &LocalState, when: &str) {
        assert!(state.journal().unwrap().is_none(), "{when}");
        let stored = store.account_data();
        for event_type in self.after.event_types() {
            let wanted = Content::from_json(self.after.raw(event_type).unwrap()).unwrap();
            let found = Content::from_json(stored.raw(event_type).unwrap()).unwrap();
            assert!(wanted.is_same(&found), "{when}: {event_type}");
        }
        self.assert_usable(store, when);
    }
}

/// A key once more, because proving takes it.
fn again(key: &NewKey) -> SecretStorageKey {
    let recovery_key = key.key().key().expose_recovery_key();
    SecretStorageKey::from_recovery_key(key.description(), &recovery_key).unwrap()
}

fn state(folder: &Path) -> LocalState {
    LocalState::create(&folder.join("state"), &session("http://localhost")).unwrap()
}

/// What happens at one call of many.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Crash {
    /// The connection breaks before the server has understood.
    ConnectionBefore,
    /// The server has done it, and then the connection breaks.
    ConnectionAfter,
    /// The process ends before the server has understood.
    ProcessBefore,
    /// The server has done it, and the process ends before the answer.
    ProcessAfter,
}

/// A server at which the call with this number goes wrong.
async fn crashing(store: &Store, at: usize, crash: Crash) -> (Server, Arc<Notify>) {
    let (store, calls) = (store.clone(), AtomicUsize::new(0));
    let reached = Arc::new(Notify::new());
    let notify = Arc::clone(&reached);
    let server = Server::start(move |request| {
        if calls.fetch_add(1, Ordering::Relaxed) != at {
            return store.answer(request);
        }
        notify.notify_one();
        if matches!(crash, Crash::ConnectionAfter | Crash::ProcessAfter) {
            store.answer(request);
        }
        match crash {
            Crash::ConnectionBefore | Crash::ConnectionAfter => Reply::Drop,
            Crash::ProcessBefore | Crash::ProcessAfter => Reply::Hang(String::new()),
        }
    })
    .await;
    (server, reached)
}

async fn survives(crash: Crash, secrets: usize) {
    let rotation = Rotation::new(secrets);
    let mut calls = 0;
    loop {
        let when = format!("{crash:?} at call {calls}");
        let store = rotation.store();
        let folder = tempfile::tempdir().unwrap();
        let mut local = state(folder.path());
        let (server, reached) = crashing(&store, calls, crash).await;
        let (account, _) = server.account(&once());
        let is_over = tokio::select! {
            biased;
            result = apply(&account, &mut local, rotation.cleared(), None, |_| {}) => match result {
                Ok(()) => true,
                Err(ApplyError::Request { .. }) => false,
                Err(error) => panic!("{when}: {error}"),
            },
            () = async {
                reached.notified().await;
                if matches!(crash, Crash::ConnectionBefore | Crash::ConnectionAfter) {
                    std::future::pending::<()>().await;
                }
            } => false,
        };
        rotation.assert_usable(&store, &when);
        if is_over {
            rotation.assert_complete(&store, &local, &when);
            break;
        }
        // Another process goes on.
        drop(local);
        let mut local = LocalState::open(&folder.path().join("state"), USER).unwrap();
        let resumed = resume(&account, &mut local, &now(), None, |_| {}).await;
        let plan = resumed.unwrap_or_else(|error| panic!("{when}: {error}"));
        assert!(plan.is_some(), "{when}");
        rotation.assert_complete(&store, &local, &when);
        assert!(
            resume(&account, &mut local, &now(), None, |_| {})
                .await
                .unwrap()
                .is_none()
        );
        calls += 1;
    }
    // Every step is read, written and read again.
    assert_eq!(calls, rotation.plan.steps.len() * 3);
    assert_eq!(rotation.plan.steps.len(), 2 * secrets + 3);
}

// shows: STO-10
#[tokio::test]
async fn survives_a_connection_that_breaks_before_any_call() {
    survives(Crash::ConnectionBefore, 20).await;
}

// shows: STO-10
#[tokio::test]
async fn survives_a_connection_that_breaks_after_any_call() {
    survives(Crash::ConnectionAfter, 20).await;
}

// shows: STO-10
#[tokio::test]
async fn survives_the_end_of_the_process_before_any_call() {
    survives(Crash::ProcessBefore, 4).await;
}

// shows: STO-10
#[tokio::test]
async fn survives_the_end_of_the_process_after_any_call() {
    survives(Crash::ProcessAfter, 4).await;
}

#[tokio::test]
async fn every_step_is_told() {
    let rotation = Rotation::new(1);
    let store = rotation.store();
    let (server, _) = crashing(&store, usize::MAX, Crash::ConnectionBefore).await;
    let (account, _) = server.account(&once());
    let folder = tempfile::tempdir().unwrap();
    let mut local = state(folder.path());
    let mut told = Vec::new();
    apply(&account, &mut local, rotation.cleared(), None, |progress| {
        assert_eq!(progress.total, 5);
        assert_eq!(
            progress.step.reason,
            rotation.plan.steps[progress.index].reason
        );
        told.push((progress.index, progress.state));
    })
    .await
    .unwrap();
    let expected: Vec<_> = (0..5)
        .flat_map(|index| {
            [
                (index, StepProgress::Writing),
                (index, StepProgress::Written),
            ]
        })
        .collect();
    assert_eq!(told, expected);

    // Once more: nothing is written, although the first write of the secret is not to be seen.
    local.begin(&rotation.plan).unwrap();
    let before = server.received().len();
    told.clear();
    resume(&account, &mut local, &now(), None, |progress| {
        told.push((progress.index, progress.state))
    })
    .await
    .unwrap();
    let expected: Vec<_> = (0..5).map(|index| (index, StepProgress::Skipped)).collect();
    assert_eq!(told, expected);
    assert!(
        server.received()[before..]
            .iter()
            .all(|request| request.method == "GET")
    );
}

#[test]
fn a_later_step_tells_that_an_earlier_one_was_done() {
    let rotation = Rotation::new(1);
    let steps: Vec<_> = rotation.plan.account_data().collect();
    let (first, second) = (1, 3);
    assert_eq!(steps[first].event_type, steps[second].event_type);
    let in_plan =
        |index: usize, now: Option<&str>| rotation.plan.state_of(index, Found::AccountData(now));
    let at = |index, now: &str| in_plan(index, Some(now));
    let before = rotation.before.raw(&steps[first].event_type).unwrap();
    let (between, after) = (
        steps[first].content.to_json(),
        steps[second].content.to_json(),
    );
    // In the order in which it happens.
    assert_eq!(
        (at(first, before), at(second, before)),
        (StepState::Due, StepState::Conflict)
    );
    assert_eq!(
        (at(first, &between), at(second, &between)),
        (StepState::Done, StepState::Due)
    );
    assert_eq!(
        (at(first, &after), at(second, &after)),
        (StepState::Done, StepState::Done)
    );
    // The step alone could not know.
    assert_eq!(steps[first].state(Some(&after)), StepState::Conflict);
    // What nobody planned stays a conflict, and so does what another event would be.
    for now in [
        "{}",
        r#"{"encrypted":{}}"#,
        &steps[0].content.to_json(),
        "null",
        "<",
    ] {
        assert_eq!(at(first, now), StepState::Conflict, "{now}");
    }
    assert_eq!(in_plan(first, None), StepState::Conflict);
}

// shows: STO-02
#[tokio::test]
async fn a_change_by_somebody_else_stops_the_plan_and_keeps_the_journal() {
    let rotation = Rotation::new(3);
    let theirs = r#"{"encrypted":{"other":{}}}"#;
    for index in 0..rotation.plan.steps.len() {
        let store = rotation.store();
        let target = rotation.event_type(index);
        // Somebody else writes just before the step is due.
        let (answers, wanted) = (store.clone(), target.clone());
        let puts = AtomicUsize::new(0);
        let server = Server::start(move |request: &Received| {
            if request.method == "PUT" {
                puts.fetch_add(1, Ordering::Relaxed);
            } else if puts.load(Ordering::Relaxed) == index {
                answers
                    .0
                    .lock()
                    .unwrap()
                    .insert(wanted.clone(), theirs.to_owned());
            }
            answers.answer(request)
        })
        .await;
        let (account, _) = server.account(&once());
        let folder = tempfile::tempdir().unwrap();
        let mut local = state(folder.path());
        let result = apply(&account, &mut local, rotation.cleared(), None, |_| {}).await;
        // The step before it is read back in between: then that is where it is noticed.
        match result.unwrap_err() {
            ApplyError::Conflict { action, step } => {
                assert!(action.to_string().ends_with(&target), "{action}");
                assert_eq!(step, index);
            }
            error => panic!("{index}: {error}"),
        }
        assert!(local.journal().unwrap().is_some());
        assert_eq!(store.0.lock().unwrap()[&target], theirs);
        // Nothing of it is pinned, and it can be given up.
        assert!(local.begin(&Rotation::new(1).plan).is_err());
        local.abandon().unwrap();
        assert!(local.journal().unwrap().is_none());
    }
}

// shows: STO-10, MS-02
#[tokio::test]
async fn a_server_that_forgets_or_alters_what_was_written_is_found_out() {
    let rotation = Rotation::new(2);
    for lie in [None, Some("{}"), Some("null"), Some(r#"{"encrypted":{}}"#)] {
        for index in 0..rotation.plan.steps.len() {
            let put = rotation.plan.account_data().nth(index).unwrap();
            if put.is_removal() && lie.is_some() {
                continue;
            }
            let store = rotation.store();
            let (answers, puts) = (store.clone(), AtomicUsize::new(0));
            let server = Server::start(move |request: &Received| {
                if request.method == "PUT" && puts.fetch_add(1, Ordering::Relaxed) == index {
                    if let Some(lie) = lie {
                        answers.answer(&Received {
                            body: lie.to_owned(),
                            ..request.clone()
                        });
                    }
                    return Reply::json(200, "{}");
                }
                answers.answer(request)
            })
            .await;
            let (account, _) = server.account(&once());
            let folder = tempfile::tempdir().unwrap();
            let mut local = state(folder.path());
            let error = apply(&account, &mut local, rotation.cleared(), None, |_| {})
                .await
                .unwrap_err();
            let ApplyError::ReadBack { action, step } = error else {
                panic!("{error}");
            };
            assert!(action.to_string().ends_with(&put.event_type), "{action}");
            assert_eq!(step, index);
            assert!(local.journal().unwrap().is_some());
            let puts = server
                .received()
                .iter()
                .filter(|request| request.method == "PUT")
                .count();
            assert_eq!(puts, index + 1, "nothing is written after it");
            if lie.is_none() {
                resume(&account, &mut local, &now(), None, |_| {})
                    .await
                    .unwrap();
                rotation.assert_complete(&store, &local, "afterwards");
            }
        }
    }
}

#[tokio::test]
async fn a_log_out_in_the_middle_is_survived_by_logging_in_again() {
    let rotation = Rotation::new(2);
    let store = rotation.store();
    let (answers, calls) = (store.clone(), AtomicUsize::new(0));
    let server =
        Server::start(
            move |request: &Received| match calls.fetch_add(1, Ordering::Relaxed) {
                7..9 => Reply::error(401, "M_UNKNOWN_TOKEN"),
                _ => answers.answer(request),
            },
        )
        .await;
    let (account, _) = server.account(&Options::default());
    let folder = tempfile::tempdir().unwrap();
    let mut local = state(folder.path());
    let error = apply(&account, &mut local, rotation.cleared(), None, |_| {})
        .await
        .unwrap_err();
    let ApplyError::Request {
        source, step: 2, ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(source.kind(), &ErrorKind::LoggedOut { soft: false });
    rotation.assert_usable(&store, "logged out");
    drop(local);
    let mut local = state(folder.path());
    drop(
        resume(&account, &mut local, &now(), None, |_| {})
            .await
            .unwrap_err(),
    );
    assert!(
        resume(&account, &mut local, &now(), None, |_| {})
            .await
            .unwrap()
            .is_some()
    );
    rotation.assert_complete(&store, &local, "logged in again");
}

#[tokio::test]
async fn what_was_written_is_pinned() {
    let rotation = Rotation::new(2);
    let store = rotation.store();
    let (server, _) = crashing(&store, usize::MAX, Crash::ConnectionBefore).await;
    let (account, _) = server.account(&once());
    let folder = tempfile::tempdir().unwrap();
    let mut local = state(folder.path());
    apply(&account, &mut local, rotation.cleared(), None, |_| {})
        .await
        .unwrap();
    let compare = |account_data: &AccountData| {
        let snapshot = Snapshot::new(USER, account_data.clone(), None, None).unwrap();
        local.compare(&snapshot).unwrap()
    };
    assert_eq!(compare(&rotation.after), []);
    // Back to before the rotation: everything that it touched is noticed, on a first use too.
    let changes = compare(&rotation.before);
    let rolled_back = |change: &&fourfold::history::Change| {
        matches!(change, fourfold::history::Change::RolledBack { .. })
    };
    assert_eq!(
        changes.iter().filter(rolled_back).count(),
        2 + 2,
        "{changes:?}"
    );
    assert!(changes.iter().any(fourfold::history::Change::is_suspicious));
}

#[tokio::test]
async fn the_state_of_another_account_is_not_used() {
    let rotation = Rotation::new(1);
    let server = Server::scripted([]).await;
    let (account, _) = server.account(&once());
    let folder = tempfile::tempdir().unwrap();
    let other = crate::Session::new("https://h", "@bob:h", None, crate::AccessToken::new("t"));
    let mut local = LocalState::create(&folder.path().join("state"), &other).unwrap();
    let result = apply(&account, &mut local, rotation.cleared(), None, |_| {}).await;
    assert!(matches!(result, Err(ApplyError::OtherAccount)));
    assert!(local.journal().unwrap().is_none());
    assert!(server.received().is_empty());
}
