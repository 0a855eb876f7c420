//! `/login`.

use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::answer;
use crate::app::address_key;
use crate::call::Call;
use crate::error::MatrixError;
use crate::interactive::UserIdentifier;
use crate::routes::Handled;
use crate::session::{LoginOptions, NewTokens};

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
    app.rates
        .login_per_address
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

    // A user of another server is checked like an unknown one of ours, in the same time.
    let user = app.typed_user_id(&typed).unwrap_or_else(|| app.user_id(""));
    app.rates.login_per_user.take(user.as_str())?;
    let stored = app.store.password_hash(&user).await?;
    if !app.passwords.verify(password, stored).await? {
        return Err(MatrixError::Forbidden(
            "the user name or the password is wrong",
        ));
    }
    let tokens = NewTokens::make(app, &user, &wanted.options, call.address)?;
    app.store
        .open_session(&user, tokens.session.clone())
        .await?;
    answer::json(&tokens.body(app, &user))
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
