//! The secrets that the agent can give to other devices: those that its key opens.

use std::sync::Arc;

use fourfold::{Secret, SecretName, SecretState, SecretStorage, Snapshot};
use fourfold_client::{Account, SecretSource};

use crate::{agent::vault::Vault, opening};

/// Secret storage, through the key in the vault, at the moment at which a secret is needed.
pub(crate) struct VaultSecrets {
    pub(crate) account: Account,
    pub(crate) vault: Arc<Vault>,
}

impl SecretSource for VaultSecrets {
    /// Locked, or anything else wrong: none. Nobody outside learns which.
    async fn secret(&mut self, name: &SecretName) -> Option<Secret> {
        self.vault.status()?;
        let snapshot = self.account.snapshot().await.ok()?;
        self.vault
            .lending(|key| opening::open(&snapshot, name, key.key()).ok())?
            .map(|opened| opened.secret)
    }
}

impl VaultSecrets {
    /// The names of what could be given; none when it is locked.
    pub(crate) fn names(&self, snapshot: &Snapshot) -> Vec<SecretName> {
        let storage = SecretStorage::new(&snapshot.account_data);
        let Some((key_id, _)) = self.vault.status() else {
            return Vec::new();
        };
        let is_under_it = |name: &SecretName| {
            matches!(
                storage.secret(name),
                SecretState::Encrypted(secret) if secret.entry(&key_id).is_some()
            )
        };
        let names = storage.secrets().map(|(name, _)| name);
        names.filter(is_under_it).collect()
    }
}
