//! Reading an account: from the homeserver, through an agent where one runs, or from a file.

use std::path::Path;

use fourfold::backup::CurrentBackup;
use fourfold::history::Origin;
use fourfold::judged::Judged;
use fourfold::{KeyId, SecretName, Snapshot};
use fourfold_client::{Account, Options, escape_untrusted};

use crate::account::{local_state, settling};
use crate::agent::Agent;
use crate::error::{Error, Exit, Result};
use crate::options::{AcceptOptions, Global, KeyInput, ReadOptions};
use crate::storage::judged::Compared;
use crate::terminal::messages;
use crate::{runtime, state};

/// The account, to be shown and not opened, from a file or the homeserver. Reports changes.
pub(crate) fn look(
    global: &Global,
    options: &ReadOptions,
    accept: AcceptOptions,
) -> Result<(Snapshot, Compared)> {
    match &options.snapshot {
        Some(path) => Ok((in_file(path)?, Compared::default())),
        None => on_homeserver(global, accept),
    }
}

/// The account, to be opened, from a file or the homeserver. Reports changes, and is refused
/// when a change of this secret, or of the keys, forbids it that no key of the `input` settles.
///
/// A file is compared with what this machine remembers of its user, if it does, and changes nothing
/// of that.
pub(crate) fn read(
    global: &Global,
    options: &ReadOptions,
    name: Option<&SecretName>,
    input: &KeyInput,
    accept: AcceptOptions,
) -> Result<(Judged, Compared)> {
    let (snapshot, compared) = match &options.snapshot {
        None => {
            let (snapshot, compared) = on_homeserver(global, accept)?;
            let compared = settle(global, &snapshot, compared, input, accept)?;
            (snapshot, compared)
        }
        Some(path) => {
            let snapshot = in_file(path)?;
            let compared = match local_state::of_user(global, &snapshot.user_id)? {
                Some((state, _loan)) => Compared::look(&state, &snapshot, accept)?,
                None => Compared::unknown(accept),
            };
            compared.report(global.json);
            (snapshot, compared)
        }
    };
    Ok((compared.for_opening(snapshot, name)?, compared))
}

/// What is suspicious is settled by a key that the user gives, if it can be.
pub(crate) fn settle(
    global: &Global,
    snapshot: &Snapshot,
    compared: Compared,
    input: &KeyInput,
    accept: AcceptOptions,
) -> Result<Compared> {
    // The state is not kept locked while the user looks for the paper.
    let Some(key) = settling::key(snapshot, &compared, input)? else {
        return Ok(compared);
    };
    let (mut state, _loan) = local_state::open(global)?;
    compared.settle(&mut state, snapshot, &key)?;
    Compared::follow(&mut state, snapshot, accept)
}

/// Remembers that a key opened a secret, unless it came from a file; and says how this machine came
/// to know the entry before. A state that cannot be had now knows nothing.
pub(crate) fn remember_opened(
    global: &Global,
    options: &ReadOptions,
    snapshot: &Judged,
    name: &SecretName,
    key_id: &KeyId,
) -> Option<Origin> {
    // An agent need not lay down its work for it.
    if options.snapshot.is_none()
        && let Ok(Some(mut agent)) = Agent::find_if_safe(global)
    {
        return agent.opened(&snapshot.account_data, name, key_id).ok()?;
    }
    let (mut state, _loan) = local_state::of_user(global, &snapshot.user_id).ok()??;
    if options.snapshot.is_some() {
        let history = state.history().ok()?;
        return history.origin_of(&snapshot.account_data, name, key_id);
    }
    state
        .opened_one(&snapshot.account_data, name, key_id)
        .ok()?
}

fn on_homeserver(global: &Global, accept: AcceptOptions) -> Result<(Snapshot, Compared)> {
    let (snapshot, compared) = if let Some(mut agent) = Agent::find_if_safe(global)? {
        let _busy = messages::busy("reading the account data");
        agent.snapshot(accept)?
    } else {
        // The state is not kept locked while the homeserver is asked, so that reads do not wait for
        // each other.
        let session = local_state::open(global)?
            .0
            .session()?
            .ok_or_else(state::not_logged_in)?;
        let account = Account::new(session, &Options::default())?;
        let snapshot = {
            let _busy = messages::busy("reading the account data");
            runtime::new()?.block_on(account.snapshot())?
        };
        let compared = Compared::follow(&mut local_state::open(global)?.0, &snapshot, accept)?;
        (snapshot, compared)
    };
    compared.report(global.json);
    warn_of_backup(&snapshot);
    Ok((snapshot, compared))
}

/// Says so when the key backup cannot be used: nothing but the backup depends on it.
pub(crate) fn warn_of_backup(snapshot: &Snapshot) {
    if let Some(problem) = CurrentBackup::of(snapshot).problem() {
        messages::warn(format_args!(
            "the key backup cannot be used: {} (fourfold backup status says more)",
            escape_untrusted(&problem)
        ));
    }
}

/// The account as it was kept in a file.
pub(crate) fn in_file(path: &Path) -> Result<Snapshot> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::file(path, error))?;
    Snapshot::from_json(&text).map_err(|_| {
        Error::new(
            Exit::Corrupt,
            format!("{} is not a snapshot of an account", path.display()),
        )
        .hint(r#"it should be {"user_id": …, "account_data": {type: content, …}}"#)
    })
}
