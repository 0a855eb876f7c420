//! A step that publishes an identity.

use serde::{Deserialize, Serialize};

use super::state::StepState;
use crate::PublishedIdentity;
use crate::identity::PublicKeys;
use crate::signed_json::PublicKey;

/// Publish these three keys, expecting that master key
/// ([`POST /keys/device_signing/upload`][upload]). Servers may ask for the password.
///
/// [upload]: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysdevice_signingupload
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PublishIdentity {
    user_id: String,
    keys: PublicKeys,
    /// The master key that was published when the plan was made.
    expects: Option<String>,
}

impl PublishIdentity {
    /// Expects the master key that is published now.
    pub(in crate::plan) fn over(
        user_id: &str,
        published: &PublishedIdentity,
        keys: &PublicKeys,
    ) -> Self {
        Self {
            user_id: user_id.to_owned(),
            keys: keys.clone(),
            expects: master_key(published),
        }
    }

    /// The upload.
    #[must_use]
    pub fn keys(&self) -> &PublicKeys {
        &self.keys
    }

    /// Compares what is published now with what the step expects.
    #[must_use]
    pub fn state(&self, now: &PublishedIdentity) -> StepState {
        let wanted = self.identity();
        if all_keys(now).is_some_and(|keys| Some(keys) == all_keys(&wanted)) {
            StepState::Done
        } else if master_key(now) == self.expects {
            StepState::Due
        } else {
            StepState::Conflict
        }
    }

    /// Returns `true` if another identity than the one of these keys is published, and goes.
    pub(in crate::plan) fn replaces(&self) -> bool {
        self.expects.is_some() && self.expects != master_key(&self.identity())
    }

    /// What is published once the step is done; a stored plan may hold anything.
    fn identity(&self) -> PublishedIdentity {
        PublishedIdentity::of(&self.user_id, &self.keys)
    }
}

fn master_key(identity: &PublishedIdentity) -> Option<String> {
    identity.master_key().ok().map(|key| key.to_base64())
}

/// All three, when each can be relied on.
fn all_keys(identity: &PublishedIdentity) -> Option<[PublicKey; 3]> {
    Some([
        identity.master_key().ok()?,
        identity.self_signing_key().ok()?,
        identity.user_signing_key().ok()?,
    ])
}
