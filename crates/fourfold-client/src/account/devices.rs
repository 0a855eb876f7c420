//! The user's devices, as the server lists them.

use std::time::Duration;

use fourfold::identity::{LoggedInDevices, UserKeys};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;
use tracing::instrument;

use super::Account;
use crate::Password;
use crate::error::{Error, ErrorKind};
use crate::login::{Auth, WithAuth, authenticate};
use crate::path::Path;
use crate::transport::Request;

impl Account {
    /// All devices that are logged in, also those without keys ([`GET /devices`][devices]).
    ///
    /// # Errors
    ///
    /// [`TooLarge`](crate::ErrorKind::TooLarge) beyond 4 MiB, and the errors of every call.
    ///
    /// [devices]: https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devices
    #[instrument(level = "debug", skip_all, fields(user = self.user_id()))]
    pub async fn devices(&self) -> Result<Vec<DeviceInfo>, Error> {
        self.send_for_devices(devices()).await
    }

    /// Both lists of the user's devices: their keys, and then who is logged in. In this order a
    /// device that is in the first one and not in the second one is gone.
    ///
    /// # Errors
    ///
    /// Those of [`published_keys`](Self::published_keys).
    pub async fn device_lists(&self) -> Result<DeviceLists, Error> {
        let keys = self.published_keys().await?;
        let devices = self.devices_now().await;
        Ok(DeviceLists { keys, devices })
    }

    /// As [`devices`](Self::devices), for whoever can go on without: asked once, and not waited for
    /// long.
    pub(crate) async fn devices_now(&self) -> Result<Vec<DeviceInfo>, Error> {
        let asked = self.send_for_devices(devices().with_attempts(1));
        match timeout(MAX_WAIT, asked).await {
            Ok(answered) => answered,
            Err(_) => Err(ErrorKind::Timeout.into()),
        }
    }

    async fn send_for_devices(&self, request: Request<'_>) -> Result<Vec<DeviceInfo>, Error> {
        let transport = &self.homeserver.transport;
        let answer = transport.send(&self.signed(request)).await?;
        let body: DevicesBody = answer.json("/devices")?;
        Ok(body.devices)
    }

    /// Logs a device out and forgets it, with its keys ([`POST /delete_devices`][delete]). A device
    /// that is not there is a success.
    ///
    /// # Errors
    ///
    /// [`NeedsPassword`](crate::ErrorKind::NeedsPassword) when none was given and the server asks for
    /// it, [`WrongPassword`](crate::ErrorKind::WrongPassword),
    /// [`NeedsOther`](crate::ErrorKind::NeedsOther) when it takes a browser, and the errors of every
    /// call.
    ///
    /// [delete]: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3delete_devices
    #[instrument(level = "debug", skip_all, fields(user = self.user_id()))]
    pub(crate) async fn delete_device(
        &self,
        device_id: &str,
        password: Option<&Password>,
    ) -> Result<(), Error> {
        let body = json!({"devices": [device_id]});
        let request = |auth: Option<&Auth<'_>>| {
            let path = Path::fixed("/_matrix/client/v3/delete_devices");
            let body = WithAuth { body: &body, auth };
            self.signed(Request::post(path, &body))
        };
        let transport = &self.homeserver.transport;
        let answer = authenticate(transport, self.user_id(), password, request).await?;
        if answer.is_success() {
            Ok(())
        } else {
            Err(answer.into_error("/delete_devices"))
        }
    }
}

/// A device, as the server lists it. Nothing of it is certain.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// Its ID, untrusted text.
    pub device_id: String,
    /// Its name, untrusted text.
    #[serde(default)]
    pub display_name: Option<String>,
    /// When it was last seen, in milliseconds since 1970.
    #[serde(default)]
    pub last_seen_ts: Option<u64>,
}

/// Both lists of the user's devices, as the server says them. They prove nothing;
/// [`Device::observe`](crate::Device::observe) judges by them.
#[derive(Debug)]
#[non_exhaustive]
pub struct DeviceLists {
    /// The identity, and the devices that have keys.
    pub keys: UserKeys,
    /// The devices that are logged in, or why this is not known.
    pub devices: Result<Vec<DeviceInfo>, Error>,
}

impl DeviceLists {
    /// The devices that are logged in, if that is known.
    #[must_use]
    pub fn logged_in(&self) -> Option<LoggedInDevices> {
        self.devices.as_deref().ok().map(logged_in)
    }
}

pub(crate) fn logged_in(devices: &[DeviceInfo]) -> LoggedInDevices {
    let ids = devices.iter().map(|device| device.device_id.as_str());
    ids.collect()
}

fn devices() -> Request<'static> {
    Request::get(Path::fixed("/_matrix/client/v3/devices")).with_limit(MAX_LIST_BYTES)
}

#[derive(Deserialize)]
struct DevicesBody {
    devices: Vec<DeviceInfo>,
}

/// The largest list that is read: 4 MiB.
const MAX_LIST_BYTES: usize = 4 * 1024 * 1024;

/// The timeout of the response if there is something else to do.
const MAX_WAIT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::testing::{Reply, Server, once};

    #[tokio::test]
    async fn lists_what_the_server_says() {
        let list = r#"{"devices":[
            {"device_id":"A","display_name":"laptop","last_seen_ts":1474491775024,"more":1},
            {"device_id":"B","display_name":null}]}"#;
        let server = Server::scripted([Reply::json(200, list), Reply::json(200, "{}")]).await;
        let (account, _) = server.account(&once());
        let devices = account.devices().await.unwrap();
        assert_eq!(devices.len(), 2);
        assert_eq!(devices[0].last_seen_ts, Some(1_474_491_775_024));
        assert_eq!(devices[1].display_name, None);
        let to = "/devices";
        let error = account.devices().await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Malformed { to });
    }

    #[tokio::test]
    async fn a_device_goes_with_the_password() {
        let challenge = r#"{"session":"S","flows":[{"stages":["m.login.password"]}],"params":{}}"#;
        let server = Server::scripted([
            Reply::json(401, challenge),
            Reply::json(401, challenge),
            Reply::json(200, "{}"),
        ])
        .await;
        let (account, _) = server.account(&once());
        let error = account.delete_device("OLD", None).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::NeedsPassword);
        let password = Password::new("canary");
        account.delete_device("OLD", Some(&password)).await.unwrap();
        let last: serde_json::Value = serde_json::from_str(&server.received()[2].body).unwrap();
        assert_eq!(last["devices"], json!(["OLD"]));
        assert_eq!(last["auth"]["password"], "canary");
        assert!(!server.received()[1].body.contains("canary"));
    }
}
