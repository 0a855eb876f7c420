//! Descriptions of keys that are known from before.

use crate::health::account::Account;
use crate::health::repair::{Remedy, Repair, Risk};
use crate::{Content, EventState, KeyId};

/// The way to put the description of a key back, where an earlier one is known. It is the user's
/// choice where that overwrites a description that may be the right one: with its salt the passphrase
/// of a key that was replaced would be lost.
pub(super) fn put_description_back(account: &Account<'_>, id: &KeyId) -> Option<Repair> {
    let remembered = remembered_description(account, id)?;
    let mut repair = Repair::new(Remedy::RestoreDescription(id.clone()));
    let now = account.storage.account_data().state(&id.event_type());
    if matches!(now, EventState::Content(now) if may_be_of_another_key(&now, &remembered)) {
        repair.risk = Risk::Consent;
    }
    Some(repair)
}

/// Whether a description may be that of another key than the remembered one: it says something of its
/// own, and its check data is not the same.
fn may_be_of_another_key(now: &Content, remembered: &Content) -> bool {
    let is_same = |member: &str| now.raw(member) == remembered.raw(member);
    let is_there = |member: &str| now.raw(member).is_some();
    let check = ["iv", "mac"];
    let is_same_key = check
        .iter()
        .all(|member| is_there(member) && is_same(member));
    let mut own = ["iv", "mac", "passphrase"].iter();
    !is_same_key && own.any(|member| is_there(member) && !is_same(member))
}

/// The description of a key as it was in the earlier snapshot, or as this machine accepted it.
pub(in crate::health) fn remembered_description(
    account: &Account<'_>,
    id: &KeyId,
) -> Option<Content> {
    let history = account.evidence.history.and_then(|history| {
        let mut known = history.descriptions();
        known
            .find(|(known, _)| *known == id)
            .map(|(_, content)| content.clone())
    });
    history.or_else(|| {
        let baseline = account.evidence.baseline?;
        baseline
            .storage()
            .key(id)
            .ok()
            .map(|old| old.content().clone())
    })
}
