//! Making accounts.

use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::app::App;
use crate::auth::interactive::AuthData;
use crate::auth::new_session::{LoginOptions, NewTokens};
use crate::auth::{account, confirmation, token};
use crate::call::Call;
use crate::http::address::address_key;
use crate::http::answer::{self, Handled};
use crate::http::error::MatrixError;
use crate::store::UserId;

/// The body of `POST /register`. A small type of our own, because `null` and absent must both pass
/// for each member, as clients send both.
#[derive(Deserialize)]
struct Registration {
    auth: Option<AuthData>,
    username: Option<String>,
    password: Option<Zeroizing<String>>,
    inhibit_login: Option<bool>,
    #[serde(flatten)]
    login: LoginOptions,
}

/// `POST /register`: the name is checked, then the flow, then the account is made.
pub(crate) async fn register(call: Call) -> Handled {
    let kind: Kind = call.query()?;
    if kind.kind.is_some_and(|kind| kind != "user") {
        return Err(MatrixError::Forbidden("only users may register here"));
    }
    check_open(&call.app)?;
    call.app
        .traffic
        .rates
        .registration_per_address
        .take(&address_key(call.address))?;
    let wanted: Registration = call.body()?;
    let user = match &wanted.username {
        Some(name) => free_name(&call.app, name).await?,
        None => call.app.auth.names.user_id(&random_localpart()?),
    };
    confirmation::dummy(&call.app.auth, "register", wanted.auth.as_ref())?;
    let password = wanted
        .password
        .ok_or(MatrixError::MissingParam("password"))?;
    if wanted.inhibit_login == Some(true) {
        account::create(&call.app.auth, &user, password, None).await?;
        return answer::json(&json!({
            "user_id": user.as_str(),
            "home_server": call.app.config.server_name,
        }));
    }
    let tokens = NewTokens::make(&call.app.auth, &user, &wanted.login, call.address)?;
    account::create(&call.app.auth, &user, password, Some(&tokens)).await?;
    answer::json(&tokens.body(&call.app.auth, &user))
}

/// `GET /register/available`.
pub(crate) async fn available(call: Call) -> Handled {
    check_open(&call.app)?;
    call.app
        .traffic
        .rates
        .registration_per_address
        .take(&address_key(call.address))?;
    let asked: Name = call.query()?;
    let name = asked
        .username
        .ok_or(MatrixError::MissingParam("username"))?;
    free_name(&call.app, &name).await?;
    answer::json(&json!({ "available": true }))
}

#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Name {
    username: Option<String>,
}

fn check_open(app: &App) -> Result<(), MatrixError> {
    if app.config.accounts.registration {
        return Ok(());
    }
    Err(MatrixError::Forbidden("registration is closed"))
}

async fn free_name(app: &App, name: &str) -> Result<UserId, MatrixError> {
    app.auth.names.check(name)?;
    let user = app.auth.names.user_id(name);
    match app.store.password_hash(&user).await? {
        Some(_) => Err(MatrixError::UserInUse),
        None => Ok(user),
    }
}

/// A name for whoever did not choose one, in the characters that names have.
fn random_localpart() -> Result<String, MatrixError> {
    let random = u64::from_be_bytes(token::random::<8>()?);
    Ok(format!("user-{random:016x}"))
}
