//! The life of a session: its tokens, their refresh, its end.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::{App, address_key};
use crate::auth::token::{self, Token};
use crate::call::Call;
use crate::http::answer;
use crate::http::error::MatrixError;
use crate::routes::Handled;
use crate::store::{DeviceId, NewSession, TokenPair, UserId};

/// What `/login` and `/register` let a client choose about its session.
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
        app: &App,
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
        let (access, refresh, tokens) = make_pair(app, user, options.refresh_token == Some(true))?;
        let session = NewSession {
            device,
            display_name,
            tokens,
            opened_at: app.config.clock.now(),
            address: Some(address.to_string()),
        };
        Ok(Self {
            session,
            access,
            refresh,
        })
    }

    /// The answer that hands the tokens out.
    pub(crate) fn body(&self, app: &App, user: &UserId) -> Value {
        let mut body = json!({
            "user_id": user.as_str(),
            "home_server": app.config.server_name,
            "device_id": self.session.device.as_str(),
        });
        add_tokens(&mut body, app, &self.access, self.refresh.as_ref());
        body
    }
}

/// `POST /refresh`.
pub(crate) async fn refresh(call: Call) -> Handled {
    let app = &call.app;
    app.rates
        .login_per_address
        .take(&address_key(call.address))?;
    let Refresh { refresh_token } = call.body()?;
    let presented = refresh_token.ok_or(MatrixError::MissingParam("refresh_token"))?;
    let unknown = || MatrixError::UnknownToken { soft_logout: true };
    let (localpart, hash) = token::parse_refresh(&presented).ok_or_else(unknown)?;
    let user = app.possible_user_id(&localpart).ok_or_else(unknown)?;
    let (access, refresh, tokens) = make_pair(app, &user, true)?;
    let now = app.config.clock.now();
    let refreshed = app.store.refresh_session(&user, &hash, tokens, now).await;
    if refreshed.map_err(MatrixError::from)?.is_none() {
        return Err(unknown());
    }
    let mut body = json!({});
    add_tokens(&mut body, app, &access, refresh.as_ref());
    answer::json(&body)
}

/// `POST /logout`: the device goes with its session.
pub(crate) async fn logout(call: Call) -> Handled {
    let session = call.session()?;
    call.app
        .store
        .delete_devices(&session.user, std::slice::from_ref(&session.device))
        .await?;
    Ok(answer::empty())
}

/// `POST /logout/all`.
pub(crate) async fn logout_all(call: Call) -> Handled {
    call.app.store.delete_all_devices(call.user()?).await?;
    Ok(answer::empty())
}

/// `GET /account/whoami`.
pub(crate) async fn whoami(call: Call) -> Handled {
    let session = call.session()?;
    answer::json(&json!({
        "user_id": session.user.as_str(),
        "device_id": session.device.as_str(),
        "is_guest": false,
    }))
}

/// Refuses a display name beyond reason.
pub(crate) fn check_display_name(name: Option<&str>) -> Result<(), MatrixError> {
    if name.is_some_and(|name| name.len() > LONGEST_DISPLAY_NAME) {
        return Err(MatrixError::TooLarge("the display name is too long".into()));
    }
    Ok(())
}

#[derive(Deserialize)]
struct Refresh {
    refresh_token: Option<String>,
}

fn make_pair(
    app: &App,
    user: &UserId,
    refreshable: bool,
) -> Result<(Token, Option<Token>, TokenPair), MatrixError> {
    let localpart = app.localpart(user);
    let access = Token::access(localpart)?;
    let refresh = if refreshable {
        Some(Token::refresh(localpart)?)
    } else {
        None
    };
    let end = app
        .config
        .clock
        .now()
        .after(app.config.access_token_lifetime);
    let pair = TokenPair {
        access: access.hash(),
        refresh: refresh.as_ref().map(Token::hash),
        expires_at: refreshable.then_some(end),
    };
    Ok((access, refresh, pair))
}

fn add_tokens(body: &mut Value, app: &App, access: &Token, refresh: Option<&Token>) {
    let Some(body) = body.as_object_mut() else {
        return;
    };
    body.insert("access_token".to_owned(), access.expose().into());
    if let Some(refresh) = refresh {
        let lifetime = u64::try_from(app.config.access_token_lifetime.as_millis());
        body.insert("refresh_token".to_owned(), refresh.expose().into());
        body.insert(
            "expires_in_ms".to_owned(),
            lifetime.unwrap_or(u64::MAX).into(),
        );
    }
}

/// A device ID that a client chose. `*` is every device, where messages are sent.
fn chosen_device_id(device: &str) -> Result<DeviceId, MatrixError> {
    let length = 1..=LONGEST_DEVICE_ID;
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

/// What stands for every device in the place of a device ID.
pub(crate) const EVERY: &str = "*";

const LONGEST_DEVICE_ID: usize = 255;

const LONGEST_DISPLAY_NAME: usize = 255;
