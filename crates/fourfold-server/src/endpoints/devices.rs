//! `/devices` and `/delete_devices`.

use ruma::api::client::device::Device as DeviceBody;
use ruma::{MilliSecondsSinceUnixEpoch, UInt};
use serde::Deserialize;
use serde_json::json;

use crate::auth::confirmation;
use crate::auth::interactive::AuthData;
use crate::auth::new_session::check_display_name;
use crate::call::Call;
use crate::http::answer::{self, Handled};
use crate::http::error::MatrixError;
use crate::store::{Device, DeviceId};

/// `GET /devices`.
pub(crate) async fn list(call: Call) -> Handled {
    let devices = call.app.store.devices(call.user()?).await?;
    let devices: Vec<_> = devices.into_iter().map(body).collect();
    answer::json(&json!({ "devices": devices }))
}

/// `GET /devices/{deviceId}`.
pub(crate) async fn show(call: Call) -> Handled {
    let device = call
        .app
        .store
        .device(call.user()?, &call.device_id()?)
        .await?;
    answer::json(&body(device.ok_or(NO_SUCH_DEVICE)?))
}

/// `PUT /devices/{deviceId}`: another display name; none leaves it.
pub(crate) async fn rename(call: Call) -> Handled {
    let wanted: Rename = call.body()?;
    let (user, device) = (call.user()?, call.device_id()?);
    let found = match wanted.display_name {
        Some(name) => {
            check_display_name(Some(&name))?;
            let name = Some(name).filter(|name| !name.is_empty());
            call.app.store.rename_device(user, &device, name).await?
        }
        None => call.app.store.device(user, &device).await?.is_some(),
    };
    if found {
        Ok(answer::empty())
    } else {
        Err(NO_SUCH_DEVICE)
    }
}

/// `DELETE /devices/{deviceId}`, with the password. One that is not there is deleted already.
pub(crate) async fn delete(call: Call) -> Handled {
    let wanted: Deletion = call.optional_body()?;
    let user = call.user()?;
    confirmation::password(&call.app.auth, "delete device", user, wanted.auth.as_ref()).await?;
    call.app
        .store
        .delete_devices(user, &[call.device_id()?])
        .await?;
    Ok(answer::empty())
}

/// `POST /delete_devices`, with the password.
pub(crate) async fn delete_many(call: Call) -> Handled {
    let wanted: Deletion = call.body()?;
    let user = call.user()?;
    let devices = wanted.devices.ok_or(MatrixError::MissingParam("devices"))?;
    confirmation::password(&call.app.auth, "delete devices", user, wanted.auth.as_ref()).await?;
    let devices: Vec<_> = devices.into_iter().map(DeviceId::new).collect();
    call.app.store.delete_devices(user, &devices).await?;
    Ok(answer::empty())
}

#[derive(Deserialize)]
struct Rename {
    display_name: Option<String>,
}

#[derive(Deserialize)]
struct Deletion {
    auth: Option<AuthData>,
    devices: Option<Vec<String>>,
}

fn body(device: Device) -> DeviceBody {
    let mut body = DeviceBody::new(device.id.as_str().into());
    body.display_name = device.display_name;
    body.last_seen_ip = device.last_seen_address;
    body.last_seen_ts = UInt::new(device.last_seen_at.0).map(MilliSecondsSinceUnixEpoch);
    body
}

const NO_SUCH_DEVICE: MatrixError = MatrixError::NotFound("no such device");
