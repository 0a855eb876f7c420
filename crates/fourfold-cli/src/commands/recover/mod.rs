//! `fourfold recover`: a new key for an account whose key is lost, from what still has its secrets.

mod at_hand;
mod options;

use std::collections::BTreeSet;

use fourfold::{KeyId, SecretName, SecretStorage, plan};

use self::at_hand::AtHand;
pub(crate) use self::options::Options;
use crate::account::{LoggedIn, change};
use crate::error::Result;
use crate::keys::new_key;
use crate::keys::random::rng;
use crate::options::Global;
use crate::terminal::messages;

/// Gathers what is at hand, and puts it under a new key. What the lost key opens stays as it is.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    // An unfinished change is to be finished first, and what is suspicious accepted, before anybody
    // answers a question on another device.
    LoggedIn::open(global)?.snapshot_for_change(options.accept)?;
    new_key::check_delivery(&options.new, options.change)?;
    let at_hand = AtHand::gather(global, options)?;
    let mut logged_in = LoggedIn::open(global)?;
    let snapshot = logged_in.snapshot_for_change(options.accept)?;
    let storage = snapshot.storage();
    at_hand.check_any()?;
    let new = new_key::make(&options.new)?;
    let published_keys = snapshot.published_keys();
    let plan = plan::recover(
        &storage,
        &new,
        at_hand.secrets(),
        &published_keys,
        &mut rng(),
    );
    let plan = plan.map_err(|error| at_hand.explain(error))?;
    let left = left(&storage, at_hand.names());
    let (how, change, id) = (&options.new, options.change, new.key().id());
    let cleared = snapshot.clear(&plan);
    match change::introduce(global, &mut logged_in, cleared, &new, how, change)? {
        None => Ok(()),
        Some(report) => {
            report.print(global, format_args!("recovered: the new key is {id}"))?;
            if left > 0 {
                say_what_is_left(id, left);
            }
            Ok(())
        }
    }
}

/// How many secrets of the account are not among these.
fn left(storage: &SecretStorage<'_>, names: BTreeSet<&SecretName>) -> usize {
    let all = storage.secrets().map(|(name, _)| name);
    all.filter(|name| !names.contains(name)).count()
}

fn say_what_is_left(id: &KeyId, left: usize) {
    let what = match left {
        1 => "1 secret stays".to_owned(),
        number => format!("{number} secrets stay"),
    };
    messages::note(format_args!(
        "{what} under the lost key; when you find it: fourfold key grant {id}"
    ));
}
