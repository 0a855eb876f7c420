//! `fourfold get`: open a secret.

use std::path::PathBuf;

use clap::Args;
use fourfold::SecretName;
use fourfold::history::Vouched;
use fourfold::judged::Judged;
use fourfold_client::escape_untrusted;
use serde_json::json;
use zeroize::Zeroizing;

use crate::account;
use crate::agent::{Agent, protocol};
use crate::error::{Error, Result};
use crate::options::{AcceptOptions, Global, ReadOptions, UnlockOptions};
use crate::storage::judged::Compared;
use crate::storage::opening::{self, Provenance};
use crate::storage::unlock::{self, Candidates};
use crate::terminal::{messages, output};

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
    /// Open the secret without the agent
    #[arg(long)]
    no_agent: bool,
    #[command(flatten)]
    unlock: UnlockOptions,
    #[command(flatten)]
    read: ReadOptions,
    #[command(flatten)]
    accept: AcceptOptions,
}

/// Opens the secret with whichever of the offered keys fits, default or not.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let name = SecretName::new(&options.name).map_err(Error::usage)?;
    if let Some((opened, secret)) = from_agent(global, options, &name)? {
        let (provenance, compared) = (&opened.provenance, &opened.compared);
        return deliver(global, options, provenance, compared, &secret);
    }
    let (snapshot, compared) = account::read(
        global,
        &options.read,
        Some(&name),
        &options.unlock.input,
        options.accept,
    )?;
    let storage = snapshot.storage();
    opening::check_there(&storage, &name)?;
    output::check_secret(options.out.as_deref(), options.show)?;
    let candidates = candidates(&snapshot, &name, &options.unlock)?;
    let mut failed = Error::usage("no key was given");
    let mut budget = unlock::budget(&options.unlock.input);
    for offer in options.unlock.input.offers(unlock::question(&candidates))? {
        let found = unlock::find(&snapshot, &offer, &candidates, &mut budget);
        match found.and_then(|found| opening::open_for_owner(&snapshot, &name, &found.key)) {
            Ok(opened) => {
                let key_id = &opened.key_id;
                let known =
                    account::remember_opened(global, &options.read, &snapshot, &name, key_id);
                let opened = opened.known_before(known);
                let provenance = Provenance::of(&opened, &storage, name);
                let secret = opened.secret.expose_secret();
                return deliver(global, options, &provenance, &compared, secret);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// The reply of an agent that has the key, unless the user chose another way.
fn from_agent(
    global: &Global,
    options: &Options,
    name: &SecretName,
) -> Result<Option<(protocol::Opened, Zeroizing<String>)>> {
    let goes_without = options.no_agent || options.read.snapshot.is_some();
    if goes_without || options.unlock.is_given() {
        return Ok(None);
    }
    let Some(mut agent) = Agent::find_if_safe(global)? else {
        return Ok(None);
    };
    output::check_secret(options.out.as_deref(), options.show)?;
    let opened = agent.get(name, options.accept)?;
    if let Some((opened, _)) = &opened {
        opened.compared.report(global.json);
    }
    Ok(opened)
}

/// Keys that the secret is encrypted under come first.
fn candidates(snapshot: &Judged, name: &SecretName, options: &UnlockOptions) -> Result<Candidates> {
    match &options.key {
        None => Ok(Candidates::of_secret(&snapshot.storage(), name)),
        Some(_) => unlock::candidates(snapshot, options),
    }
}

fn deliver(
    global: &Global,
    options: &Options,
    provenance: &Provenance,
    compared: &Compared,
    secret: &str,
) -> Result<()> {
    messages::say(format_args!("opened with the key {}", provenance.key_label));
    if provenance.vouched_by != Vouched::Nothing {
        messages::note(format_args!(
            "{}: {}",
            provenance.name, provenance.vouched_by
        ));
    }
    if provenance.may_be_anybodys {
        messages::warn("anyone who knows the public key of that key may have written this");
    }
    if let (Some(published), Some(own)) = (&provenance.published_instead, &provenance.public_key) {
        let (published, own) = (escape_untrusted(published), escape_untrusted(own));
        messages::warn(format_args!(
            "this is the private key of another version of the key backup: it belongs to the public key \
             {own}, and the current version has {published} (fourfold backup restore-key looks for its \
             private key)"
        ));
    }
    for quirk in provenance.quirks.iter().filter(|one| !one.is_harmless()) {
        messages::note(format_args!(
            "{}: {quirk}, so that other clients may not read it; fourfold put stores it as they do",
            provenance.name
        ));
    }
    if let Some(path) = &options.out {
        return output::secret_file(path, secret);
    }
    if !global.json {
        return output::secret(secret, options.show);
    }
    let rest = json!({
        "name": provenance.name,
        "key_id": provenance.key_id,
        "is_default_key": provenance.is_default_key,
        "is_authenticated": provenance.is_authenticated,
        "matches_published_key": provenance.matches_published_key,
        "vouched_by": provenance.vouched_by,
        "is_iv_authenticated": provenance.is_iv_authenticated,
        "changes": compared.in_json(),
        "public_key": provenance.public_key,
        "quirks": provenance.quirks,
    });
    output::secret_json(secret, &rest, options.show)
}
