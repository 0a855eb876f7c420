//! Publishing cross-signing keys, and signatures made with them.

use std::collections::BTreeMap;

use fourfold::Content;
use fourfold::identity::PublicKeys;
use serde::{Deserialize, Serialize};
use tracing::instrument;

use super::Account;
use crate::error::Error;
use crate::login::{Auth, WithAuth, authenticate};
use crate::path::Path;
use crate::transport::Request;
use crate::{Password, escape_untrusted};

impl Account {
    /// Publishes the three cross-signing keys of the user
    /// ([`POST /keys/device_signing/upload`][upload]). The same keys twice are the same as once.
    ///
    /// The first time nothing more is asked for. To replace keys, a server asks for the password:
    /// without one this is [`NeedsPassword`](crate::ErrorKind::NeedsPassword), and trying again with
    /// it is fine.
    ///
    /// # Errors
    ///
    /// [`NeedsPassword`](crate::ErrorKind::NeedsPassword),
    /// [`WrongPassword`](crate::ErrorKind::WrongPassword),
    /// [`NeedsOther`](crate::ErrorKind::NeedsOther) when it takes a browser, and the errors of every
    /// call.
    ///
    /// [upload]: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysdevice_signingupload
    #[instrument(level = "debug", skip_all, fields(user = self.user_id()))]
    pub async fn upload_cross_signing_keys(
        &self,
        keys: &PublicKeys,
        password: Option<&Password>,
    ) -> Result<(), Error> {
        let body = KeysBody {
            master_key: keys.master_key(),
            self_signing_key: keys.self_signing_key(),
            user_signing_key: keys.user_signing_key(),
        };
        let request = |auth: Option<&Auth<'_>>| {
            let path = Path::fixed("/_matrix/client/v3/keys/device_signing/upload");
            let body = WithAuth { body: &body, auth };
            self.signed(Request::post(path, &body).repeatable())
        };
        let transport = &self.homeserver.transport;
        let answer = authenticate(transport, self.user_id(), password, request).await?;
        if answer.is_success() {
            Ok(())
        } else {
            Err(answer.into_error("/keys/device_signing/upload"))
        }
    }

    /// Publishes signatures of the user's own devices or master key
    /// ([`POST /keys/signatures/upload`][upload]): device IDs, or the master key as base64, with the
    /// signed objects. Gives those that the server refused.
    ///
    /// That it refused none does not mean that it shows them: read them back.
    ///
    /// # Errors
    ///
    /// The errors of every call.
    ///
    /// [upload]: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keyssignaturesupload
    #[instrument(level = "debug", skip_all, fields(user = self.user_id()))]
    pub async fn upload_signatures(
        &self,
        objects: &[(&str, &Content)],
    ) -> Result<Vec<RefusedSignature>, Error> {
        let objects: BTreeMap<_, _> = objects.iter().copied().collect();
        let body = BTreeMap::from([(self.user_id(), objects)]);
        let path = Path::fixed("/_matrix/client/v3/keys/signatures/upload");
        let request = self.signed(Request::post(path, &body).repeatable());
        let answer = self.homeserver.transport.send(&request).await?;
        let body: FailuresBody = answer.json("/keys/signatures/upload")?;
        let failures = body.failures.unwrap_or_default();
        let refused = failures.into_values().flatten().map(RefusedSignature::of);
        Ok(refused.collect())
    }
}

/// A signature that a server did not take.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the server rejected the signature of {object}: {message} ({errcode})")]
#[non_exhaustive]
pub struct RefusedSignature {
    /// The signed object: a device ID or a master key, escaped.
    pub object: String,
    /// The code, such as `M_INVALID_SIGNATURE`, escaped.
    pub errcode: String,
    /// The server's words, escaped and cut.
    pub message: String,
}

impl RefusedSignature {
    fn of((object, failure): (String, Failure)) -> Self {
        let text = |text: Option<String>, otherwise: &str| match text {
            Some(text) => escape_untrusted(&text),
            None => otherwise.to_owned(),
        };
        Self {
            object: escape_untrusted(&object),
            errcode: text(failure.errcode, "no code"),
            message: text(failure.error, "no reason given"),
        }
    }
}

#[derive(Serialize)]
struct KeysBody<'a> {
    master_key: &'a Content,
    self_signing_key: &'a Content,
    user_signing_key: &'a Content,
}

#[derive(Deserialize)]
struct FailuresBody {
    #[serde(default)]
    failures: Option<BTreeMap<String, BTreeMap<String, Failure>>>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    errcode: Option<String>,
    #[serde(default)]
    error: Option<String>,
}

#[cfg(test)]
mod tests;
