//! Changes that a key of the user settles: a rotation on another device, a description that is gone.
//!
//! Which key settles what, the library decides
//! ([`Succession`](fourfold::history::Succession)); this gets the key from the user.

use fourfold::{SecretStorageKey, Snapshot};

use crate::error::Result;
use crate::options::KeyInput;
use crate::storage::judged::Compared;
use crate::storage::unlock::{self, Candidates};
use crate::terminal::{messages, prompt};

/// The key among those that the user gives that settles everything which is suspicious, if it can be
/// settled. The command gets the same answers again.
pub(super) fn key(
    snapshot: &Snapshot,
    compared: &Compared,
    input: &KeyInput,
) -> Result<Option<SecretStorageKey>> {
    if !compared.is_for_a_key_to_settle() || !(input.is_given() || prompt::is_possible()) {
        return Ok(None);
    }
    let candidates = Candidates::all(&snapshot.storage());
    let mut budget = unlock::budget(input);
    for offer in input.keep_offers(unlock::question(&candidates))? {
        // What is wrong with it, the command finds out again.
        let Ok(found) = unlock::find_in(snapshot, &offer, &candidates, &mut budget) else {
            continue;
        };
        if compared.is_settled_by(snapshot, &found.key) {
            messages::note(format_args!(
                "accepted, because the key {} opens what was there before",
                unlock::label(&snapshot.storage(), found.key.id())
            ));
            return Ok(Some(found.key));
        }
    }
    Ok(None)
}
