//! Registering, logging in, and asking whom a token belongs to.

use serde::{Deserialize, Serialize};
use tracing::instrument;

use crate::{
    AccessToken, Homeserver, Password, Session, WhoAmI,
    error::{Error, ErrorKind},
    escape_untrusted,
    interactive::{Auth, Challenge, Flow, Identifier},
    path::Path,
    session::is_user_id,
    transport::{Answer, Request},
};

impl Homeserver {
    /// Registers an account and logs in to it, on a server that asks for nothing more than a name
    /// and a password.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RegistrationNeeds`] when the server asks for more, [`ErrorKind::Matrix`] when it
    /// refuses, and the errors of every call. It is not repeated when nobody knows whether it
    /// arrived.
    #[instrument(level = "debug", skip_all)]
    pub async fn register(
        &self,
        user: &str,
        password: &Password,
        device_name: Option<&str>,
    ) -> Result<Session, Error> {
        let mut body = RegisterBody {
            username: user,
            password: password.expose_secret(),
            initial_device_display_name: device_name,
            auth: None,
        };
        let path = || Path::fixed("/_matrix/client/v3/register");
        let answer = self.transport.send(&Request::post(path(), &body)).await?;
        if answer.status() != 401 {
            return self.session_from(answer, "/register", None);
        }
        let Some(challenge) = Challenge::of(&answer) else {
            return Err(answer.into_error("/register"));
        };
        if !challenge.flows.iter().any(Flow::is_dummy) {
            let stages = challenge.to_text();
            let kind = ErrorKind::RegistrationNeeds { stages };
            return Err(Error::from(kind).at(self.base_url()));
        }
        body.auth = Some(Auth::dummy(challenge.session.as_deref()));
        let answer = self.transport.send(&Request::post(path(), &body)).await?;
        self.session_from(answer, "/register", None)
    }

    /// Logs in with a password. The user is a whole ID or the part before the colon.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Matrix`] with `M_FORBIDDEN` when the name or the password is wrong,
    /// [`ErrorKind::OtherUser`], and the errors of every call. It is not repeated when nobody knows
    /// whether it arrived.
    #[instrument(level = "debug", skip_all)]
    pub async fn log_in(
        &self,
        user: &str,
        password: &Password,
        device_id: Option<&str>,
        device_name: Option<&str>,
    ) -> Result<Session, Error> {
        let body = LogInBody {
            kind: "m.login.password",
            identifier: Identifier::user(user),
            password: password.expose_secret(),
            device_id,
            initial_device_display_name: device_name,
        };
        let path = Path::fixed("/_matrix/client/v3/login");
        let answer = self.transport.send(&Request::post(path, &body)).await?;
        let expected = user.starts_with('@').then_some(user);
        self.session_from(answer, "/login", expected)
    }

    /// The session that a token belongs to.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LoggedOut`] when the token is not valid, [`ErrorKind::InvalidToken`], and the
    /// errors of every call.
    #[instrument(level = "debug", skip_all)]
    pub async fn session_of(&self, token: AccessToken) -> Result<Session, Error> {
        let WhoAmI {
            user_id, device_id, ..
        } = self.who_is(&token).await?;
        Ok(Session::new(self.base_url(), user_id, device_id, token))
    }

    pub(crate) async fn who_is(&self, token: &AccessToken) -> Result<WhoAmI, Error> {
        let path = Path::fixed("/_matrix/client/v3/account/whoami");
        let request = Request::get(path).with_token(token);
        let body: WhoAmIBody = self.transport.send(&request).await?.json("/whoami")?;
        self.check_user_id(&body.user_id, "/whoami")?;
        Ok(WhoAmI {
            user_id: body.user_id,
            device_id: body.device_id,
            is_guest: body.is_guest,
        })
    }

    fn session_from(
        &self,
        answer: Answer,
        to: &'static str,
        expected: Option<&str>,
    ) -> Result<Session, Error> {
        let body: SessionBody = answer.json(to)?;
        let token = AccessToken::new(body.access_token);
        self.check_user_id(&body.user_id, to)?;
        if expected.is_some_and(|expected| !expected.eq_ignore_ascii_case(&body.user_id)) {
            // Otherwise a server could put itself in the place of another one's session.
            let user_id = escape_untrusted(&body.user_id);
            return Err(Error::from(ErrorKind::OtherUser { user_id }).at(self.base_url()));
        }
        Ok(Session::new(
            self.base_url(),
            body.user_id,
            body.device_id,
            token,
        ))
    }

    fn check_user_id(&self, user_id: &str, to: &'static str) -> Result<(), Error> {
        if is_user_id(user_id) {
            Ok(())
        } else {
            Err(Error::from(ErrorKind::Malformed { to }).at(self.base_url()))
        }
    }
}

// Types of our own instead of those of ruma: these keep passwords and tokens out of memory that is
// not wiped and out of `Debug`, and they accept what servers leave out.

#[derive(Serialize)]
struct RegisterBody<'a> {
    username: &'a str,
    password: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_device_display_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth: Option<Auth<'a>>,
}

#[derive(Serialize)]
struct LogInBody<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    identifier: Identifier<'a>,
    password: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_device_display_name: Option<&'a str>,
}

#[derive(Deserialize)]
struct SessionBody {
    user_id: String,
    access_token: String,
    #[serde(default)]
    device_id: Option<String>,
}

#[derive(Deserialize)]
struct WhoAmIBody {
    user_id: String,
    #[serde(default)]
    device_id: Option<String>,
    #[serde(default)]
    is_guest: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Reply, Server, TOKEN, USER, all_texts, once};

    fn session() -> Reply {
        let body = format!(
            r#"{{"user_id":"{USER}","access_token":"{TOKEN}","device_id":"D","home_server":"h",
                "well_known":{{"m.homeserver":{{"base_url":"https://evil.example"}}}}}}"#
        );
        Reply::json(200, body)
    }

    fn body(server: &Server, index: usize) -> serde_json::Value {
        serde_json::from_str(&server.received()[index].body).unwrap()
    }

    async fn register(server: &Server) -> Result<Session, Error> {
        let (homeserver, _) = server.homeserver(&once());
        homeserver
            .register("alice", &Password::new("canary"), Some("laptop"))
            .await
    }

    async fn log_in(server: &Server, user: &str) -> Result<Session, Error> {
        let (homeserver, _) = server.homeserver(&once());
        homeserver
            .log_in(user, &Password::new("canary"), Some("D"), None)
            .await
    }

    #[tokio::test]
    async fn registers_through_the_dummy_stage() {
        let challenge = r#"{"session":"S","flows":[{"stages":["m.login.recaptcha"]},
            {"stages":["m.login.dummy"]}],"params":{}}"#;
        let server = Server::scripted([Reply::json(401, challenge), session()]).await;
        let session = register(&server).await.unwrap();
        assert_eq!(
            (session.user_id.as_str(), session.device_id.as_deref()),
            (USER, Some("D"))
        );
        assert_eq!(session.access_token().expose_secret(), TOKEN);
        // What the server says about its own address is ignored.
        assert_eq!(session.homeserver, server.base_url);
        let mut expected = serde_json::json!({
            "username": "alice",
            "password": "canary",
            "initial_device_display_name": "laptop",
        });
        assert_eq!(body(&server, 0), expected);
        expected["auth"] = serde_json::json!({"type": "m.login.dummy", "session": "S"});
        assert_eq!(body(&server, 1), expected);
    }

    #[tokio::test]
    async fn registers_where_parts_of_the_challenge_are_left_out() {
        for challenge in [
            r#"{"flows":[{}]}"#,
            r#"{"flows":[{"stages":[]}],"session":null}"#,
        ] {
            let server = Server::scripted([Reply::json(401, challenge), session()]).await;
            register(&server).await.unwrap();
            assert_eq!(
                body(&server, 1)["auth"],
                serde_json::json!({"type": "m.login.dummy"})
            );
        }
        let server = Server::scripted([session()]).await;
        register(&server).await.unwrap();
    }

    #[tokio::test]
    async fn says_what_else_registration_needs() {
        let challenge = r#"{"flows":[{"stages":["m.login.recaptcha","m.login.\u001bterms"]},
            {"stages":["m.login.registration_token"]}]}"#;
        let server = Server::scripted([Reply::json(401, challenge)]).await;
        let error = register(&server).await.unwrap_err();
        let stages =
            r"m.login.recaptcha and m.login.\u{1b}terms or m.login.registration_token".to_owned();
        assert_eq!(error.kind(), &ErrorKind::RegistrationNeeds { stages });
    }

    #[tokio::test]
    async fn refusals_are_told_without_the_password() {
        let server = Server::start(|_| Reply::error(403, "M_FORBIDDEN")).await;
        for error in [register(&server).await, log_in(&server, "alice").await] {
            let error = error.unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::Matrix { status: 403, .. }),
                "{error}"
            );
            assert!(!all_texts(&error).contains("canary"));
        }
    }

    #[tokio::test]
    async fn logs_in_with_a_password() {
        let server = Server::scripted([session()]).await;
        let session = log_in(&server, USER).await.unwrap();
        assert_eq!(session.user_id, USER);
        assert_eq!(server.received()[0].target, "/_matrix/client/v3/login");
        let expected = serde_json::json!({
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": USER},
            "password": "canary",
            "device_id": "D",
        });
        assert_eq!(body(&server, 0), expected);
    }

    #[tokio::test]
    async fn a_session_of_somebody_else_is_refused() {
        let server = Server::start(|_| session()).await;
        log_in(&server, "alice").await.unwrap();
        log_in(&server, "@Alice:example.org").await.unwrap();
        let error = log_in(&server, "@bob:example.org").await.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::OtherUser { .. }),
            "{error}"
        );
        assert!(!all_texts(&error).contains(TOKEN));
    }

    #[tokio::test]
    async fn answers_without_a_session_are_refused() {
        for body in [
            "{}",
            "[]",
            r#"{"user_id":"@a:b"}"#,
            r#"{"user_id":"a","access_token":"t"}"#,
            r#"{"user_id":"@a:\u0000b","access_token":"t"}"#,
            r#"{"user_id":"@a:b","access_token":7}"#,
        ] {
            let server = Server::scripted([Reply::json(200, body)]).await;
            let error = log_in(&server, "a").await.unwrap_err();
            assert_eq!(
                error.kind(),
                &ErrorKind::Malformed { to: "/login" },
                "{body}"
            );
        }
    }

    #[tokio::test]
    async fn asks_whom_a_token_belongs_to() {
        let server = Server::scripted([
            Reply::json(200, format!(r#"{{"user_id":"{USER}","is_guest":false}}"#)),
            Reply::error(401, "M_UNKNOWN_TOKEN"),
        ])
        .await;
        let (homeserver, _) = server.homeserver(&once());
        let session = homeserver
            .session_of(AccessToken::new(TOKEN))
            .await
            .unwrap();
        assert_eq!((session.user_id.as_str(), session.device_id), (USER, None));
        let error = homeserver
            .session_of(AccessToken::new(TOKEN))
            .await
            .unwrap_err();
        assert!(error.is_logged_out());
    }
}
