//! The version of the key backup.

use fourfold::{BackupVersion, BackupVersionError, Content};
use serde::Deserialize;
use tracing::instrument;

use super::Account;
use crate::error::Error;
use crate::path::Path;
use crate::transport::Request;

impl Account {
    /// The current version of the key backup; `None` when there is none
    /// ([`GET /room_keys/version`][version]).
    ///
    /// # Errors
    ///
    /// [`Malformed`](crate::ErrorKind::Malformed) when it is of an algorithm that is not known here,
    /// or damaged, and the errors of every call.
    ///
    /// [version]: https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keysversion
    #[instrument(level = "debug", skip_all, fields(user = self.user_id()))]
    pub async fn key_backup(&self) -> Result<Option<BackupVersion>, Error> {
        match self.found_key_backup().await? {
            FoundBackup::None => Ok(None),
            FoundBackup::Readable(version) => Ok(Some(version)),
            FoundBackup::Unreadable(error) => {
                Err(self.malformed("/room_keys/version").because(error))
            }
            FoundBackup::Unavailable(error) => Err(error),
        }
    }

    /// The same, for who goes on with one that cannot be read.
    pub(crate) async fn found_key_backup(&self) -> Result<FoundBackup, Error> {
        let body = match self.found_backup_version().await {
            Ok(None) => return Ok(FoundBackup::None),
            Ok(Some(body)) => body,
            Err(error) if error.is_answer() => return Ok(FoundBackup::Unavailable(error)),
            Err(error) => return Err(error),
        };
        match BackupVersion::from_json(&body) {
            Ok(version) => Ok(FoundBackup::Readable(version)),
            Err(error) => Ok(FoundBackup::Unreadable(error)),
        }
    }

    /// Makes a new version of the key backup, which becomes the current one, and gives its name
    /// ([`POST /room_keys/version`][create]).
    ///
    /// `content` is what [`NewKeyBackup::to_content`](fourfold::NewKeyBackup::to_content) gives. It
    /// is not repeated when nobody knows whether it arrived: every attempt would make one more.
    ///
    /// # Errors
    ///
    /// The errors of every call.
    ///
    /// [create]: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3room_keysversion
    #[instrument(level = "debug", skip_all, fields(user = self.user_id()))]
    pub async fn create_key_backup(&self, content: &Content) -> Result<String, Error> {
        let path = Path::fixed("/_matrix/client/v3/room_keys/version");
        let request = self.signed(Request::post(path, content));
        let answer = self.homeserver.transport.send(&request).await?;
        let body: VersionBody = answer.json("/room_keys/version")?;
        Ok(body.version)
    }

    /// Changes what is published about a version of the key backup, such as its signatures
    /// ([`PUT /room_keys/version/{version}`][update]).
    ///
    /// # Errors
    ///
    /// The errors of every call.
    ///
    /// [update]: https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keysversionversion
    #[instrument(level = "debug", skip_all, fields(user = self.user_id()))]
    pub(crate) async fn update_key_backup(
        &self,
        version: &str,
        content: &Content,
    ) -> Result<(), Error> {
        let path = Path::fixed("/_matrix/client/v3/room_keys/version")
            .segment(version)
            .map_err(|error| error.at(self.homeserver.base_url()))?;
        let request = self.signed(Request::put(path, content.to_json()));
        let answer = self.homeserver.transport.send(&request).await?;
        if answer.is_success() {
            Ok(())
        } else {
            Err(answer.into_error("/room_keys/version"))
        }
    }
}

/// What the homeserver shows as the current version of the key backup.
pub(crate) enum FoundBackup {
    None,
    Readable(BackupVersion),
    /// It is of an unknown algorithm, or damaged.
    Unreadable(BackupVersionError),
    /// The server answers, and fails to say.
    Unavailable(Error),
}

#[derive(Deserialize)]
struct VersionBody {
    version: String,
}

#[cfg(test)]
mod tests {
    use fourfold::NewKeyBackup;
    use fourfold::rand_core::UnwrapErr;

    use crate::ErrorKind;
    use crate::testing::{Reply, Server, once};

    #[tokio::test]
    async fn a_backup_is_made_once() {
        let server = Server::scripted([
            Reply::json(200, r#"{"version":"7"}"#),
            Reply::Drop,
            Reply::json(200, "{}"),
        ])
        .await;
        let (account, _) = server.account(&crate::Options::default());
        let backup = NewKeyBackup::random(&mut UnwrapErr(getrandom::SysRng));
        let content = backup.to_content();
        assert_eq!(account.create_key_backup(&content).await.unwrap(), "7");
        let received = &server.received()[0];
        assert_eq!(received.target, "/_matrix/client/v3/room_keys/version");
        assert_eq!(received.body, content.to_json());
        assert!(!received.body.contains(backup.secret().expose_secret()));
        // Nobody knows whether it arrived: it is not made a second time.
        let error = account.create_key_backup(&content).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Unreachable);
        assert_eq!(server.received().len(), 2);
        let (account, _) = server.account(&once());
        let error = account.create_key_backup(&content).await.unwrap_err();
        let to = "/room_keys/version";
        assert_eq!(error.kind(), &ErrorKind::Malformed { to });
    }
}
