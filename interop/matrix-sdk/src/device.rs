//! A client that is logged in and stays in sync.

use std::sync::Arc;
use std::time::Duration;

use matrix_sdk::Client;
use matrix_sdk::config::{StoreConfig, SyncSettings};
use matrix_sdk::cross_process_lock::CrossProcessLockConfig;
use matrix_sdk::encryption::secret_storage::SecretStore;
use matrix_sdk::ruma::OwnedDeviceId;
use matrix_sdk::ruma::api::client::uiaa;
use matrix_sdk_crypto::store::MemoryStore;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::command::{Answer, text};
use crate::patience::until;
use crate::verifications::Verifications;

/// The timeout of a sync at the server.
const POLL: Duration = Duration::from_secs(10);

/// The pause after a sync that failed.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct Device {
    pub(crate) client: Client,
    /// The client's own store, which knows the key of the backup.
    pub(crate) store: Arc<MemoryStore>,
    /// Changes after each answer to a sync, when all that it brought is done.
    pub(crate) synced: watch::Receiver<u64>,
    pub(crate) unlocked: Option<SecretStore>,
    pub(crate) verifications: Verifications,
    syncing: JoinHandle<()>,
}

impl Device {
    /// Logs in, and answers when the first sync is done.
    pub(crate) async fn log_in(command: &Value) -> Answer<(Self, Value)> {
        let store = Arc::new(MemoryStore::new());
        let stores = StoreConfig::new(CrossProcessLockConfig::SingleProcess);
        let client = Client::builder()
            .homeserver_url(text(command, "homeserver")?)
            .store_config(stores.crypto_store(Arc::clone(&store)))
            .build()
            .await?;
        let session = client
            .matrix_auth()
            .login_username(text(command, "user")?, text(command, "password")?)
            .initial_device_display_name(text(command, "name")?)
            .send()
            .await?;
        let verifications = Verifications::observe(&client);
        let (beat, mut synced) = watch::channel(0);
        let syncing = tokio::spawn(sync(client.clone(), beat));
        synced.changed().await?;
        // The published identity must be known before one is taken from secret storage.
        client
            .encryption()
            .request_user_identity(&session.user_id)
            .await?;
        let who = json!({
            "user_id": session.user_id,
            "device_id": session.device_id,
            "ed25519": client.encryption().ed25519_key().await,
            "curve25519": client.encryption().curve25519_key().await.map(|key| key.to_base64()),
        });
        let device = Self {
            client,
            store,
            synced,
            unlocked: None,
            verifications,
            syncing,
        };
        Ok((device, who))
    }

    /// Waits until a device is known, and verified or not.
    pub(crate) async fn await_device(&self, command: &Value) -> Answer {
        let device = text(command, "device")?;
        let wanted = command.get("verified") == Some(&json!(true));
        let what = format!("device {device} is verified: {wanted}");
        until(&what, self.synced.clone(), async || {
            let Some(found) = self.find(device).await? else {
                return Ok(None);
            };
            let verified = found.is_verified_with_cross_signing();
            Ok((verified == wanted && found.is_verified() == wanted).then_some(Value::Null))
        })
        .await
    }

    pub(crate) async fn known(
        &self,
        device: &str,
    ) -> Answer<matrix_sdk::encryption::identities::Device> {
        let what = format!("device {device} is known");
        until(&what, self.synced.clone(), async || self.find(device).await).await
    }

    pub(crate) async fn log_out(&self) -> Answer {
        self.syncing.abort();
        self.client.matrix_auth().logout().await?;
        Ok(Value::Null)
    }

    /// The answer to the question for the password.
    pub(crate) fn password(
        &self,
        command: &Value,
        session: Option<String>,
    ) -> Answer<uiaa::AuthData> {
        let user = self.client.user_id().ok_or("not logged in")?.to_owned();
        let mut password = uiaa::Password::new(user.into(), text(command, "password")?.to_owned());
        password.session = session;
        Ok(uiaa::AuthData::Password(password))
    }

    async fn find(
        &self,
        device: &str,
    ) -> Answer<Option<matrix_sdk::encryption::identities::Device>> {
        let user = self.client.user_id().ok_or("not logged in")?;
        let device = OwnedDeviceId::from(device);
        Ok(self.client.encryption().get_device(user, &device).await?)
    }
}

/// Syncs without the pauses that the library makes.
async fn sync(client: Client, beat: watch::Sender<u64>) {
    let settings = SyncSettings::new().timeout(POLL);
    loop {
        match client.sync_once(settings.clone()).await {
            Ok(_) => beat.send_modify(|count| *count += 1),
            Err(error) => {
                eprintln!("a sync failed: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
