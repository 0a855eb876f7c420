//! Versions of the backup.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::call::Call;
use crate::http::answer::{self, Handled};
use crate::http::error::MatrixError;
use crate::store::{KeyBackup, StoreError};

/// `POST /room_keys/version`: a new version, the current one from now on.
pub(crate) async fn create(call: Call) -> Handled {
    let (algorithm, auth_data) = call.body::<Description>()?.checked()?;
    let version = call
        .app
        .store
        .create_backup(call.user()?, algorithm, auth_data)
        .await?;
    answer::json(&json!({ "version": version.to_string() }))
}

/// `GET /room_keys/version`: the current version.
pub(crate) async fn current(call: Call) -> Handled {
    let backup = call.app.store.backup(call.user()?, None).await?;
    body(&backup.ok_or(NO_SUCH_VERSION)?)
}

/// `GET /room_keys/version/{version}`.
pub(crate) async fn show(call: Call) -> Handled {
    let version = parse(call.parameter("version")?)?;
    let backup = call.app.store.backup(call.user()?, Some(version)).await?;
    body(&backup.ok_or(NO_SUCH_VERSION)?)
}

/// `PUT /room_keys/version/{version}`: other `auth_data`. The algorithm cannot be changed.
pub(crate) async fn replace(call: Call) -> Handled {
    let named = call.parameter("version")?;
    let version = parse(named)?;
    let description: Description = call.body()?;
    if description.version.as_deref().is_some_and(|it| it != named) {
        return Err(MatrixError::InvalidParam(
            "the version in the body is not the one in the path",
        ));
    }
    let (algorithm, auth_data) = description.checked()?;
    let replaced = call
        .app
        .store
        .replace_backup_auth_data(call.user()?, version, algorithm, auth_data)
        .await;
    match replaced {
        Ok(()) => Ok(answer::empty()),
        Err(StoreError::Changed) => Err(MatrixError::InvalidParam(
            "the algorithm of a version cannot be changed",
        )),
        Err(error) => Err(error.into()),
    }
}

/// `DELETE /room_keys/version/{version}`. One that is deleted already is fine.
pub(crate) async fn delete(call: Call) -> Handled {
    let version = parse(call.parameter("version")?)?;
    call.app.store.delete_backup(call.user()?, version).await?;
    Ok(answer::empty())
}

/// A version as clients name it: the one spelling that the server gave out.
pub(super) fn parse(text: &str) -> Result<u64, MatrixError> {
    let version: u64 = text.parse().map_err(|_| NO_SUCH_VERSION)?;
    if version.to_string() != text || i64::try_from(version).is_err() {
        return Err(NO_SUCH_VERSION);
    }
    Ok(version)
}

#[derive(Deserialize)]
struct Description {
    algorithm: Option<String>,
    auth_data: Option<Box<RawValue>>,
    version: Option<String>,
}

impl Description {
    fn checked(self) -> Result<(String, Bytes), MatrixError> {
        let algorithm = self
            .algorithm
            .ok_or(MatrixError::MissingParam("algorithm"))?;
        let auth_data = self
            .auth_data
            .ok_or(MatrixError::MissingParam("auth_data"))?;
        if algorithm.is_empty() {
            return Err(MatrixError::InvalidParam("the algorithm is empty"));
        }
        if algorithm.len() > MAX_ALGORITHM {
            return Err(MatrixError::InvalidParam("the algorithm is too long"));
        }
        if !auth_data.get().starts_with('{') {
            return Err(MatrixError::BadJson("auth_data is not an object".into()));
        }
        Ok((
            algorithm,
            Bytes::copy_from_slice(auth_data.get().as_bytes()),
        ))
    }
}

fn body(backup: &KeyBackup) -> Handled {
    let auth_data: &RawValue = serde_json::from_slice(&backup.auth_data).map_err(|error| {
        tracing::error!(%error, "stored auth_data is malformed");
        MatrixError::Internal
    })?;
    answer::json(&Body {
        algorithm: &backup.algorithm,
        auth_data,
        count: backup.state.count,
        etag: backup.state.etag.to_string(),
        version: backup.version.to_string(),
    })
}

#[derive(serde::Serialize)]
struct Body<'a> {
    algorithm: &'a str,
    auth_data: &'a RawValue,
    count: u64,
    etag: String,
    version: String,
}

pub(super) const NO_SUCH_VERSION: MatrixError =
    MatrixError::NotFound("there is no such version of the key backup");

const MAX_ALGORITHM: usize = 255;
