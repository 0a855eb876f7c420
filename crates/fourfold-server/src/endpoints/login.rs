//! `/login`.

use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::auth::interactive::UserIdentifier;
use crate::auth::new_session::{LoginOptions, NewTokens};
use crate::call::Call;
use crate::http::address::address_key;
use crate::http::answer::{self, Handled};
use crate::http::error::MatrixError;

/// `GET /login`.
pub(crate) async fn flows(_: Call) -> Handled {
    answer::json(&json!({ "flows": [{ "type": PASSWORD }] }))
}

/// `POST /login` with a password.
///
/// The answer has no `well_known`: it would send a client that reached us through one URL to
/// another.
pub(crate) async fn login(call: Call) -> Handled {
    let app = &call.app;
    app.traffic
        .rates
        .login
        .per_address
        .take(&address_key(call.address))?;
    let wanted: Login = call.body()?;
    match wanted.kind.as_deref() {
        Some(PASSWORD) => {}
        Some(_) => return Err(MatrixError::Unknown("this type of login is not supported")),
        None => return Err(MatrixError::MissingParam("type")),
    }
    let typed = match wanted.identifier {
        Some(UserIdentifier { kind, user }) if kind == "m.id.user" => user,
        Some(_) => {
            return Err(MatrixError::Unknown(
                "this type of identifier is not supported",
            ));
        }
        None => wanted.user,
    };
    let typed = typed.ok_or(MatrixError::MissingParam("identifier"))?;
    let password = wanted
        .password
        .ok_or(MatrixError::MissingParam("password"))?;

    // A user of another server, and a name that nobody can have, are checked like an unknown user of
    // ours, with the same work.
    let names = &app.auth.names;
    let user = names.typed_user_id(&typed);
    let user = user.unwrap_or_else(|| names.user_id(""));
    app.traffic.rates.login.per_user.take(user.as_str())?;
    let stored = app.store.password_hash(&user).await?;
    if !app.auth.passwords.verify(password, stored).await? {
        return Err(MatrixError::Forbidden(
            "the user name or the password is wrong",
        ));
    }
    let tokens = NewTokens::make(&app.auth, &user, &wanted.options, call.address)?;
    app.store
        .open_session(&user, tokens.session.clone())
        .await?;
    answer::json(&tokens.body(&app.auth, &user))
}

/// The body of `POST /login`. A small type of our own: `ruma`'s refuses the deprecated `user`
/// beside no identifier, and its errors cannot tell an unknown type from a malformed body.
#[derive(Deserialize)]
struct Login {
    #[serde(rename = "type")]
    kind: Option<String>,
    identifier: Option<UserIdentifier>,
    user: Option<String>,
    password: Option<Zeroizing<String>>,
    #[serde(flatten)]
    options: LoginOptions,
}

const PASSWORD: &str = "m.login.password";

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::Body;
    use bytes::Bytes;
    use tower::ServiceExt;

    use crate::store::sqlite::{Options, SqliteStore};
    use crate::store::{Condition, DeviceId, Origin, Scope, Store, Timestamp, UserId};
    use crate::{Config, Homeserver, PasswordCost};

    /// A server with one account, alice, that has a lot of data and was not used since the start.
    async fn started(folder: &std::path::Path) -> (Homeserver, Arc<SqliteStore>) {
        let open = || {
            let store = SqliteStore::open(&folder.join("store"), Options::new("localhost"));
            Arc::new(store.unwrap())
        };
        let serve = async |store: &Arc<SqliteStore>| {
            let mut config = Config::new("localhost", folder);
            config.accounts.password_cost = PasswordCost::minimal();
            let store: Arc<dyn Store> = Arc::clone(store) as _;
            Homeserver::with_store(config, store).await.unwrap()
        };
        let store = open();
        let homeserver = serve(&store).await;
        homeserver.create_account("alice", "right").await.unwrap();
        for number in 0..50 {
            let content = Bytes::from(vec![b'x'; 10_000]);
            let (alice, event_type) = (alice(), format!("m.{number}"));
            let put = store.put_account_data(
                &alice,
                Scope::global(),
                &event_type,
                content,
                Condition::Always,
                Origin {
                    device: DeviceId::new("D"),
                    at: Timestamp(0),
                },
            );
            put.await.unwrap();
        }
        homeserver.close().await;
        drop((homeserver, store));
        let store = open();
        (serve(&store).await, store)
    }

    fn alice() -> UserId {
        UserId::new("@alice:localhost")
    }

    async fn status(homeserver: &Homeserver, request: http::Request<Body>) -> u16 {
        let answer = homeserver.router().oneshot(request).await;
        answer.unwrap().status().as_u16()
    }

    /// Reads, accounts loaded and passwords hashed by a login with a wrong password.
    async fn login(homeserver: &Homeserver, store: &SqliteStore, name: &str) -> [usize; 3] {
        let before = (store.work(), homeserver.hashed());
        let user = serde_json::json!({ "type": "m.id.user", "user": name });
        let body = serde_json::json!({
            "type": "m.login.password", "identifier": user, "password": "wrong",
        });
        let request = http::Request::post("/_matrix/client/v3/login").body(body.to_string().into());
        assert_eq!(status(homeserver, request.unwrap()).await, 403, "{name}");
        let ([reads, loads], hashed) = (store.work(), homeserver.hashed());
        let ([reads_before, loads_before], hashed_before) = before;
        [
            reads - reads_before,
            loads - loads_before,
            hashed - hashed_before,
        ]
    }

    // shows: SRV-05
    #[tokio::test]
    async fn every_name_costs_the_same_work() {
        let folder = tempfile::tempdir().unwrap();
        let (homeserver, store) = started(folder.path()).await;
        let long = "x".repeat(10_000);
        let names = ["alice", "bob", "ALICE", "@alice:elsewhere", "", "@", &long];
        for name in names {
            let work = login(&homeserver, &store, name).await;
            assert_eq!(work, [1, 0, 1], "{name}");
        }
        // The same for an account that is in use.
        store.changes(&alice(), None).await.unwrap();
        let work = login(&homeserver, &store, "alice").await;
        assert_eq!(work, [1, 0, 1]);
        homeserver.close().await;
    }

    // shows: SRV-05
    #[tokio::test]
    async fn a_wrong_token_costs_the_same_work_for_every_name() {
        let folder = tempfile::tempdir().unwrap();
        let (homeserver, store) = started(folder.path()).await;
        let ask = async |name: &str| {
            let before = store.work();
            let token = crate::auth::token::Token::access(name).unwrap();
            let request = http::Request::get("/_matrix/client/v3/devices")
                .header("authorization", format!("Bearer {}", token.expose()))
                .body(Body::empty());
            assert_eq!(status(&homeserver, request.unwrap()).await, 401, "{name}");
            let after = store.work();
            [after[0] - before[0], after[1] - before[1]]
        };
        assert_eq!(ask("alice").await, [1, 0]);
        assert_eq!(ask("bob").await, [1, 0]);
        store.changes(&alice(), None).await.unwrap();
        assert_eq!(ask("alice").await, [1, 0]);
        // No account can have such a name, as the rules for names say.
        assert_eq!(ask("ALICE").await, [0, 0]);
        homeserver.close().await;
    }
}
