//! The secrets that the agent can give to other devices: those that its key opens.

use std::sync::Arc;

use fourfold::{Secret, SecretName, Snapshot};
use fourfold_client::{Account, LocalState, SecretSource};

use crate::agent::vault::Vault;
use crate::options::AcceptOptions;
use crate::storage::judged::Compared;
use crate::storage::opening;

/// Secret storage, through the key in the vault, at the moment at which a secret is needed.
pub(crate) struct VaultSecrets {
    pub(crate) account: Account,
    pub(crate) vault: Arc<Vault>,
    /// The history of the account on this machine.
    pub(crate) state: LocalState,
}

impl SecretSource for VaultSecrets {
    /// Locked, a change that forbids opening it, or anything else wrong: none. Nobody outside learns
    /// which.
    async fn secret(&mut self, name: &SecretName) -> Option<Secret> {
        self.vault.status()?;
        let snapshot = self.account.snapshot().await.ok()?;
        // Changes remain to be reported to the user.
        let compared = Compared::look(&self.state, &snapshot, AcceptOptions::default()).ok()?;
        let snapshot = compared.for_opening(snapshot, Some(name)).ok()?;
        let opened = self
            .vault
            .lending(|key| opening::open(&snapshot, name, key.key()).ok())??;
        // An entry that is new here is remembered when the user was told of it.
        let _ = self
            .state
            .opened_one(&snapshot.account_data, name, &opened.key_id);
        Some(opened.secret)
    }
}

impl VaultSecrets {
    /// The names of what could be given; none when it is locked.
    pub(crate) fn names(&self, snapshot: &Snapshot) -> Vec<SecretName> {
        match self.vault.status() {
            Some((key_id, _)) => snapshot.storage().secrets_under(&key_id).collect(),
            None => Vec::new(),
        }
    }
}
