//! `fourfold put`: store a secret.

use std::path::{Path, PathBuf};

use clap::Args;
use fourfold::judged::{Cleared, Judged};
use fourfold::plan::{self, WritingKeys};
use fourfold::{AccountData, Plan, ProvenKey, Secret, SecretName, SecretStorage};

use crate::account::{LoggedIn, change};
use crate::agent::Agent;
use crate::error::{Error, Result};
use crate::keys::random::rng;
use crate::options::{AcceptOptions, ChangeOptions, Global, UnlockOptions};
use crate::storage::unlock;
use crate::terminal::input::Source;
use crate::terminal::prompt;

/// Options of `put`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The name of the secret
    name: String,
    /// Where the secret comes from ("-": standard input). Without it, the secret is asked for on
    /// the terminal
    file: Option<PathBuf>,
    /// Keep a line ending at the end of the input as part of the secret
    #[arg(long)]
    exact: bool,
    /// Encrypt under this key instead of the default key; may be given more than once. Each key
    /// needs its recovery key or passphrase
    #[arg(long, value_name = "ID", conflicts_with = "key")]
    under: Vec<String>,
    /// Write with a key of the 2019 algorithm, in the format that clients of that time read
    #[arg(long)]
    profile_2019: bool,
    #[command(flatten)]
    unlock: UnlockOptions,
    #[command(flatten)]
    change: ChangeOptions,
    #[command(flatten)]
    accept: AcceptOptions,
}

/// Stores the secret under the default key, or under the chosen ones.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let name = SecretName::new(&options.name).map_err(Error::usage)?;
    let mut early = None;
    if let Some(mut agent) = unlocked_agent(global, options)? {
        let secret = early.insert(read_secret(options)?);
        if let Some(plan) =
            agent.seal(&name, secret.expose_secret(), options.accept, global.json)?
        {
            drop(agent);
            let mut logged_in = LoggedIn::open(global)?;
            let plan = Cleared::without_comparing(&plan);
            return change::carry_out(global, &mut logged_in, plan, options.change);
        }
    }
    let input = &options.unlock.input;
    change::make_with_key(global, input, options.change, options.accept, |snapshot| {
        let Proven {
            keys,
            account_data,
            describing,
        } = proven_keys(snapshot, options)?;
        let secret = early.map_or_else(|| read_secret(options), Ok)?;
        let keys = WritingKeys::new(keys, options.profile_2019)?;
        let store = plan::store(
            &SecretStorage::new(&account_data),
            &name,
            &secret,
            &keys.as_writing(),
            &snapshot.published_keys(),
            &mut rng(),
        )?;
        let title = store.title.clone();
        Ok(Plan::of(title, describing.into_iter().chain([store])))
    })
}

/// An agent that has a key, unless the user chose keys.
fn unlocked_agent(global: &Global, options: &Options) -> Result<Option<Agent>> {
    let chooses = options.unlock.is_given() || !options.under.is_empty() || options.profile_2019;
    if chooses {
        return Ok(None);
    }
    let Some(mut agent) = Agent::find_if_safe(global)? else {
        return Ok(None);
    };
    let is_unlocked = agent.status()?.key_id.is_some();
    Ok(is_unlocked.then_some(agent))
}

/// The keys to write with, and what describes those again that have no description.
struct Proven {
    keys: Vec<ProvenKey>,
    describing: Vec<Plan>,
    /// As it is after that.
    account_data: AccountData,
}

fn proven_keys(snapshot: &Judged, options: &Options) -> Result<Proven> {
    let storage = snapshot.storage();
    let candidates = if options.under.is_empty() {
        unlock::writing_candidates(snapshot, &options.unlock)?
    } else {
        let described = options
            .under
            .iter()
            .map(|id| unlock::description(&storage, id));
        described.collect::<Result<Vec<_>>>()?.into()
    };
    let mut keys: Vec<ProvenKey> = Vec::new();
    let (mut describing, mut account_data) = (Vec::new(), snapshot.account_data.clone());
    let mut budget = unlock::budget(&options.unlock.input);
    for offer in options.unlock.input.offers(unlock::question(&candidates))? {
        let found = unlock::find(snapshot, &offer, &candidates, &mut budget)?;
        let described = unlock::prove_again(snapshot, found)?;
        described.plan.apply_to(&mut account_data);
        describing.push(described.plan);
        keys.push(described.key);
    }
    for id in &options.under {
        if !keys.iter().any(|key| key.id().as_str() == id) {
            return Err(Error::usage(format!("the key {id} is missing"))
                .hint("give --recovery-key-file or --passphrase-file once for each --under"));
        }
    }
    Ok(Proven {
        keys,
        describing,
        account_data,
    })
}

fn read_secret(options: &Options) -> Result<Secret> {
    let text = match &options.file {
        None => prompt::hidden("Secret", "give a file, or - for standard input")?,
        Some(path) => {
            let source = Source::of(path);
            let text = if options.exact {
                source.text()
            } else {
                source.line()
            };
            text.map_err(|error| not_a_file(error, path))?
        }
    };
    if text.is_empty() && !options.exact {
        return Err(Error::usage("the secret is empty").hint("--exact stores it anyway"));
    }
    Ok(Secret::new(text.as_str()))
}

/// A secret is easily taken for an argument.
fn not_a_file(error: Error, path: &Path) -> Error {
    if error.hint.is_some() || path.exists() {
        return error;
    }
    error.hint("this is the name of a file; give - for standard input, or leave it out to be asked")
}
