//! `fourfold request`: ask the user's other devices for a secret.

mod alone;
mod options;

use fourfold::SecretName;
use fourfold_client::escape_untrusted;
use serde_json::json;
use zeroize::Zeroizing;

pub(crate) use self::options::Options;
use crate::agent::Agent;
use crate::agent::protocol::Received;
use crate::error::{Error, Result};
use crate::options::Global;
use crate::terminal::{messages, output};

/// Asks, waits, and hands over what came.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    output::check_secret(options.out.as_deref(), options.show)?;
    let (received, secret) = fetch(global, options)?;
    deliver(global, options, &received, &secret)
}

/// Asks and waits, through the agent where one runs.
pub(crate) fn fetch(global: &Global, options: &Options) -> Result<(Received, Zeroizing<String>)> {
    let name = SecretName::new(&options.name).map_err(Error::usage)?;
    let _busy = messages::busy("waiting for an answer of another device");
    let Some(mut agent) = Agent::find_if_safe(global)? else {
        let from = options.from.clone();
        let delivery = alone::ask(global, options, name, from)?;
        let secret = Zeroizing::new(delivery.secret.expose_secret().to_owned());
        return Ok((Received::of(&delivery), secret));
    };
    let (snapshot, compared) = agent.snapshot(options.accept)?;
    compared.report(global.json);
    compared.for_opening(snapshot, Some(&name))?;
    agent.request(&name, options.from.as_deref(), options.timeout)
}

fn deliver(global: &Global, options: &Options, received: &Received, secret: &str) -> Result<()> {
    messages::say(format_args!(
        "received from the device {}",
        escape_untrusted(&received.device_id)
    ));
    match received.standing.as_str() {
        "pinned" | "signed_backup" => {}
        "server_backup" => messages::warn(
            "it opens the backup that the homeserver shows, which your identity did not sign: the \
             homeserver may have made it; fourfold setup signs it",
        ),
        _ => messages::warn(
            "there is nothing to compare it with: it is only as trustworthy as the \
             device that sent it",
        ),
    }
    if received.differs_from_stored {
        messages::warn("secret storage holds another value under this name");
    }
    if let Some(path) = &options.out {
        return output::secret_file(path, secret);
    }
    if !global.json {
        return output::secret(secret, options.show);
    }
    let rest = json!({
        "name": options.name,
        "from": received,
    });
    output::secret_json(secret, &rest, options.show)
}
