//! The plan for taking secrets out of an exported file.

use rand_core::CryptoRng;

use super::draft::Draft;
use super::secret::{StoreError, WritingKey, store};
use super::steps::Plan;
use crate::secret_kind::is_same_value;
use crate::{
    OpenError, ProvenKey, PublishedKeys, Secret, SecretName, SecretState, SecretStorage,
    SecretStorageKey, SecretValueError, Snapshot, Verdict,
};

/// What the user said about a file that does not match the account.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "callers make it")]
pub struct ImportChoices {
    /// Secrets that do not match the published keys are omitted, instead of refusing the file.
    pub matching_only: bool,
    /// The file may be of a different user.
    pub other_user: bool,
    /// Different values that the account has are replaced.
    pub replace: bool,
}

/// Stores the secrets of a file that [`export::seal`](crate::export::seal) made, or of any other
/// snapshot: those that are named, or all. Each is compared with what the account publishes and with
/// what it has. What is there already stays as it is.
///
/// Without the user's word nothing is stored that does not match the published keys, and nothing is
/// replaced but by a value that the published key proves right.
///
/// # Errors
///
/// [`ImportError`]: a secret of the file does not open, or the file and the account do not match.
pub fn import(
    account: &Snapshot,
    file: (&Snapshot, &SecretStorageKey),
    names: &[SecretName],
    key: &ProvenKey,
    choices: ImportChoices,
    rng: &mut impl CryptoRng,
) -> Result<Plan, ImportError> {
    let (file, file_key) = file;
    if file.user_id != account.user_id && !choices.other_user {
        let user_id = file.user_id.clone();
        return Err(ImportError::OtherUser { user_id });
    }
    let (exported, published_keys) = (file.storage(), account.published_keys());
    let names = if names.is_empty() {
        all(&exported)
    } else {
        names.to_vec()
    };
    if names.is_empty() {
        return Err(ImportError::Nothing);
    }
    let storage = account.storage();
    let mut draft = Draft::new(&storage, format!("import {}", list(&names)));
    for name in names {
        let opened = match exported.open(&name, file_key) {
            Ok(opened) => opened,
            Err(error) => return Err(ImportError::Open { name, error }),
        };
        let verdict = match opened.judge(&name, &published_keys) {
            Ok(verdict) => verdict,
            Err(error) if choices.matching_only => {
                draft.warn(format!("{name} is omitted: {error}"));
                continue;
            }
            Err(error) => return Err(ImportError::Value { name, error }),
        };
        match compare(&storage, &name, &opened.secret, key, &published_keys) {
            Existing::Same => {
                draft.warn(format!("the account has {name} already"));
                continue;
            }
            Existing::None => {}
            Existing::Other if is_proven(&verdict) || choices.replace => {
                draft.warn(format!("the account's value of {name} is replaced"));
            }
            Existing::Other => return Err(ImportError::Differs { name }),
        }
        if matches!(verdict, Verdict::NothingToCompare { .. }) {
            draft.warn(format!(
                "{name} could not be compared: its public key is not published"
            ));
        }
        let keys = [WritingKey::Proven(key)];
        draft.append(store(
            &storage,
            &name,
            &opened.secret,
            &keys,
            &published_keys,
            rng,
        )?);
    }
    Ok(draft.finish())
}

/// What the account has under the name of a secret that is imported.
enum Existing {
    None,
    /// The same value, and the key opens it.
    Same,
    /// A different value, or one that the key does not open.
    Other,
}

fn compare(
    storage: &SecretStorage<'_>,
    name: &SecretName,
    imported: &Secret,
    key: &ProvenKey,
    published_keys: &PublishedKeys,
) -> Existing {
    // What is damaged, or is no secret, is refused where it would be overwritten.
    if !matches!(storage.secret(name), SecretState::Encrypted(_)) {
        return Existing::None;
    }
    match storage.open_entry(name, key.key()) {
        Ok(copy) if !is_same_value(name, &copy.secret, imported) => Existing::Other,
        Ok(copy) if copy.judge(name, published_keys).is_ok() => Existing::Same,
        _ => Existing::Other,
    }
}

/// Returns `true` if the published key says that there is no other right value.
fn is_proven(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Matches { .. })
}

/// The secrets of a file, those that are damaged included: a file is imported whole or not at all.
fn all(exported: &SecretStorage<'_>) -> Vec<SecretName> {
    let is_secret = |name: &SecretName| {
        matches!(
            exported.secret(name),
            SecretState::Encrypted(_) | SecretState::Malformed(_)
        )
    };
    exported.names().filter(is_secret).collect()
}

fn list(names: &[SecretName]) -> String {
    match names {
        [name] => name.to_string(),
        names => format!("{} secrets", names.len()),
    }
}

/// Why nothing is imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The account has a different value, or one that the key does not open, and no published key
    /// tells which is right.
    #[error("the account has a different value of {name}, or one that the key does not open")]
    Differs {
        /// The name of the secret.
        name: SecretName,
    },
    /// There are no secrets in the file.
    #[error("the file has no secrets")]
    Nothing,
    /// A secret of the file does not open.
    #[error("{name} in the file: {error}")]
    Open {
        /// The name of the secret.
        name: SecretName,
        /// Why.
        error: OpenError,
    },
    /// The file is of a different user.
    #[error("the file is of the account {user_id}")]
    OtherUser {
        /// The user. Untrusted text.
        user_id: String,
    },
    /// A secret cannot be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A secret of the file is not what its name says, or does not match the published key: it may be
    /// older than the last reset of the identity, or than the last new version of the key backup.
    #[error("{name} in the file does not match the account: {error}")]
    Value {
        /// The name of the secret.
        name: SecretName,
        /// Why.
        error: SecretValueError,
    },
}

crate::error_code::error_codes! {
    ImportError:
    Self::Differs { .. } => "import_differs",
    Self::Nothing { .. } => "import_nothing",
    Self::OtherUser { .. } => "import_other_user",
    Self::Value { .. } => "import_value",
    ;
    Self::Open { error, .. } => error,
    Self::Store(error) => error,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fixed, rng};
    use crate::{AccountData, Content, NewKey, Timestamp, export, plan};

    const NAME: &str = "org.example.token";

    fn name(text: &str) -> SecretName {
        SecretName::new(text).unwrap()
    }

    fn account(user_id: &str, new: &NewKey) -> Snapshot {
        let mut account = Snapshot::new(user_id, AccountData::default(), None, None).unwrap();
        let plan = plan::set_up(&account.storage(), new).unwrap();
        plan.apply_to(&mut account.account_data);
        account
    }

    fn export_of(
        account: &Snapshot,
        values: &[(&str, &str)],
        rng: &mut Fixed,
    ) -> (Snapshot, NewKey) {
        let secrets: Vec<_> = values
            .iter()
            .map(|(text, value)| (name(text), Secret::new(*value)))
            .collect();
        let new = NewKey::random(None, rng);
        let now = Timestamp::from_millis(1);
        let file = export::seal(account, &secrets, &new, now, rng).unwrap();
        (file, new)
    }

    #[test]
    fn what_the_account_has_is_replaced_on_request_only() {
        let mut rng = rng();
        let own = NewKey::random(None, &mut rng);
        let mut account = account("@a:b.org", &own);
        let (file, sealed) = export_of(&account, &[(NAME, "old")], &mut rng);
        let (key, file) = (own.key(), (&file, sealed.key().key()));
        let mut choices = ImportChoices::default();
        let plan = import(&account, file, &[], key, choices, &mut rng).unwrap();
        assert_eq!(plan.steps.len(), 1);
        plan.apply_to(&mut account.account_data);
        // The same once more changes nothing.
        let plan = import(&account, file, &[], key, choices, &mut rng).unwrap();
        assert!(plan.is_empty());
        let newer = account.store(&name(NAME), &Secret::new("new"), key, &mut rng);
        newer.unwrap().apply_to(&mut account.account_data);
        let refused = import(&account, file, &[], key, choices, &mut rng).unwrap_err();
        assert_eq!(refused, ImportError::Differs { name: name(NAME) });
        choices.replace = true;
        let plan = import(&account, file, &[], key, choices, &mut rng).unwrap();
        plan.apply_to(&mut account.account_data);
        let opened = account.open(&name(NAME), key).unwrap();
        assert_eq!(opened.secret.expose_secret(), "old");
    }

    #[test]
    fn a_damaged_secret_refuses_the_whole_file() {
        let mut rng = rng();
        let own = NewKey::random(None, &mut rng);
        let account = account("@a:b.org", &own);
        let (mut file, sealed) = export_of(&account, &[(NAME, "1"), ("org.b", "2")], &mut rng);
        let choices = ImportChoices::default();
        for damaged in [r#"{"encrypted":{"other":{}}}"#, r#"{"encrypted":7}"#] {
            let content = Content::from_json(damaged).unwrap();
            file.account_data.insert("org.b", &content);
            let file = (&file, sealed.key().key());
            let refused = import(&account, file, &[], own.key(), choices, &mut rng).unwrap_err();
            assert!(matches!(refused, ImportError::Open { .. }), "{damaged}");
            let named = [name(NAME)];
            let plan = import(&account, file, &named, own.key(), choices, &mut rng).unwrap();
            assert_eq!(plan.steps.len(), 1);
        }
        file.account_data = AccountData::default();
        let file = (&file, sealed.key().key());
        let refused = import(&account, file, &[], own.key(), choices, &mut rng).unwrap_err();
        assert_eq!(refused, ImportError::Nothing);
    }

    #[test]
    fn a_file_of_a_different_user_takes_the_users_word() {
        let mut rng = rng();
        let own = NewKey::random(None, &mut rng);
        let other = account("@b:b.org", &NewKey::random(None, &mut rng));
        let account = account("@a:b.org", &own);
        let (file, sealed) = export_of(&other, &[(NAME, "1")], &mut rng);
        let file = (&file, sealed.key().key());
        let mut choices = ImportChoices::default();
        let refused = import(&account, file, &[], own.key(), choices, &mut rng).unwrap_err();
        let user_id = "@b:b.org".to_owned();
        assert_eq!(refused, ImportError::OtherUser { user_id });
        choices.other_user = true;
        assert!(import(&account, file, &[], own.key(), choices, &mut rng).is_ok());
    }
}
