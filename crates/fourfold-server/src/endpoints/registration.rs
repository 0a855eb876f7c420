//! Making accounts.

use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::app::{App, address_key, check_localpart};
use crate::auth::interactive::{AuthData, Interactive};
use crate::auth::token;
use crate::call::Call;
use crate::endpoints::session::{LoginOptions, NewTokens};
use crate::http::answer;
use crate::http::error::MatrixError;
use crate::routes::Handled;
use crate::store::{NewAccount, UserId};

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
        .rates
        .registration_per_address
        .take(&address_key(call.address))?;
    let wanted: Registration = call.body()?;
    let user = match &wanted.username {
        Some(name) => free_name(&call.app, name).await?,
        None => call.app.user_id(&random_localpart()?),
    };
    Interactive::dummy(&call.app, "register", wanted.auth.as_ref())?;
    let password = wanted
        .password
        .ok_or(MatrixError::MissingParam("password"))?;
    if wanted.inhibit_login == Some(true) {
        create(&call.app, &user, password, None).await?;
        return answer::json(&json!({
            "user_id": user.as_str(),
            "home_server": call.app.config.server_name,
        }));
    }
    let tokens = NewTokens::make(&call.app, &user, &wanted.login, call.address)?;
    create(&call.app, &user, password, Some(&tokens)).await?;
    answer::json(&tokens.body(&call.app, &user))
}

/// `GET /register/available`.
pub(crate) async fn available(call: Call) -> Handled {
    check_open(&call.app)?;
    call.app
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

/// Makes an account; the name must have been checked.
pub(crate) async fn create(
    app: &App,
    user: &UserId,
    password: Zeroizing<String>,
    tokens: Option<&NewTokens>,
) -> Result<(), MatrixError> {
    if password.is_empty() || password.len() > LONGEST_PASSWORD {
        return Err(MatrixError::WeakPassword);
    }
    let account = NewAccount {
        password_hash: app.passwords.hash(password).await?,
        created_at: app.config.clock.now(),
        session: tokens.map(|tokens| tokens.session.clone()),
    };
    Ok(app.store.create_account(user, account).await?)
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
    if app.config.registration {
        return Ok(());
    }
    Err(MatrixError::Forbidden("registration is closed"))
}

async fn free_name(app: &App, name: &str) -> Result<UserId, MatrixError> {
    check_localpart(name, &app.config.server_name)?;
    let user = app.user_id(name);
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

/// Beyond this a password is an attack on the hash function.
const LONGEST_PASSWORD: usize = 1024;
