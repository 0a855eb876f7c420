//! The second question before a request that matters: asked, and answered.

use super::interactive::{AuthData, Stage};
use super::state::Auth;
use crate::http::error::MatrixError;
use crate::store::UserId;

/// Passes when the dummy stage is done for `request`; otherwise the error is the challenge.
pub(crate) fn dummy(
    auth: &Auth,
    request: &'static str,
    given: Option<&AuthData>,
) -> Result<(), MatrixError> {
    let sessions = &auth.interactive;
    let session = sessions.session(request, None, given)?;
    let stage = given.and_then(|given| given.stage.as_deref());
    if stage != Some(Stage::Dummy.name()) {
        return sessions.challenge(request, None, session, Stage::Dummy, stage);
    }
    sessions.finish(session.as_deref());
    Ok(())
}

/// Passes when `given` holds the password of `user`; otherwise the error is the challenge.
pub(crate) async fn password(
    auth: &Auth,
    request: &'static str,
    user: &UserId,
    given: Option<&AuthData>,
) -> Result<(), MatrixError> {
    let sessions = &auth.interactive;
    let session = sessions.session(request, Some(user), given)?;
    let stage = given.and_then(|given| given.stage.as_deref());
    let Some(given) = given.filter(|_| stage == Some(Stage::Password.name())) else {
        return sessions.challenge(request, Some(user), session, Stage::Password, stage);
    };
    auth.rates.confirmation_per_user.take(user.as_str())?;
    let named = match &given.identifier {
        Some(identifier) if identifier.kind == "m.id.user" => identifier.user.as_deref(),
        Some(_) => Some("@"),
        None => given.user.as_deref(),
    };
    // A request that names no user means the owner of the token.
    let names = &auth.names;
    let same = named.is_none_or(|named| names.typed_user_id(named).as_ref() == Some(user));
    let password = given.password.clone().unwrap_or_default();
    let stored = auth.store.password_hash(user).await?;
    if auth.passwords.verify(password, stored).await? && same {
        sessions.finish(session.as_deref());
        return Ok(());
    }
    let fault = ("M_FORBIDDEN", "the password is wrong");
    Err(sessions.refuse(request, Some(user), session, Stage::Password, Some(fault)))
}
