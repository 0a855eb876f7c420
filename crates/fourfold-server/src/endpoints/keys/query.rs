//! `/keys/query`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::signed::SignedObject;
use crate::call::Call;
use crate::http::answer::{self, Handled};
use crate::http::error::MatrixError;
use crate::http::json::write_string;
use crate::store::{CrossSigningKey, PublishedDevice, PublishedKeys, UserId};

/// `POST /keys/query`: the keys of users, with the signatures that the caller may see.
///
/// A user of ours without keys has an empty entry, a user who does not exist has none. User-signing
/// keys and signatures on other users are shown to whoever made them.
pub(crate) async fn query(call: Call) -> Handled {
    let asker = call.user()?;
    let wanted: Query = call.body()?;
    if wanted.device_keys.len() > MAX_USERS {
        return Err(MatrixError::TooLarge("too many users in one query".into()));
    }
    let store = &call.app.store;
    let own = store.keys(asker).await?.unwrap_or_default();
    let mut found: Vec<Found> = Vec::with_capacity(wanted.device_keys.len());
    let mut failures = BTreeMap::new();
    for (user, devices) in wanted.device_keys {
        let user = UserId::new(user);
        let keys = if user == *asker {
            Some(Arc::clone(&own))
        } else if call.app.auth.names.is_local(&user) {
            store.keys(&user).await?
        } else {
            let server = user.as_str().split_once(':').map(|(_, server)| server);
            failures.insert(server.unwrap_or_default().to_owned(), unreachable());
            None
        };
        if let Some(keys) = keys {
            found.push(Found {
                user,
                devices,
                keys,
            });
        }
    }
    render(asker, &own, &found, &failures).map(answer::raw)
}

#[derive(Deserialize)]
struct Query {
    device_keys: BTreeMap<String, Vec<String>>,
}

struct Found {
    user: UserId,
    /// The wanted devices; none means all.
    devices: Vec<String>,
    keys: Arc<PublishedKeys>,
}

/// Writes the answer by hand: stored objects go into it as the text that they are.
fn render(
    asker: &UserId,
    own: &PublishedKeys,
    found: &[Found],
    failures: &BTreeMap<String, Value>,
) -> Result<Bytes, MatrixError> {
    let mut body = Vec::with_capacity(512 + 2048 * found.len());
    body.extend_from_slice(b"{\"device_keys\":{");
    for (index, it) in found.iter().enumerate() {
        write_name(&mut body, index, it.user.as_str())?;
        write_devices(&mut body, it)?;
    }
    let masters = found.iter().filter_map(|it| {
        let key = it.keys.cross_signing.master.as_ref()?;
        Some((&it.user, key))
    });
    write_keys(&mut body, "master_keys", masters, |user, key| {
        if user == asker {
            return Ok(key.content.clone());
        }
        with_signatures(asker, own, user, key)
    })?;
    let self_signing = found.iter().filter_map(|it| {
        let key = it.keys.cross_signing.self_signing.as_ref()?;
        Some((&it.user, key))
    });
    let as_stored = |_: &UserId, key: &CrossSigningKey| Ok(key.content.clone());
    write_keys(&mut body, "self_signing_keys", self_signing, as_stored)?;
    let user_signing = found.iter().filter_map(|it| {
        let key = it.keys.cross_signing.user_signing.as_ref()?;
        (it.user == *asker).then_some((&it.user, key))
    });
    write_keys(&mut body, "user_signing_keys", user_signing, as_stored)?;
    body.extend_from_slice(b"},\"failures\":");
    body.extend_from_slice(json!(failures).to_string().as_bytes());
    body.push(b'}');
    Ok(body.into())
}

fn write_devices(body: &mut Vec<u8>, found: &Found) -> Result<(), MatrixError> {
    let wanted: BTreeSet<&str> = found.devices.iter().map(String::as_str).collect();
    let devices = found
        .keys
        .devices
        .iter()
        .filter(|it| wanted.is_empty() || wanted.contains(it.device.as_str()));
    body.push(b'{');
    for (index, device) in devices.enumerate() {
        write_name(body, index, device.device.as_str())?;
        write_device(body, device)?;
    }
    body.push(b'}');
    Ok(())
}

/// The stored object, with the display name put before its closing brace.
fn write_device(body: &mut Vec<u8>, device: &PublishedDevice) -> Result<(), MatrixError> {
    let open = device.keys.strip_suffix(b"}").unwrap_or_default();
    body.extend_from_slice(open);
    body.extend_from_slice(b",\"unsigned\":{");
    if let Some(name) = &device.display_name {
        body.extend_from_slice(b"\"device_display_name\":");
        write_string(body, name)?;
    }
    body.extend_from_slice(b"}}");
    Ok(())
}

fn write_keys<'k>(
    body: &mut Vec<u8>,
    name: &str,
    keys: impl Iterator<Item = (&'k UserId, &'k CrossSigningKey)>,
    content: impl Fn(&UserId, &CrossSigningKey) -> Result<Bytes, MatrixError>,
) -> Result<(), MatrixError> {
    body.extend_from_slice(b"},\"");
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(b"\":{");
    for (index, (user, key)) in keys.enumerate() {
        write_name(body, index, user.as_str())?;
        body.extend_from_slice(&content(user, key)?);
    }
    Ok(())
}

fn write_name(body: &mut Vec<u8>, index: usize, name: &str) -> Result<(), MatrixError> {
    if index > 0 {
        body.push(b',');
    }
    write_string(body, name)?;
    body.push(b':');
    Ok(())
}

/// The master key of another user with the signatures that the asker made on it.
fn with_signatures(
    asker: &UserId,
    own: &PublishedKeys,
    user: &UserId,
    key: &CrossSigningKey,
) -> Result<Bytes, MatrixError> {
    let mut signatures = own
        .signatures_for(user)
        .filter(|it| it.key == key.public_key)
        .peekable();
    if signatures.peek().is_none() {
        return Ok(key.content.clone());
    }
    let mut object = SignedObject::from_stored(&key.content)?;
    let of_asker = object.signatures_mut();
    let of_asker = of_asker.entry(asker.as_str().to_owned()).or_default();
    for it in signatures {
        of_asker.insert(it.signing_key.clone(), it.signature.clone());
    }
    Ok(object.to_bytes())
}

/// Why users of another server have no keys here.
pub(super) fn unreachable() -> Value {
    json!({ "errcode": "M_NOT_FOUND", "error": "this server does not talk to others" })
}

/// Users in one query.
const MAX_USERS: usize = 2_000;
