//! A plan for the cross-signing identity.

use super::action::{Action, PublishIdentity, StepState};
use super::steps::Plan;
use crate::PublishedIdentity;
use crate::identity::PublicKeys;

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
    let step = PublishIdentity::over(user_id, published, keys);
    if step.state(published) == StepState::Done {
        return plan;
    }
    if step.replaces() {
        plan.warn(
            "the identity of the account is replaced: everybody who verified it has to verify it \
             again",
        );
    }
    plan.step(
        "publish the identity: three cross-signing keys",
        Action::PublishIdentity(step),
    );
    plan
}
