//! The 2019 profile: keys as MSC1946 defined them in August 2019.
//!
//! A key is the default when its description, signed by the master cross-signing key, is named
//! `m.default`; only one may be.

use super::draft::Draft;
use super::key::put_description;
use super::steps::Plan;
use crate::signable::Signable;
use crate::signed_json::{SignatureError, SigningKey};
use crate::{Algorithm, Content, KeyDescription, NewKey, SecretStorage};

/// Adds a key of 2019. When it is named `m.default`, whatever key had that name loses it first. The
/// description of such a key is signed again if the master key had signed it, and only then: the
/// server may have put it there.
///
/// # Errors
///
/// [`SignatureError`] when a description that must lose its name cannot be signed.
pub fn create_key_2019(
    storage: &SecretStorage<'_>,
    new: &NewKey,
    user_id: &str,
    master_key: &SigningKey,
) -> Result<Plan, SignatureError> {
    let mut draft = Draft::new(storage, format!("create the 2019 key {}", new.key().id()));
    let is_default = |name: Option<String>| name.as_deref() == Some(DEFAULT_NAME);
    if is_default(new.description().name()) {
        let others = storage.keys().filter(|key| key.id() != new.key().id());
        for old in others.filter(|key| is_default(key.name())) {
            let content = without_name(&mut draft, &old, user_id, master_key)?;
            let reason = format!("{} is no longer the default key", old.id());
            draft.put(old.id().event_type(), content, reason);
        }
    }
    put_description(&mut draft, new);
    Ok(draft.finish())
}

/// A description without its name, signed again if the master key had signed it.
fn without_name(
    draft: &mut Draft,
    old: &KeyDescription,
    user_id: &str,
    master_key: &SigningKey,
) -> Result<Content, SignatureError> {
    let mut content = old.content().clone();
    content.remove("name");
    // No signature fits the description without its name.
    let was_signed = content.remove("signatures");
    if old
        .verify_signature(user_id, &master_key.public_key())
        .is_err()
    {
        if was_signed || old.algorithm() == Some(Algorithm::Curve25519AesSha2) {
            draft.warn(format!(
                "the description of {} was not signed by the master key, so it is not signed",
                old.id()
            ));
        }
        return Ok(content);
    }
    // What is signed is built here. Where that is not all that the description has, what it has
    // stays, unsigned.
    if let Some(mut rebuilt) = rebuilt(old)
        && rebuilt.content().is_same(&content)
    {
        master_key.sign(&mut rebuilt, user_id)?;
        return Ok(rebuilt.into_content());
    }
    draft.warn(format!(
        "the description of {} has unknown members, so it is not signed",
        old.id()
    ));
    Ok(content)
}

/// The known members of a 2019 key description, without its name.
fn rebuilt(description: &KeyDescription) -> Option<Signable> {
    if description.algorithm() != Some(Algorithm::Curve25519AesSha2) {
        return None;
    }
    let public_key = description.public_key().ok()??;
    let passphrase = description.passphrase().transpose().ok()?;
    Some(Signable::key_description(
        None,
        &public_key,
        passphrase.as_ref(),
    ))
}

/// The name that made a key the default in 2019.
pub(crate) const DEFAULT_NAME: &str = "m.default";
