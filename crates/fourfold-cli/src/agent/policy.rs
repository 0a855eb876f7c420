//! The user's policy: which secrets other devices may have.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use fourfold::SecretName;
use fourfold::sharing::{Policy, Rule};
use serde::Deserialize;

use crate::agent::address::own_uid;
use crate::error::{Error, Exit, Result};

/// The file, as it is written.
///
/// ```toml
/// [secrets]
/// "m.megolm_backup.v1" = "allow"
/// "m.cross_signing.self_signing" = "ask"
/// "org.example.wallet" = "deny"
/// ```
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    #[serde(default)]
    secrets: BTreeMap<String, Rule>,
}

/// Reads `--policy FILE`, or the file in the user's configuration if there is one.
pub(crate) fn load(chosen: Option<&Path>) -> Result<Policy> {
    let Some(path) = chosen.map(Path::to_owned).or_else(default_file) else {
        return Ok(Policy::default());
    };
    match fs::metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound && chosen.is_none() => {
            return Ok(Policy::default());
        }
        Err(error) => return Err(Error::file(&path, error)),
        // Anyone who can write it can get the secrets.
        Ok(metadata) => {
            let is_own = metadata.uid() == own_uid() || metadata.uid() == 0;
            if !is_own || metadata.mode() & 0o022 != 0 {
                return Err(Error::new(
                    Exit::Policy,
                    format!("{} can be written by other users", path.display()),
                )
                .hint("check what it says, then run chmod go-w on it"));
            }
        }
    }
    let text = fs::read_to_string(&path).map_err(|error| Error::file(&path, error))?;
    parse(&text).map_err(|error| Error::file(&path, error).hint(FORMAT))
}

/// Secrets that the file does not list have the default rule of [`Policy`].
fn parse(text: &str) -> std::result::Result<Policy, String> {
    let file: PolicyFile = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    file.secrets
        .into_iter()
        .try_fold(Policy::default(), |policy, (name, rule)| {
            if name.contains(['*', '?']) {
                return Err(format!("{name:?}: there are no patterns, name each secret"));
            }
            // The keys of secret storage have names that no secret can have.
            let secret = SecretName::new(&name).map_err(|error| format!("{name:?}: {error}"))?;
            Ok(policy.with_rule(secret, rule))
        })
}

const FORMAT: &str = r#"it should have a table [secrets] with lines like "m.megolm_backup.v1" = "allow", or "ask", or "deny", or "allow_just_confirmed""#;

fn default_file() -> Option<PathBuf> {
    let from = |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty());
    from("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| from("HOME").map(|home| PathBuf::from(home).join(".config")))
        .map(|folder| folder.join("fourfold/policy.toml"))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn rule(policy: &Policy, name: &str) -> Rule {
        policy.rule(&SecretName::new(name).unwrap())
    }

    // shows: AGT-05
    #[test]
    fn names_are_exact_and_what_is_not_named_keeps_its_rule() {
        let policy = parse(
            r#"
            [secrets]
            "m.megolm_backup.v1" = "allow"
            "m.cross_signing.user_signing" = "ask"
            "org.example" = "deny"
            "#,
        )
        .unwrap();
        for (name, expected) in [
            ("m.megolm_backup.v1", Rule::Allow),
            ("m.cross_signing.user_signing", Rule::Ask),
            ("org.example", Rule::Deny),
            ("m.cross_signing.master", Rule::Deny),
            ("m.megolm_backup", Rule::AllowJustConfirmed),
            ("m.megolm_backup.v10", Rule::AllowJustConfirmed),
        ] {
            assert_eq!(rule(&policy, name), expected, "{name}");
        }
        let nothing = parse("").unwrap();
        assert_eq!(nothing, Policy::default());
        let named = parse("[secrets]\n\"m.cross_signing.master\" = \"ask\"").unwrap();
        assert_eq!(rule(&named, "m.cross_signing.master"), Rule::Ask);
    }

    #[test]
    fn rejects_what_is_not_a_policy() {
        for (text, reason) in [
            ("[secrets]\n\"m.*\" = \"allow\"", "no patterns"),
            ("[secrets]\n\"a\" = \"yes\"", "unknown variant"),
            ("[secret]\n\"a\" = \"allow\"", "unknown field"),
            (
                "[secrets]\n\"m.secret_storage.key.a\" = \"allow\"",
                "m.secret_storage.key.a",
            ),
            (
                "[secrets]\n\"a\" = \"allow\"\n\"a\" = \"deny\"",
                "duplicate key",
            ),
            ("secrets", ""),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn a_file_that_others_can_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.toml");
        assert_eq!(load(Some(&file)).unwrap_err().exit, Exit::Usage);
        fs::write(&file, "[secrets]\n\"a\" = \"allow\"\n").unwrap();
        for (mode, is_safe) in [(0o644, true), (0o600, true), (0o664, false), (0o646, false)] {
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            let loaded = load(Some(&file));
            assert_eq!(loaded.is_ok(), is_safe, "{mode:o}");
            if let Err(error) = loaded {
                assert_eq!(error.exit, Exit::Policy);
            }
        }
    }
}
