//! New sessions and refreshed ones: their device, their tokens, and the answers that hand them out.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Value, json};

use super::state::Auth;
use super::token::{self, Token};
use crate::http::error::MatrixError;
use crate::store::{DeviceId, NewSession, TokenPair, UserId};

/// The parameters of a session that a client may choose with `/login` and `/register`.
#[derive(Deserialize)]
pub(crate) struct LoginOptions {
    device_id: Option<String>,
    initial_device_display_name: Option<String>,
    refresh_token: Option<bool>,
}

/// A session to be opened, with its tokens in clear.
#[derive(Debug)]
pub(crate) struct NewTokens {
    pub(crate) session: NewSession,
    access: Token,
    refresh: Option<Token>,
}

impl NewTokens {
    /// Makes tokens, and a device ID when the client chose none.
    pub(crate) fn make(
        auth: &Auth,
        user: &UserId,
        options: &LoginOptions,
        address: IpAddr,
    ) -> Result<Self, MatrixError> {
        let device = match &options.device_id {
            Some(device) => chosen_device_id(device)?,
            None => DeviceId::new(random_device_id()?),
        };
        let mut display_name = options.initial_device_display_name.clone();
        check_display_name(display_name.as_deref())?;
        display_name.take_if(|name| name.is_empty());
        let (access, refresh, tokens) = make_pair(auth, user, options.refresh_token == Some(true))?;
        let session = NewSession {
            device,
            display_name,
            tokens,
            opened_at: auth.clock.now(),
            address: Some(address.to_string()),
        };
        Ok(Self {
            session,
            access,
            refresh,
        })
    }

    /// The answer that hands the tokens out.
    pub(crate) fn body(&self, auth: &Auth, user: &UserId) -> Value {
        let mut body = json!({
            "user_id": user.as_str(),
            "home_server": auth.names.server(),
            "device_id": self.session.device.as_str(),
        });
        add_tokens(&mut body, auth, &self.access, self.refresh.as_ref());
        body
    }
}

/// Trades a refresh token for new tokens; `None` when it is unknown.
pub(crate) async fn refresh(auth: &Auth, presented: &str) -> Result<Option<Value>, MatrixError> {
    let Some((localpart, hash)) = token::parse_refresh(presented) else {
        return Ok(None);
    };
    let Some(user) = auth.names.possible_user_id(&localpart) else {
        return Ok(None);
    };
    let (access, refresh, tokens) = make_pair(auth, &user, true)?;
    let now = auth.clock.now();
    let refreshed = auth.store.refresh_session(&user, &hash, tokens, now);
    if refreshed.await?.is_none() {
        return Ok(None);
    }
    let mut body = json!({});
    add_tokens(&mut body, auth, &access, refresh.as_ref());
    Ok(Some(body))
}

/// Refuses a display name beyond reason.
pub(crate) fn check_display_name(name: Option<&str>) -> Result<(), MatrixError> {
    if name.is_some_and(|name| name.len() > MAX_DISPLAY_NAME) {
        return Err(MatrixError::TooLarge("the display name is too long".into()));
    }
    Ok(())
}

fn make_pair(
    auth: &Auth,
    user: &UserId,
    refreshable: bool,
) -> Result<(Token, Option<Token>, TokenPair), MatrixError> {
    let localpart = auth.names.localpart(user);
    let access = Token::access(localpart)?;
    let refresh = if refreshable {
        Some(Token::refresh(localpart)?)
    } else {
        None
    };
    let end = auth.clock.now().after(auth.access_token_lifetime);
    let pair = TokenPair {
        access: access.hash(),
        refresh: refresh.as_ref().map(Token::hash),
        expires_at: refreshable.then_some(end),
    };
    Ok((access, refresh, pair))
}

fn add_tokens(body: &mut Value, auth: &Auth, access: &Token, refresh: Option<&Token>) {
    let Some(body) = body.as_object_mut() else {
        return;
    };
    body.insert("access_token".to_owned(), access.expose().into());
    if let Some(refresh) = refresh {
        let lifetime = u64::try_from(auth.access_token_lifetime.as_millis());
        body.insert("refresh_token".to_owned(), refresh.expose().into());
        body.insert(
            "expires_in_ms".to_owned(),
            lifetime.unwrap_or(u64::MAX).into(),
        );
    }
}

/// A device ID that a client chose. `*` is every device, where messages are sent.
fn chosen_device_id(device: &str) -> Result<DeviceId, MatrixError> {
    let length = 1..=MAX_DEVICE_ID;
    if device == EVERY || !length.contains(&device.len()) || device.chars().any(char::is_control) {
        return Err(MatrixError::InvalidParam(
            "the device ID is empty, too long, * or has controls",
        ));
    }
    Ok(DeviceId::new(device))
}

/// Ten letters, as people are used to reading them in device lists.
fn random_device_id() -> Result<String, MatrixError> {
    Ok(token::random::<10>()?
        .iter()
        .map(|byte| char::from(b'A' + byte % 26))
        .collect())
}

/// The wildcard that means every device in place of a device ID.
pub(crate) const EVERY: &str = "*";

const MAX_DEVICE_ID: usize = 255;

const MAX_DISPLAY_NAME: usize = 255;
