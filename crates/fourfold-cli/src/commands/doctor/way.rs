//! How each repair is made: by `doctor --fix`, or by which other command.

use fourfold::health::{Remedy, Repair, Requirement};

/// How a repair is made.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Way {
    /// `fourfold doctor --fix` makes it.
    Fix,
    /// These commands, one after the other.
    Commands(Vec<String>),
}

impl Way {
    /// Of a repair, with what is at hand for it.
    pub(super) fn of(repair: &Repair) -> Self {
        match &repair.remedy {
            Remedy::StoreHeld(name) if repair.needs.contains(&Requirement::OtherCopy) => {
                Self::command(format!("put {} FILE", word(name.as_str(), "NAME")))
            }
            remedy => Self::of_remedy(remedy),
        }
    }

    fn of_remedy(remedy: &Remedy) -> Self {
        match remedy {
            Remedy::RestoreDescription(_)
            | Remedy::DescribeAgain(_)
            | Remedy::AddKeyCheck(_)
            | Remedy::Rewrap { .. }
            | Remedy::StoreHeld(_)
            | Remedy::Rewrite(_)
            | Remedy::MakeDefault(_)
            | Remedy::AlignBackupFlags
            | Remedy::RestoreBackupKey
            | Remedy::SignBackup
            | Remedy::NewBackup
            | Remedy::ReplaceCopies(_)
            | Remedy::WithdrawEntry { .. }
            | Remedy::RetireKey(_) => Self::Fix,
            Remedy::Request(name) => {
                let name = word(name.as_str(), "NAME");
                Self::Commands(vec![
                    format!("fourfold request {name} --out FILE"),
                    format!("fourfold put {name} FILE"),
                ])
            }
            Remedy::Migrate(_) => Self::command("key migrate"),
            Remedy::SignDevice(id) => {
                // On the device itself no fingerprint has to be compared.
                let id = word(id, "DEVICE");
                Self::command(format!("device verify {id}"))
            }
            // What setup cannot complete it names, with what is missing.
            Remedy::PublishIdentity | Remedy::SetUp => Self::command("setup"),
            Remedy::NewSigningKey(_) => Self::command("setup --new-signing-keys"),
            Remedy::RotateKey(id) => {
                let id = word(id.as_str(), "ID");
                Self::command(format!("key rotate --key {id}"))
            }
            Remedy::LogOutDevice(id) => Self::command(format!("device rm {}", word(id, "DEVICE"))),
            Remedy::DeleteBackup(version) => {
                Self::command(format!("backup rm {}", word(version, "VERSION")))
            }
            Remedy::ResetIdentity => Self::command("setup --reset-identity"),
        }
    }

    fn command(arguments: impl std::fmt::Display) -> Self {
        Self::Commands(vec![format!("fourfold {arguments}")])
    }
}

/// A name that others chose, where it can be pasted into a shell and means itself there; else what
/// stands for it.
fn word<'a>(name: &'a str, placeholder: &'a str) -> &'a str {
    let is_harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+:/@=".contains(&byte);
    let is_word = !name.is_empty() && !name.starts_with('-') && name.bytes().all(is_harmless);
    if is_word { name } else { placeholder }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use fourfold::{KeyId, SecretName};

    use super::*;
    use crate::commands::Arguments;

    fn key() -> KeyId {
        KeyId::new("key1").unwrap()
    }

    fn secret() -> SecretName {
        SecretName::new("org.example.token").unwrap()
    }

    /// One of each. A new one makes the match above fail to compile.
    fn every_remedy() -> Vec<Remedy> {
        let rewrap = Remedy::Rewrap {
            name: secret(),
            from: key(),
            to: key(),
        };
        let withdraw = Remedy::WithdrawEntry {
            name: secret(),
            key_id: key(),
        };
        vec![
            Remedy::RestoreDescription(key()),
            Remedy::DescribeAgain(key()),
            Remedy::AddKeyCheck(key()),
            rewrap,
            Remedy::StoreHeld(secret()),
            Remedy::Request(secret()),
            Remedy::Rewrite(secret()),
            Remedy::MakeDefault(key()),
            Remedy::Migrate(key()),
            Remedy::AlignBackupFlags,
            Remedy::RestoreBackupKey,
            Remedy::SignBackup,
            Remedy::NewBackup,
            Remedy::SignDevice("DEVICE".to_owned()),
            Remedy::PublishIdentity,
            Remedy::NewSigningKey(SecretName::self_signing_key()),
            Remedy::ReplaceCopies(secret()),
            withdraw,
            Remedy::RetireKey(key()),
            Remedy::RotateKey(key()),
            Remedy::SetUp,
            Remedy::LogOutDevice("DEVICE".to_owned()),
            Remedy::DeleteBackup("1".to_owned()),
            Remedy::ResetIdentity,
        ]
    }

    #[test]
    fn every_remedy_has_a_way_and_every_command_is_one() {
        let mut by_command = 0;
        for remedy in every_remedy() {
            match Way::of_remedy(&remedy) {
                Way::Fix => {}
                Way::Commands(commands) => {
                    assert!(!commands.is_empty(), "{remedy}");
                    by_command += 1;
                    for command in commands {
                        let parsed = Arguments::try_parse_from(command.split(' '));
                        assert!(parsed.is_ok(), "{command}");
                    }
                }
            }
        }
        assert_eq!(by_command, 10);
    }

    #[test]
    fn what_others_chose_is_no_part_of_a_command_unless_it_is_a_plain_word() {
        for odd in [
            "a;rm -rf ~",
            "$(id)",
            "--reset-identity",
            "a b",
            "",
            "a\nb",
            "ü",
        ] {
            let way = Way::of_remedy(&Remedy::LogOutDevice(odd.to_owned()));
            assert_eq!(way, Way::command("device rm DEVICE"), "{odd:?}");
        }
        let way = Way::of_remedy(&Remedy::LogOutDevice("JLAFKJWSCS".to_owned()));
        assert_eq!(way, Way::command("device rm JLAFKJWSCS"));
    }
}
