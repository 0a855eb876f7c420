//! `fourfold status`: keys, the default, secrets, and who can open what.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use fourfold::health::{Evidence, Verdict, examine};
use fourfold::{
    DefaultKey, KeyDescription, KeyId, Quirk, SecretName, SecretState, SecretStorage, Snapshot,
};
use fourfold_client::escape_untrusted;
use serde::Serialize;

use crate::account;
use crate::commands::doctor;
use crate::error::{Error, Result};
use crate::options::{AcceptOptions, Global, ReadOptions};
use crate::storage::unlock;
use crate::terminal::{messages, output};

/// Options of `status`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    read: ReadOptions,
    #[command(flatten)]
    accept: AcceptOptions,
}

/// Shows everything that can be known without a key.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    if options.accept.accept_changes && options.read.snapshot.is_some() {
        return Err(Error::usage(
            "--accept-changes cannot be used with --snapshot",
        ));
    }
    let (snapshot, compared) = account::look(global, &options.read, options.accept)?;
    if options.accept.accept_changes {
        messages::say("accepted what the homeserver shows now");
    }
    let report = Report {
        changes: compared.in_json(),
        ..Report::of(&snapshot)
    };
    if global.json {
        output::json(&report)
    } else {
        report.print()
    }
}

/// The status of the account, for people and programs.
#[derive(Serialize)]
struct Report {
    user_id: String,
    /// What the doctor says of the account, without a key and of nothing but what is shown now.
    verdict: Verdict,
    default_key: Option<KeyId>,
    /// `ok`, `absent`, `deleted`, `dangling` or `malformed`.
    default_key_state: &'static str,
    keys: Vec<Key>,
    /// Keys that secrets are encrypted under, whose description is gone.
    undescribed: Vec<UndescribedKey>,
    secrets: Vec<Secret>,
    /// The changes since this machine last read the account.
    changes: Vec<serde_json::Value>,
}

/// One key and what it opens.
#[derive(Serialize)]
pub(crate) struct Key {
    id: KeyId,
    is_default: bool,
    name: Option<String>,
    algorithm: String,
    is_supported: bool,
    has_key_check: bool,
    quirks: BTreeSet<Quirk>,
    passphrase: Passphrase,
    secrets: Vec<SecretName>,
}

/// Whether a passphrase opens the key too.
#[derive(Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
enum Passphrase {
    None,
    Usable { iterations: u32 },
    Unusable { reason: String },
}

/// One secret and the keys that it is encrypted under.
#[derive(Serialize)]
struct Secret {
    name: SecretName,
    state: &'static str,
    key_ids: Vec<KeyId>,
    /// Keys that it is encrypted under but that have no description any more.
    unknown_key_ids: Vec<KeyId>,
    under_default_key: bool,
}

impl Report {
    fn of(snapshot: &Snapshot) -> Self {
        let storage = SecretStorage::new(&snapshot.account_data);
        let default = storage.default_key();
        let default_key_state = match &default {
            DefaultKey::Absent => "absent",
            DefaultKey::Deleted => "deleted",
            DefaultKey::Dangling(_) => "dangling",
            DefaultKey::Malformed => "malformed",
            DefaultKey::Key(_) => "ok",
        };
        let default_key = match default {
            DefaultKey::Key(id) | DefaultKey::Dangling(id) => Some(id),
            _ => None,
        };
        let secrets = storage
            .account_data()
            .event_types()
            .filter_map(|event_type| SecretName::new(event_type).ok())
            .filter_map(|name| Secret::of(&storage, name))
            .collect();
        Self {
            user_id: snapshot.user_id.clone(),
            verdict: examine(&Evidence::of(snapshot)).verdict(),
            default_key,
            default_key_state,
            keys: keys(&storage),
            undescribed: undescribed(&storage),
            secrets,
            changes: Vec::new(),
        }
    }

    fn print(&self) -> Result<()> {
        output::line(format_args!("account  {}", escape_untrusted(&self.user_id)))?;
        output::line(format_args!("default  {}", self.default_line()))?;
        output::line(format_args!(
            "health   {}",
            doctor::in_one_line(self.verdict)
        ))?;
        output::line("")?;
        if self.keys.is_empty() && self.undescribed.is_empty() {
            output::line("no keys; fourfold setup makes the first one")?;
        } else {
            output::line("keys")?;
        }
        for key in &self.keys {
            key.print()?;
        }
        for key in &self.undescribed {
            key.print()?;
        }
        if self.secrets.is_empty() {
            return Ok(());
        }
        let names = self.secrets.iter().map(|secret| secret.name.as_str());
        let width = names
            .map(|name| escape_untrusted(name).chars().count())
            .max();
        let width = width.unwrap_or_default().min(40);
        output::line("")?;
        output::line(format_args!(
            "{:<width$}  opened by",
            "secrets",
            width = width + 2
        ))?;
        let ids = self.short_ids();
        for secret in &self.secrets {
            secret.print(width, &ids)?;
        }
        Ok(())
    }

    /// The beginnings of the IDs of all keys, as long as is needed to tell them apart.
    fn short_ids(&self) -> BTreeMap<KeyId, String> {
        let of_secrets = self.secrets.iter().flat_map(|secret| &secret.key_ids);
        let of_keys = self.keys.iter().map(|key| &key.id);
        let ids: BTreeSet<&KeyId> = of_keys.chain(of_secrets).collect();
        let short = |id: &KeyId, length| id.as_str().chars().take(length).collect::<String>();
        let are_different = |length| {
            let all: BTreeSet<_> = ids.iter().map(|id| short(id, length)).collect();
            all.len() == ids.len()
        };
        let length = (8..=32).find(|length| are_different(*length));
        ids.iter()
            .map(|id| {
                let text = short(id, length.unwrap_or(usize::MAX));
                ((*id).clone(), escape_untrusted(&text))
            })
            .collect()
    }

    fn default_line(&self) -> String {
        let id = self
            .default_key
            .as_ref()
            .map(|id| escape_untrusted(id.as_str()));
        match (self.default_key_state, id) {
            ("ok", Some(id)) => id,
            ("dangling", Some(id)) => format!("{id}, which has no description"),
            ("deleted", _) => "none: it was deleted".to_owned(),
            ("malformed", _) => "none: the account data is damaged".to_owned(),
            _ => "none".to_owned(),
        }
    }
}

/// All keys with what they open, the default first.
pub(crate) fn keys(storage: &SecretStorage<'_>) -> Vec<Key> {
    // Looked at once, and not once for each key.
    let mut opened: BTreeMap<KeyId, Vec<SecretName>> = BTreeMap::new();
    for (name, secret) in storage.secrets() {
        for id in secret.key_ids() {
            opened.entry(id.clone()).or_default().push(name.clone());
        }
    }
    let mut keys: Vec<_> = storage
        .keys()
        .map(|description| {
            let secrets = opened.remove(description.id()).unwrap_or_default();
            Key::of(storage, &description, secrets)
        })
        .collect();
    keys.sort_by_key(|key| !key.is_default);
    keys
}

/// A key that secrets are encrypted under, whose description is gone.
#[derive(Serialize)]
pub(crate) struct UndescribedKey {
    id: KeyId,
    is_default: bool,
    secrets: Vec<SecretName>,
}

/// The keys without a description that secrets are encrypted under, the default first.
pub(crate) fn undescribed(storage: &SecretStorage<'_>) -> Vec<UndescribedKey> {
    let default = storage.default_key();
    let ids = storage.undescribed_keys().into_iter();
    ids.map(|id| UndescribedKey {
        is_default: default.named() == Some(&id),
        secrets: storage.secrets_under(&id).collect(),
        id,
    })
    .collect()
}

impl UndescribedKey {
    /// Three lines for a person.
    pub(crate) fn print(&self) -> Result<()> {
        print_heading(&self.id, self.secrets.len(), self.is_default)?;
        output::line("      its description is gone; its recovery key still opens them")?;
        output::line(format_args!("      {}", unlock::DESCRIBE_AGAIN))
    }
}

/// The first line about a key.
fn print_heading(id: &KeyId, secrets: usize, is_default: bool) -> Result<()> {
    let opens = match secrets {
        0 => "opens nothing".to_owned(),
        1 => "opens 1 secret".to_owned(),
        number => format!("opens {number} secrets"),
    };
    let id = escape_untrusted(id.as_str());
    let default = if is_default { ", the default" } else { "" };
    output::line(format_args!("  {id}  {opens}{default}"))
}

impl Key {
    fn of(
        storage: &SecretStorage<'_>,
        description: &KeyDescription,
        secrets: Vec<SecretName>,
    ) -> Self {
        let passphrase = match description.passphrase() {
            None => Passphrase::None,
            Some(Ok(parameters)) => Passphrase::Usable {
                iterations: parameters.iterations(),
            },
            Some(Err(error)) => Passphrase::Unusable {
                reason: error.to_string(),
            },
        };
        let check_members = ["iv", "mac", "pubkey"];
        Self {
            id: description.id().clone(),
            is_default: storage.default_key().key_id() == Some(description.id()),
            name: description.name(),
            algorithm: description.algorithm_name().to_owned(),
            is_supported: description.algorithm().is_some(),
            has_key_check: check_members
                .iter()
                .any(|one| description.content().raw(one).is_some()),
            quirks: description.quirks(),
            passphrase,
            secrets,
        }
    }

    /// Two lines for a person.
    pub(crate) fn print(&self) -> Result<()> {
        print_heading(&self.id, self.secrets.len(), self.is_default)?;
        if let Some(name) = &self.name {
            output::line(format_args!("      named \"{}\"", escape_untrusted(name)))?;
        }
        let algorithm = short_algorithm(&self.algorithm);
        match &self.passphrase {
            Passphrase::None => output::line(format_args!("      {algorithm}"))?,
            Passphrase::Usable { iterations } => output::line(format_args!(
                "      {algorithm}, with a passphrase ({iterations} iterations)"
            ))?,
            Passphrase::Unusable { reason } => {
                output::line(format_args!(
                    "      {algorithm}, with a passphrase that cannot be used:"
                ))?;
                output::line(format_args!("      {}", escape_untrusted(reason)))?;
            }
        }
        if !self.is_supported {
            output::line("      the algorithm is unknown: the key is never used")?;
        } else if !self.has_key_check {
            output::line("      no check data: a key can only be checked with a secret")?;
        }
        for quirk in self.quirks.iter().filter(|one| !one.is_harmless()) {
            output::line(format_args!(
                "      {quirk}, so that other clients may not accept it; fourfold key rotate helps"
            ))?;
        }
        Ok(())
    }
}

impl Secret {
    fn of(storage: &SecretStorage<'_>, name: SecretName) -> Option<Self> {
        let (state, key_ids): (_, Vec<KeyId>) = match storage.secret(&name) {
            SecretState::Encrypted(secret) => ("encrypted", secret.key_ids().cloned().collect()),
            SecretState::Emptied => ("emptied", Vec::new()),
            // Only what is known to be a secret counts when nothing is left to tell by.
            SecretState::Deleted
                if fourfold::SecretKind::of(&name) != fourfold::SecretKind::Other =>
            {
                ("deleted", Vec::new())
            }
            SecretState::Malformed(fourfold::EncryptedSecretError::Encrypted) => {
                ("malformed", Vec::new())
            }
            _ => return None,
        };
        let unknown = key_ids
            .iter()
            .filter(|id| storage.key(id).is_err())
            .cloned()
            .collect();
        let default = storage.default_key();
        Some(Self {
            under_default_key: default.named().is_some_and(|id| key_ids.contains(id)),
            unknown_key_ids: unknown,
            name,
            state,
            key_ids,
        })
    }

    fn print(&self, width: usize, short_ids: &BTreeMap<KeyId, String>) -> Result<()> {
        let name = escape_untrusted(self.name.as_str());
        let mut notes = Vec::new();
        match self.state {
            "encrypted" => {}
            "deleted" | "emptied" => notes.push(format!("nobody: it was {}", self.state)),
            _ => notes.push("nobody: the account data is damaged".to_owned()),
        }
        for id in &self.key_ids {
            let mut note = short_ids.get(id).cloned().unwrap_or_default();
            if self.unknown_key_ids.contains(id) {
                note.push_str(" (has no description)");
            }
            notes.push(note);
        }
        let only = if self.key_ids.is_empty() || self.under_default_key {
            ""
        } else {
            "; not the default key"
        };
        output::line(format_args!("  {name:<width$}  {}{only}", notes.join(", ")))
    }
}

/// Known algorithms without the prefix that they share.
fn short_algorithm(name: &str) -> String {
    let short = name.strip_prefix("m.secret_storage.v1.").unwrap_or(name);
    escape_untrusted(short)
}
