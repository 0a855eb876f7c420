//! The server and the session.

use crate::Content;
use crate::health::account::Account;
use crate::health::condition::Condition;
use crate::health::finding::{Findings, Subject, SubjectKind};
use crate::health::need::Need;
use crate::health::severity::Severity;
use crate::health::shown::shown;

pub(super) const SESSION_INVALID: Condition = Condition {
    code: "session-invalid",
    severities: &[Severity::Error],
    needs: &[],
    what: "The server rejects the log-in, or it is that of a guest.",
    cause: "The device was logged out elsewhere, or the password was changed.",
    repair: "Log in again. After a soft log-out the device keeps its ID and its keys.",
    cost: "After a log-out that is not soft, what only this device holds is lost.",
    check: session_invalid,
};

fn session_invalid(account: &Account<'_>, found: &mut Findings<'_>) {
    let Some(whoami) = said(account, "whoami") else {
        found.lacks(Need::Server);
        return;
    };
    let is_true = |member| matches!(whoami.get::<bool>(member), Some(Ok(true)));
    let error = whoami.get::<String>("errcode").and_then(Result::ok);
    let message = match &error {
        Some(_) if is_true("soft_logout") => "the server ended the log-in and keeps the device",
        Some(_) => "the server rejects the log-in",
        None if is_true("is_guest") => "the log-in is that of a guest",
        None => return,
    };
    let finding = found.finding(server(account), message);
    found.add(match error {
        Some(error) => finding.detail("errcode", shown(error)),
        None => finding,
    });
}

pub(super) const RESET_AUTHORISATION: Condition = Condition {
    code: "reset-authorisation",
    severities: &[Severity::Info],
    needs: &[],
    what: "How a change of the identity is authorised at this server.",
    cause: "Servers ask for the password, or for an approval on the account management page.",
    repair: "None is needed.",
    cost: "Nothing.",
    check: reset_authorisation,
};

fn reset_authorisation(account: &Account<'_>, found: &mut Findings<'_>) {
    let Some(metadata) = said(account, "auth_metadata") else {
        found.lacks(Need::Server);
        return;
    };
    let actions = metadata.get::<Vec<String>>("account_management_actions_supported");
    let actions = actions.and_then(Result::ok).unwrap_or_default();
    let is_approved = actions
        .iter()
        .any(|one| one.ends_with("cross_signing_reset"));
    if is_approved {
        let message = "a change of the identity is approved on the account management page";
        found.add(
            found
                .finding(server(account), message)
                .detail("by", "approval"),
        );
    }
}

pub(super) const ACCOUNT_DATA_STALE: Condition = Condition {
    code: "account-data-stale",
    severities: &[Severity::Warning],
    needs: &[],
    what: "The server shows different contents of an event in a sync and when asked for that \
           event.",
    cause: "A cache of the server is behind.",
    repair: "Wait, or tell the administrator of the homeserver. The answer to the direct request \
             is used.",
    cost: "Nothing.",
    check: account_data_stale,
};

fn account_data_stale(account: &Account<'_>, found: &mut Findings<'_>) {
    let observed = account.evidence.observed.as_ref();
    let Some(stale) = observed.and_then(|one| one.stale.as_ref()) else {
        found.lacks(Need::Server);
        return;
    };
    for event_type in stale {
        let message = format!("a sync shows outdated content of {}", shown(event_type));
        let finding = found.finding(server(account), message);
        found.add(finding.detail("event_type", event_type.as_str()));
    }
}

pub(super) const ACCOUNT_DATA_NOT_ECHOED: Condition = Condition {
    code: "account-data-not-echoed",
    severities: &[Severity::Error],
    needs: &[],
    what: "Account data that is written does not come back unchanged.",
    cause: "A fault of the server, or of something between it and this machine.",
    repair: "Tell the administrator of the homeserver. Change nothing there until it is repaired.",
    cost: "Nothing.",
    check: account_data_not_echoed,
};

fn account_data_not_echoed(account: &Account<'_>, found: &mut Findings<'_>) {
    match account
        .evidence
        .observed
        .as_ref()
        .and_then(|one| one.is_echoed)
    {
        Some(true) => {}
        Some(false) => {
            let message = "the server does not return account data as it was written";
            found.add(found.finding(server(account), message));
        }
        None => found.lacks(Need::Server),
    }
}

pub(super) const SERVER_BACKUP_QUIRK: Condition = Condition {
    code: "server-backup-quirk",
    severities: &[Severity::Warning],
    needs: &[],
    what: "The server treats versions of the key backup differently from the specification.",
    cause: "A fault of the server.",
    repair: "Tell the administrator of the homeserver.",
    cost: "Nothing.",
    check: server_backup_quirk,
};

fn server_backup_quirk(account: &Account<'_>, found: &mut Findings<'_>) {
    match account
        .evidence
        .observed
        .as_ref()
        .and_then(|one| one.backup_quirk.as_ref())
    {
        Some(Some(quirk)) => {
            let message = format!("the key backup of the server: {}", shown(quirk));
            found.add(found.finding(server(account), message));
        }
        Some(None) => {}
        None => found.lacks(Need::Server),
    }
}

pub(super) const SERVER_WANTS: Condition = Condition {
    code: "server-wants",
    severities: &[Severity::Info],
    needs: &[],
    what: "The server asks clients to set secret storage up, or to do so in a certain way.",
    cause: "The administrator decided it.",
    repair: "None is needed.",
    cost: "Nothing.",
    check: server_wants,
};

fn server_wants(account: &Account<'_>, found: &mut Findings<'_>) {
    let Some(well_known) = said(account, "well_known") else {
        found.lacks(Need::Server);
        return;
    };
    let Some(Ok(wants)) = well_known.object("io.element.e2ee") else {
        return;
    };
    if matches!(wants.get::<bool>("secure_backup_required"), Some(Ok(true))) {
        let message = "the server asks clients to set secret storage up";
        found.add(found.finding(server(account), message));
    }
    let methods = wants.get::<Vec<String>>("secure_backup_setup_methods");
    if let Some(Ok(methods)) = methods
        && methods.len() == 1
        && let Some(method) = methods.first()
    {
        let message = format!("the server asks for a {} for secret storage", shown(method));
        found.add(found.finding(server(account), message));
    }
}

/// What the server said of itself under this name.
fn said(account: &Account<'_>, what: &str) -> Option<Content> {
    let said = Content::from_json(account.evidence.snapshot.server()?).ok()?;
    said.object(what)?.ok()
}

fn server(account: &Account<'_>) -> Subject {
    let user_id = account.evidence.snapshot.user_id.as_str();
    let name = user_id.split_once(':').map_or("", |(_, name)| name);
    Subject::new(SubjectKind::Server, name)
}
