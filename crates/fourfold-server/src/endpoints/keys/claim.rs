//! `/keys/claim`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::query::unreachable;
use crate::call::Call;
use crate::http::answer::{self, Handled};
use crate::http::error::MatrixError;
use crate::store::{ClaimedKey, DeviceId, UserId, WantedKey};

/// `POST /keys/claim`: one key for each device, to begin an Olm session with.
///
/// A one-time key is handed out once. A device that has none left gives its fallback key, a device
/// without that is absent from the answer.
pub(crate) async fn claim(call: Call) -> Handled {
    let wanted: Claim = call.body()?;
    let devices: usize = wanted.one_time_keys.values().map(BTreeMap::len).sum();
    if devices > MAX_DEVICES {
        return Err(MatrixError::TooLarge(
            "too many devices in one claim".into(),
        ));
    }
    let mut claimed = BTreeMap::new();
    let mut failures = BTreeMap::new();
    for (user, devices) in wanted.one_time_keys {
        let id = UserId::new(user.as_str());
        if !call.app.auth.names.is_local(&id) {
            let server = user.split_once(':').map(|(_, server)| server);
            failures.insert(server.unwrap_or_default().to_owned(), unreachable());
            continue;
        }
        let devices = devices.into_iter().map(|(device, algorithm)| WantedKey {
            device: DeviceId::new(device),
            algorithm,
        });
        let keys = call.app.store.claim_keys(&id, devices.collect()).await?;
        if !keys.is_empty() {
            claimed.insert(user, body(keys)?);
        }
    }
    answer::json(&Claimed {
        one_time_keys: claimed,
        failures,
    })
}

#[derive(Deserialize)]
struct Claim {
    one_time_keys: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(serde::Serialize)]
struct Claimed {
    one_time_keys: BTreeMap<String, Devices>,
    failures: BTreeMap<String, Value>,
}

/// Keys by device, then by ID.
type Devices = BTreeMap<String, BTreeMap<String, Box<RawValue>>>;

fn body(keys: Vec<ClaimedKey>) -> Result<Devices, MatrixError> {
    let mut devices = Devices::new();
    for ClaimedKey { device, key } in keys {
        let id = format!("{}:{}", key.algorithm, key.id);
        let text = String::from_utf8(key.key.into()).map_err(|_| MatrixError::Internal)?;
        let value = RawValue::from_string(text).map_err(|_| MatrixError::Internal)?;
        let of_device = devices.entry(device.as_str().to_owned()).or_default();
        of_device.insert(id, value);
    }
    Ok(devices)
}

/// Devices in one claim.
const MAX_DEVICES: usize = 2_000;
