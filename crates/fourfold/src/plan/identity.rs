//! A plan for the cross-signing identity.

use serde::{Deserialize, Serialize};

use super::{Action, Plan, StepState};
use crate::PublishedIdentity;
use crate::cross_signing::PublicKeys;
use crate::signed_json::PublicKey;

/// Publishes an identity: the three cross-signing keys at once. The plan is empty when they are
/// published already, and warns when it replaces another identity.
///
/// ```
/// # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
/// use fourfold::{PublishedIdentity, cross_signing::CrossSigningKeys, plan};
/// let user_id = "@alice:example.org";
/// let public = CrossSigningKeys::generate(&mut rng).public_keys(user_id)?;
/// // What the server publishes of a user without an identity.
/// let published = PublishedIdentity::from_keys_query(user_id, "{}")?;
/// let plan = plan::publish_identity(user_id, &published, &public);
/// assert_eq!(plan.steps.len(), 1);
/// let published = PublishedIdentity::from_keys_query(user_id, &public.as_keys_query(user_id))?;
/// assert!(plan::publish_identity(user_id, &published, &public).is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn publish_identity(user_id: &str, published: &PublishedIdentity, keys: &PublicKeys) -> Plan {
    let mut plan = Plan::new("publish the identity");
    let step = PublishIdentity {
        user_id: user_id.to_owned(),
        keys: keys.clone(),
        expects: master_key(published),
    };
    if step.state(published) == StepState::Done {
        return plan;
    }
    if let Some(old) = &step.expects
        && Some(old) != master_key(&step.identity()).as_ref()
    {
        plan.warn(
            "the identity of the account is replaced: everybody who verified it has to do so again",
        );
    }
    plan.step(
        "publish the identity: three cross-signing keys",
        Action::PublishIdentity(step),
    );
    plan
}

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
    /// What is uploaded.
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
