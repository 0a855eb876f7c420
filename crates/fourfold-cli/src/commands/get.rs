//! `fourfold get`: open a secret.

use std::path::PathBuf;

use clap::Args;
use fourfold::{
    Algorithm, Authenticity, KeyDescription, KeyId, OpenError, Secret, SecretName, SecretState,
    SecretStorage, SecretStorageKey, SecretValueError, Snapshot, Verdict, recovery_key,
};
use fourfold_client::escape_untrusted;
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    account,
    arguments::{Global, ReadOptions, UnlockOptions},
    error::{Error, Exit, Result},
    output,
    secret_input::Offer,
    ui, unlock,
};

/// Options of `get`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The name of the secret
    name: String,
    /// Print the secret on the terminal
    #[arg(long)]
    show: bool,
    /// Write the secret to this new file, readable to its owner only
    #[arg(long, value_name = "FILE", conflicts_with = "show")]
    out: Option<PathBuf>,
    #[command(flatten)]
    unlock: UnlockOptions,
    #[command(flatten)]
    read: ReadOptions,
}

/// Opens the secret with whichever of the offered keys fits, default or not.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let name = SecretName::new(&options.name).map_err(Error::usage)?;
    let snapshot = account::read(global, &options.read)?;
    let storage = SecretStorage::new(&snapshot.account_data);
    check_there(&storage, &name)?;
    output::check_secret(options.out.as_deref(), options.show)?;
    let candidates = candidates(&storage, &name, &options.unlock)?;
    let mut failed = Error::usage("no key was given");
    for offer in options.unlock.input.offers(unlock::question(&candidates))? {
        match open(&snapshot, &name, &offer, &candidates, &options.unlock) {
            Ok(opened) => return deliver(global, options, &storage, &name, &opened),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// What came out, and how it came.
struct Opened {
    secret: Secret,
    key_id: KeyId,
    authenticity: Authenticity,
    verdict: Verdict,
}

/// Fails before any key is asked for when there is nothing to open.
fn check_there(storage: &SecretStorage<'_>, name: &SecretName) -> Result<()> {
    match storage.secret(name) {
        SecretState::Encrypted(_) => Ok(()),
        SecretState::Malformed(error) => Err(Error::new(
            Exit::Corrupt,
            format!("{}: {error}", escape_untrusted(name.as_str())),
        )),
        SecretState::NotASecret => Err(Error::refused(format!(
            "the account data {} is not a secret",
            escape_untrusted(name.as_str())
        ))),
        state => {
            let deleted = if matches!(state, SecretState::Absent) {
                ""
            } else {
                " (it was deleted)"
            };
            let name = escape_untrusted(name.as_str());
            Err(
                Error::refused(format!("there is no secret {name}{deleted}"))
                    .hint("fourfold ls lists the names"),
            )
        }
    }
}

/// Keys that the secret is encrypted under come first.
fn candidates(
    storage: &SecretStorage<'_>,
    name: &SecretName,
    options: &UnlockOptions,
) -> Result<Vec<KeyDescription>> {
    let SecretState::Encrypted(secret) = storage.secret(name) else {
        return unlock::candidates(storage, options);
    };
    // A recovery key opens what is encrypted under a key that lost its description.
    let chosen = options.key.as_deref().map(unlock::key_id).transpose()?;
    if chosen.is_some_and(|id| storage.key(&id).is_err() && secret.entry(&id).is_some()) {
        return Ok(Vec::new());
    }
    let mut keys = unlock::candidates(storage, options)?;
    keys.sort_by_key(|key| secret.entry(key.id()).is_none());
    Ok(keys)
}

fn open(
    snapshot: &Snapshot,
    name: &SecretName,
    offer: &Offer,
    candidates: &[KeyDescription],
    options: &UnlockOptions,
) -> Result<Opened> {
    let storage = SecretStorage::new(&snapshot.account_data);
    let key = match unlock::find(&storage, offer, candidates, unlock::bounds(&options.input)) {
        Ok(found) => found.key,
        Err(error) => undescribed(&storage, name, offer, options).ok_or(error)?,
    };
    let opened = storage
        .open(name, &key)
        .map_err(|error| explain(&storage, name, &key, error))?;
    let verdict = snapshot
        .evidence()
        .judge(name, &opened.secret)
        .map_err(|error| {
            let exit = match error {
                SecretValueError::Base64(_) => Exit::Corrupt,
                _ => Exit::NotVerified,
            };
            Error::new(
                exit,
                format!("{} opens, but {error}", escape_untrusted(name.as_str())),
            )
            .hint("it may be older than the last reset of your identity or backup")
        })?;
    Ok(Opened {
        secret: opened.secret,
        key_id: key.id().clone(),
        authenticity: opened.authenticity,
        verdict,
    })
}

/// A recovery key may still open what is encrypted under a key whose description is gone.
fn undescribed(
    storage: &SecretStorage<'_>,
    name: &SecretName,
    offer: &Offer,
    options: &UnlockOptions,
) -> Option<SecretStorageKey> {
    let text = offer.text();
    let SecretState::Encrypted(secret) = storage.secret(name) else {
        return None;
    };
    let bytes = recovery_key::decode(text).ok()?;
    secret
        .key_ids()
        .filter(|id| storage.key(id).is_err())
        .filter(|id| options.key.as_ref().is_none_or(|key| id.as_str() == key))
        .map(|id| SecretStorageKey::from_bytes(id.clone(), Algorithm::AesHmacSha2, bytes.clone()))
        .find(|key| storage.open(name, key).is_ok())
}

fn explain(
    storage: &SecretStorage<'_>,
    name: &SecretName,
    key: &SecretStorageKey,
    error: OpenError,
) -> Error {
    let name = escape_untrusted(name.as_str());
    let label = |id| unlock::label(storage, id);
    match error {
        OpenError::NotEncryptedUnderKey { key_ids } => {
            let others: Vec<_> = key_ids.iter().map(label).collect();
            Error::refused(format!(
                "{name} is not encrypted under the key that this is, {}, but under {}",
                label(key.id()),
                others.join("; ")
            ))
            .hint("use the recovery key or passphrase of that key")
        }
        OpenError::WrongKey => Error::new(
            Exit::WrongKey,
            format!("this is not the key {}", label(key.id())),
        ),
        OpenError::Entry(error) => Error::new(
            Exit::Corrupt,
            format!(
                "the key {} is right, but {name} is damaged: {error}",
                label(key.id())
            ),
        )
        .hint("another key may hold a good copy: fourfold status"),
        error => Error::new(Exit::Corrupt, format!("{name}: {error}")),
    }
}

fn deliver(
    global: &Global,
    options: &Options,
    storage: &SecretStorage<'_>,
    name: &SecretName,
    opened: &Opened,
) -> Result<()> {
    let text = opened.secret.expose_secret();
    ui::say(format_args!(
        "opened with the key {}",
        unlock::label(storage, &opened.key_id)
    ));
    match opened.authenticity {
        Authenticity::Authenticated => {}
        _ if matches!(opened.verdict, Verdict::Matches { .. }) => {}
        _ => ui::warn("anybody who knows the public key of that key may have written this"),
    }
    if let Some(path) = &options.out {
        return output::secret_file(path, text);
    }
    if !global.json {
        return output::secret(text, options.show);
    }
    let (verified, public_key) = match &opened.verdict {
        Verdict::Matches { public_key } => (true, Some(public_key)),
        Verdict::NothingToCompare { derived } => (false, Some(derived)),
        _ => (false, None),
    };
    let answer = json!({
        "name": name,
        "secret": text,
        "key_id": opened.key_id,
        "is_default_key": storage.default_key().key_id() == Some(&opened.key_id),
        "is_authenticated": opened.authenticity == Authenticity::Authenticated,
        "matches_published_key": verified,
        "public_key": public_key,
    });
    output::secret(&Zeroizing::new(format!("{answer:#}\n")), options.show)
}
