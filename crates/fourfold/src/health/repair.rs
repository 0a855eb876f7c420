//! What would mend a finding.

use std::fmt;

use serde::{Serialize, Serializer};

use super::shown::shown;
use crate::plan::Step;
use crate::{KeyId, SecretName};

/// What would mend a finding: in words, with what it needs and, once it is
/// [drafted](super::Report::draft_repairs), its steps.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Repair {
    /// What is done, in a few words.
    pub title: String,
    /// What can get lost.
    pub risk: Risk,
    /// What it needs that is not at hand.
    pub needs: Vec<Requirement>,
    /// Whether it is the one that is made when nothing else is said.
    pub is_chosen: bool,
    /// The steps of its plan. Empty until it is drafted, and where it is no plan.
    pub steps: Vec<Step>,
    /// What is done, for programs.
    #[serde(skip)]
    pub remedy: Remedy,
}

impl Repair {
    pub(in crate::health) fn new(remedy: Remedy) -> Self {
        Self {
            title: remedy.to_string(),
            risk: remedy.risk(),
            needs: Vec::new(),
            is_chosen: false,
            steps: Vec::new(),
            remedy,
        }
    }

    pub(in crate::health) fn needs(mut self, requirement: Requirement) -> Self {
        if !self.needs.contains(&requirement) {
            self.needs.push(requirement);
        }
        self
    }

    /// Whether it can be made with what is at hand, and loses nothing.
    pub(in crate::health) fn is_ready(&self) -> bool {
        self.needs.is_empty() && self.risk == Risk::None
    }
}

/// What can get lost by a repair.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a repair is safe, or somebody agrees"
)]
pub enum Risk {
    /// Nothing.
    None,
    /// Something that the user must agree to: it is made when it is named, and never else.
    Consent,
}

/// What a repair needs that is not at hand.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Requirement {
    /// This key of secret storage; serialised as `key:` and its ID.
    Key(KeyId),
    /// The password of the account.
    Password,
    /// Another device of the user, or this one.
    Device,
    /// That the user approves of it, where the account is managed.
    Approval,
    /// Another copy of the secret: in an older snapshot, a file, another account of the agent.
    OtherCopy,
}

impl Serialize for Requirement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => write!(f, "key:{}", id.as_str()),
            Self::Password => f.write_str("password"),
            Self::Device => f.write_str("device"),
            Self::Approval => f.write_str("approval"),
            Self::OtherCopy => f.write_str("other_copy"),
        }
    }
}

/// What a repair does, in the order in which repairs are made: what adds copies comes first, what
/// takes something away comes last.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever offers repairs must say how each of them is made"
)]
pub enum Remedy {
    /// Put the description of a key back as it was remembered.
    RestoreDescription(KeyId),
    /// Describe a key again that opens secrets and has no description.
    DescribeAgain(KeyId),
    /// Add check data to the description of a key.
    AddKeyCheck(KeyId),
    /// Encrypt a secret under one more key, from a copy that opens; a copy there that does not open
    /// is replaced.
    Rewrap {
        /// The secret.
        name: SecretName,
        /// The key of the copy that opens.
        from: KeyId,
        /// The key that is to open it.
        to: KeyId,
    },
    /// Store a secret that this machine holds.
    StoreHeld(SecretName),
    /// Ask another device of the user for a secret.
    Request(SecretName),
    /// Write a secret again in the form of today.
    Rewrite(SecretName),
    /// Make a key the default key.
    MakeDefault(KeyId),
    /// Move everything from a key of 2019 to a new one.
    Migrate(KeyId),
    /// Say the same about backups under both names.
    AlignBackupFlags,
    /// Put the private key of the current version of the key backup back under its name, from where a
    /// copy of it lies.
    RestoreBackupKey,
    /// Sign the key backup with the master key.
    SignBackup,
    /// Create a new version of the key backup; the old one stays.
    NewBackup,
    /// Sign a device with the self-signing key.
    SignDevice(String),
    /// Publish the stored identity.
    PublishIdentity,
    /// Publish a new self-signing or user-signing key, signed by the same master key.
    NewSigningKey(SecretName),
    /// Put the copy that fits what is published in place of the others.
    ReplaceCopies(SecretName),
    /// Take an entry away that lets an old key open a secret.
    WithdrawEntry {
        /// The secret.
        name: SecretName,
        /// The old key.
        key_id: KeyId,
    },
    /// Take away a key that opens nothing.
    RetireKey(KeyId),
    /// Replace a key with another one.
    RotateKey(KeyId),
    /// Set secret storage up.
    SetUp,
    /// Log a device out. Never made here: named only.
    LogOutDevice(String),
    /// Delete a version of the key backup. Never made here: named only.
    DeleteBackup(String),
    /// Replace the identity. Never made here: named only.
    ResetIdentity,
}

impl Remedy {
    /// What can get lost.
    #[must_use]
    pub const fn risk(&self) -> Risk {
        match self {
            Self::ReplaceCopies(_)
            | Self::WithdrawEntry { .. }
            | Self::RetireKey(_)
            | Self::RotateKey(_)
            | Self::Migrate(_)
            | Self::SetUp
            | Self::LogOutDevice(_)
            | Self::DeleteBackup(_)
            | Self::ResetIdentity => Risk::Consent,
            _ => Risk::None,
        }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RestoreDescription(id) => {
                write!(
                    f,
                    "put the description of the key {} back",
                    shown(id.as_str())
                )
            }
            Self::DescribeAgain(id) => write!(f, "describe the key {} again", shown(id.as_str())),
            Self::AddKeyCheck(id) => {
                write!(f, "add check data to the key {}", shown(id.as_str()))
            }
            Self::Rewrap { name, from, to } => write!(
                f,
                "encrypt {} under {} too, from the copy under {}",
                shown(name.as_str()),
                shown(to.as_str()),
                shown(from.as_str())
            ),
            Self::StoreHeld(name) => {
                write!(f, "store {} from this machine", shown(name.as_str()))
            }
            Self::Request(name) => {
                write!(f, "ask another device for {}", shown(name.as_str()))
            }
            Self::Rewrite(name) => {
                write!(
                    f,
                    "write {} again in the current form",
                    shown(name.as_str())
                )
            }
            Self::MakeDefault(id) => write!(f, "make {} the default key", shown(id.as_str())),
            Self::Migrate(id) => {
                write!(
                    f,
                    "migrate from the key {} to a new one",
                    shown(id.as_str())
                )
            }
            Self::AlignBackupFlags => f.write_str("make both settings of key backup agree"),
            Self::RestoreBackupKey => {
                f.write_str("put the private key of the key backup back, from where it is kept")
            }
            Self::SignBackup => f.write_str("sign the key backup with the master key"),
            Self::NewBackup => f.write_str("create a new version of the key backup"),
            Self::SignDevice(id) => write!(f, "sign the device {}", shown(id)),
            Self::PublishIdentity => f.write_str("publish the stored identity"),
            Self::NewSigningKey(name) => write!(
                f,
                "publish a new key for {}, signed by the same master key",
                shown(name.as_str())
            ),
            Self::ReplaceCopies(name) => write!(
                f,
                "replace the other copies of {} with the one that matches",
                shown(name.as_str())
            ),
            Self::WithdrawEntry { name, key_id } => write!(
                f,
                "remove the copy of {} under the key {}",
                shown(name.as_str()),
                shown(key_id.as_str())
            ),
            Self::RetireKey(id) => write!(f, "remove the key {}", shown(id.as_str())),
            Self::RotateKey(id) => {
                write!(f, "replace the key {} with a new one", shown(id.as_str()))
            }
            Self::SetUp => f.write_str("set up secret storage"),
            Self::LogOutDevice(id) => write!(f, "log out the device {}", shown(id)),
            Self::DeleteBackup(version) => {
                write!(f, "delete the version {} of the key backup", shown(version))
            }
            Self::ResetIdentity => f.write_str("replace the identity with a new one"),
        }
    }
}
