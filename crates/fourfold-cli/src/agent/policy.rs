//! What other devices of the user may have, as the user wrote it down.

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    agent::address::own_uid,
    error::{Error, Exit, Result},
};

/// What happens when a verified device asks for a secret.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rule {
    /// It gets no answer.
    Deny,
    /// The user decides.
    Ask,
    /// It gets the secret.
    Allow,
}

/// The rules, one for each name of a secret. There are no patterns: what is not named is asked.
///
/// ```toml
/// [secrets]
/// "m.megolm_backup.v1" = "allow"
/// "m.cross_signing.self_signing" = "ask"
/// "org.example.wallet" = "deny"
/// ```
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    #[serde(default)]
    secrets: BTreeMap<String, Rule>,
}

impl Policy {
    /// Reads `--policy FILE`, or the file in the user's configuration if there is one.
    pub(crate) fn load(chosen: Option<&Path>) -> Result<Self> {
        let Some(path) = chosen.map(Path::to_owned).or_else(default_file) else {
            return Ok(Self::default());
        };
        match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound && chosen.is_none() => {
                return Ok(Self::default());
            }
            Err(error) => return Err(Error::usage(format!("{}: {error}", path.display()))),
            // Whoever can write it can have the secrets.
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
        let text = fs::read_to_string(&path)
            .map_err(|error| Error::usage(format!("{}: {error}", path.display())))?;
        Self::parse(&text)
            .map_err(|error| Error::usage(format!("{}: {error}", path.display())).hint(FORMAT))
    }

    /// The rule for a secret. The master key is never asked for by devices that need it: it is
    /// denied unless the file names it. So is what is not a secret at all.
    pub(crate) fn rule(&self, name: &str) -> Rule {
        if IS_NEVER_SHARED
            .iter()
            .any(|prefix| name.starts_with(prefix))
        {
            return Rule::Deny;
        }
        let default = if name == "m.cross_signing.master" {
            Rule::Deny
        } else {
            Rule::Ask
        };
        self.secrets.get(name).copied().unwrap_or(default)
    }

    fn parse(text: &str) -> std::result::Result<Self, String> {
        let policy: Self = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        for (name, rule) in &policy.secrets {
            if name.contains(['*', '?']) {
                return Err(format!("{name:?}: there are no patterns, name each secret"));
            }
            if *rule != Rule::Deny && policy.rule(name) == Rule::Deny {
                return Err(format!("{name:?} is never shared"));
            }
        }
        Ok(policy)
    }
}

/// The keys of secret storage themselves, and what describes them.
const IS_NEVER_SHARED: &[&str] = &["m.secret_storage."];

const FORMAT: &str = r#"it should have a table [secrets] with lines like "m.megolm_backup.v1" = "allow", or "ask", or "deny""#;

fn default_file() -> Option<PathBuf> {
    let from = |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty());
    from("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| from("HOME").map(|home| PathBuf::from(home).join(".config")))
        .map(|folder| folder.join("fourfold/policy.toml"))
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn without_a_file_the_user_decides_and_the_master_key_stays() {
        let policy = Policy::default();
        for (name, rule) in [
            ("m.megolm_backup.v1", Rule::Ask),
            ("m.cross_signing.self_signing", Rule::Ask),
            ("m.cross_signing.master", Rule::Deny),
            ("m.secret_storage.default_key", Rule::Deny),
            ("m.secret_storage.key.abc", Rule::Deny),
            ("org.example", Rule::Ask),
        ] {
            assert_eq!(policy.rule(name), rule, "{name}");
        }
    }

    #[test]
    fn names_are_exact() {
        let policy = Policy::parse(
            r#"
            [secrets]
            "m.megolm_backup.v1" = "allow"
            "m.cross_signing.master" = "ask"
            "org.example" = "deny"
            "#,
        )
        .unwrap();
        assert_eq!(policy.rule("m.megolm_backup.v1"), Rule::Allow);
        assert_eq!(policy.rule("m.cross_signing.master"), Rule::Ask);
        assert_eq!(policy.rule("org.example"), Rule::Deny);
        for name in [
            "m.megolm_backup.v1\0",
            "m.megolm_backup",
            "m.megolm_backup.v10",
            "",
        ] {
            assert_eq!(policy.rule(name), Rule::Ask, "{name}");
        }
    }

    #[test]
    fn rejects_what_is_not_a_policy() {
        for (text, reason) in [
            ("[secrets]\n\"m.*\" = \"allow\"", "no patterns"),
            ("[secrets]\n\"a\" = \"yes\"", "unknown variant"),
            ("[secret]\n\"a\" = \"allow\"", "unknown field"),
            (
                "[secrets]\n\"m.secret_storage.key.a\" = \"allow\"",
                "never shared",
            ),
            (
                "[secrets]\n\"a\" = \"allow\"\n\"a\" = \"deny\"",
                "duplicate key",
            ),
            ("secrets", ""),
        ] {
            let error = Policy::parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn a_file_that_others_can_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.toml");
        assert_eq!(Policy::load(Some(&file)).unwrap_err().exit, Exit::Usage);
        fs::write(&file, "[secrets]\n\"a\" = \"allow\"\n").unwrap();
        for (mode, is_safe) in [(0o644, true), (0o600, true), (0o664, false), (0o646, false)] {
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            let loaded = Policy::load(Some(&file));
            assert_eq!(loaded.is_ok(), is_safe, "{mode:o}");
            if let Err(error) = loaded {
                assert_eq!(error.exit, Exit::Policy);
            }
        }
    }
}
