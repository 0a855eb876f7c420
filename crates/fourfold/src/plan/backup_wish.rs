//! What the user wants: a key backup or none, as all clients of the user are told.

use super::draft::Draft;
use crate::{AccountData, Content, EventState};

/// `m.key_backup` tells the user's other clients that backups are wanted (MSC4287).
pub(super) const KEY_BACKUP: &str = "m.key_backup";

/// What matrix-sdk wrote before `m.key_backup` was specified (MSC4287), with the opposite meaning.
pub(super) const BACKUP_DISABLED: &str = "m.org.matrix.custom.backup_disabled";

/// Whether the user said once that no backup is wanted: other clients ask for it too.
pub(super) fn is_backup_unwanted(account_data: &AccountData) -> bool {
    match account_data.state(KEY_BACKUP) {
        EventState::Content(wish) => wish.get("enabled") == Some(Ok(false)),
        _ => false,
    }
}

/// Says that backups are wanted, whatever was said before, under both names: the user just asked for
/// one.
pub(super) fn want_backup(draft: &mut Draft) {
    let reason = "tell the user's other clients that room keys are backed up";
    set_flag(draft, KEY_BACKUP, "enabled", true, reason);
    if !matches!(
        draft.account_data.state(BACKUP_DISABLED),
        EventState::Absent
    ) {
        set_flag(draft, BACKUP_DISABLED, "disabled", false, reason);
    }
}

/// Says that backups are wanted, unless the user said something about it before.
pub(super) fn enable_backup(draft: &mut Draft) {
    let mut content = match draft.account_data.state(KEY_BACKUP) {
        EventState::Content(content) => content,
        _ => Content::default(),
    };
    // Respect the user's setting, on or off.
    if matches!(content.get::<bool>("enabled"), Some(Ok(_))) {
        return;
    }
    content.insert("enabled", &true);
    let reason = "tell the user's other clients that room keys are backed up";
    draft.put(KEY_BACKUP, content, reason);
}

fn set_flag(draft: &mut Draft, event_type: &str, member: &str, value: bool, reason: &str) {
    let mut content = match draft.account_data.state(event_type) {
        EventState::Content(content) => content,
        _ => Content::default(),
    };
    if content.get::<bool>(member) != Some(Ok(value)) {
        content.insert(member, &value);
        draft.put(event_type, content, reason);
    }
}
