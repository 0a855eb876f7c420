//! Where the secrets are that a device may share.

use std::collections::BTreeMap;
use std::future::Future;

use fourfold::{Secret, SecretName};

/// A source of the secrets of this machine. It is queried at the moment at which one is needed, and
/// may say no at that moment.
pub trait SecretSource: Send {
    /// A secret; `None` when it is not held, or not to be shared now.
    fn secret(&mut self, name: &SecretName) -> impl Future<Output = Option<Secret>> + Send;
}

/// No secrets: nothing is shared.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct NoSecrets;

impl NoSecrets {
    /// No secrets.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Default for NoSecrets {
    fn default() -> Self {
        Self::new()
    }
}

impl SecretSource for NoSecrets {
    async fn secret(&mut self, _: &SecretName) -> Option<Secret> {
        None
    }
}

impl SecretSource for BTreeMap<SecretName, Secret> {
    async fn secret(&mut self, name: &SecretName) -> Option<Secret> {
        self.get(name)
            .map(|secret| Secret::new(secret.expose_secret()))
    }
}
