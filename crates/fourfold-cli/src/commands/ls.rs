//! `fourfold ls`: the names of the secrets.

use clap::Args;
use fourfold::{KeyId, SecretName, SecretStorage};
use fourfold_client::escape_untrusted;
use serde::Serialize;

use crate::account;
use crate::error::Result;
use crate::options::{AcceptOptions, Global, ReadOptions};
use crate::terminal::output;

/// Options of `ls`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Show the keys that each secret is encrypted under
    #[arg(long, short)]
    long: bool,
    #[command(flatten)]
    read: ReadOptions,
}

#[derive(Serialize)]
struct Listed {
    name: SecretName,
    key_ids: Vec<KeyId>,
}

/// Lists what is there, one name a line.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let (snapshot, _) = account::look(global, &options.read, AcceptOptions::default())?;
    let secrets: Vec<_> = SecretStorage::new(&snapshot.account_data)
        .secrets()
        .map(|(name, secret)| Listed {
            name,
            key_ids: secret.key_ids().cloned().collect(),
        })
        .collect();
    if global.json {
        return output::json(&secrets);
    }
    for secret in secrets {
        let name = escape_untrusted(secret.name.as_str());
        if options.long {
            let ids: Vec<_> = secret
                .key_ids
                .iter()
                .map(|id| escape_untrusted(id.as_str()))
                .collect();
            output::columns(&[&name, &ids.join(" ")])?;
        } else {
            output::line(name)?;
        }
    }
    Ok(())
}
