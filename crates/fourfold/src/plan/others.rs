//! The keys beside those that are replaced: what they still open afterwards.

use std::collections::BTreeMap;

use crate::{KeyId, SecretName, SecretStorage};

/// A key that is not replaced and opens secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct OtherKey {
    /// The key.
    pub id: KeyId,
    /// The secrets that a replaced key opens too.
    pub shared: Vec<SecretName>,
    /// The secrets that none of the replaced keys opens: they stay under this key and others.
    pub alone: Vec<SecretName>,
}

/// The keys that open secrets beside these, in the order of their IDs: what a rotation of these leaves
/// to them. One that shares all it opens can be taken away without a loss
/// ([`remove_key`](super::remove_key)).
///
/// ```
/// # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
/// use fourfold::{AccountData, NewKey, SecretStorage, plan};
/// let mut account_data = AccountData::default();
/// let new = NewKey::random(None, &mut rng);
/// plan::set_up(&SecretStorage::new(&account_data), &new)?.apply_to(&mut account_data);
/// let storage = SecretStorage::new(&account_data);
/// assert!(plan::other_keys(&storage, &[new.key().id()]).is_empty());
/// # Ok::<(), plan::SetUpError>(())
/// ```
#[must_use]
pub fn other_keys(storage: &SecretStorage<'_>, replaced: &[&KeyId]) -> Vec<OtherKey> {
    let mut others: BTreeMap<KeyId, OtherKey> = BTreeMap::new();
    for (name, secret) in storage.secrets() {
        let is_shared = replaced.iter().any(|id| secret.entry(id).is_some());
        for id in secret.key_ids().filter(|id| !replaced.contains(id)) {
            let other = others.entry(id.clone()).or_insert_with(|| OtherKey {
                id: id.clone(),
                shared: Vec::new(),
                alone: Vec::new(),
            });
            let names = if is_shared {
                &mut other.shared
            } else {
                &mut other.alone
            };
            names.push(name.clone());
        }
    }
    others.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AccountData;

    #[test]
    fn what_other_keys_open_is_told_apart() {
        let mut data = AccountData::default();
        for (name, keys) in [
            ("org.example.a", r#""old":{},"paper":{}"#),
            ("org.example.b", r#""paper":{},"team":{}"#),
            ("org.example.c", r#""old":{}"#),
        ] {
            let content = format!(r#"{{"encrypted":{{{keys}}}}}"#);
            data.insert_json(name, content).unwrap();
        }
        let id = |id: &str| KeyId::new(id).unwrap();
        let name = |name: &str| SecretName::new(name).unwrap();
        let storage = SecretStorage::new(&data);
        let others = other_keys(&storage, &[&id("old")]);
        let other = |key: &str, shared: &[&str], alone: &[&str]| OtherKey {
            id: id(key),
            shared: shared.iter().map(|one| name(one)).collect(),
            alone: alone.iter().map(|one| name(one)).collect(),
        };
        assert_eq!(
            others,
            [
                other("paper", &["org.example.a"], &["org.example.b"]),
                other("team", &[], &["org.example.b"]),
            ]
        );
        let all = [&id("old"), &id("paper"), &id("team")];
        assert!(other_keys(&storage, &all).is_empty());
    }
}
