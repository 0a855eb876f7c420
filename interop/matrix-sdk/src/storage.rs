//! The private keys of a device, and secret storage.

use matrix_sdk::encryption::backups::BackupState;
use matrix_sdk_crypto::store::CryptoStore as _;
use serde_json::{Value, json};

use crate::command::{Answer, optional, text};
use crate::device::Device;
use crate::patience::until;

impl Device {
    /// Makes an identity, secret storage with a new key, and a key backup.
    pub(crate) async fn set_up(&mut self, command: &Value) -> Answer {
        let encryption = self.client.encryption();
        if let Err(error) = encryption.bootstrap_cross_signing(None).await {
            let Some(asked) = error.as_uiaa_response() else {
                return Err(error.into());
            };
            let password = self.password(command, asked.session.clone())?;
            encryption.bootstrap_cross_signing(Some(password)).await?;
        }
        let recovery = encryption.recovery();
        let mut enable = recovery.enable();
        if let Some(passphrase) = optional(command, "passphrase") {
            enable = enable.with_passphrase(passphrase);
        }
        let key = enable.await?;
        self.open(&key).await?;
        Ok(json!({ "recovery_key": key }))
    }

    /// Makes a new key of secret storage and fills it with what this device holds.
    pub(crate) async fn change_key(&mut self, command: &Value) -> Answer {
        let recovery = self.client.encryption().recovery();
        let mut reset = recovery.reset_key();
        if let Some(passphrase) = optional(command, "passphrase") {
            reset = reset.with_passphrase(passphrase);
        }
        let key = reset.await?;
        self.open(&key).await?;
        Ok(json!({ "recovery_key": key }))
    }

    pub(crate) async fn unlock(&mut self, command: &Value) -> Answer {
        self.open(entered(command)?).await?;
        Ok(Value::Null)
    }

    /// Takes the identity and the key of the backup from secret storage, and signs this device.
    pub(crate) async fn recover(&mut self, command: &Value) -> Answer {
        let entered = entered(command)?;
        let recovery = self.client.encryption().recovery();
        recovery.recover(entered).await?;
        self.open(entered).await?;
        Ok(Value::Null)
    }

    pub(crate) async fn get(&self, command: &Value) -> Answer {
        let store = self.unlocked.as_ref().ok_or("secret storage is locked")?;
        Ok(json!(store.get_secret(text(command, "name")?).await?))
    }

    pub(crate) async fn put(&self, command: &Value) -> Answer {
        let store = self.unlocked.as_ref().ok_or("secret storage is locked")?;
        store
            .put_secret(text(command, "name")?, text(command, "secret")?)
            .await?;
        Ok(Value::Null)
    }

    /// The names of the private keys that this device has.
    pub(crate) async fn held(&self) -> Answer {
        Ok(json!(self.names_held().await?))
    }

    pub(crate) async fn await_held(&self, command: &Value) -> Answer {
        let names: Vec<&str> = command
            .get("names")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let what = format!("this device holds {}", names.join(", "));
        until(&what, self.synced.clone(), async || {
            let held = self.names_held().await?;
            Ok(names
                .iter()
                .all(|name| held.contains(name))
                .then(|| json!(held)))
        })
        .await
    }

    /// The backup that this device uses, or `null`.
    pub(crate) async fn backup(&self) -> Answer {
        let backups = self.client.encryption().backups();
        if !backups.fetch_exists_on_server().await? {
            return Ok(Value::Null);
        }
        until("the backup is in use", self.synced.clone(), async || {
            if backups.state() != BackupState::Enabled {
                return Ok(None);
            }
            let keys = self.store.load_backup_keys().await?;
            let Some(private) = keys.decryption_key else {
                return Ok(None);
            };
            Ok(Some(json!({
                "version": keys.backup_version,
                "public_key": private.megolm_v1_public_key().to_base64(),
                "trusted": true,
                "active": true,
            })))
        })
        .await
    }

    async fn names_held(&self) -> Answer<Vec<&'static str>> {
        let status = self.client.encryption().cross_signing_status().await;
        let status = status.ok_or("not logged in")?;
        let backup = self.store.load_backup_keys().await?;
        Ok([
            ("m.cross_signing.master", status.has_master),
            ("m.cross_signing.self_signing", status.has_self_signing),
            ("m.cross_signing.user_signing", status.has_user_signing),
            ("m.megolm_backup.v1", backup.decryption_key.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, held)| held.then_some(name))
        .collect())
    }

    async fn open(&mut self, key: &str) -> Answer<()> {
        let storage = self.client.encryption().secret_storage();
        self.unlocked = Some(storage.open_secret_store(key).await?);
        Ok(())
    }
}

/// What the user enters: the library tells a recovery key and a passphrase apart.
fn entered(command: &Value) -> Answer<&str> {
    optional(command, "recovery_key")
        .or_else(|| optional(command, "passphrase"))
        .ok_or_else(|| "the command has no recovery_key and no passphrase".into())
}
