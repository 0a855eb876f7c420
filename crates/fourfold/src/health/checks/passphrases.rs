//! How the keys are derived from passphrases.

use super::descriptions::{readable, rotate};
use crate::health::account::Account;
use crate::health::condition::Condition;
use crate::health::finding::{Findings, Subject};
use crate::health::offered::{KeyInput, Offer};
use crate::health::severity::Severity;
use crate::health::shown::shown;
use crate::passphrase::{Bounds, ParametersError};

pub(super) const PASSPHRASE_MALFORMED: Condition = Condition {
    code: "passphrase-malformed",
    severities: &[Severity::Warning, Severity::Error],
    needs: &[],
    what: "The description of a key does not say how to derive the key from the passphrase.",
    cause: "A client wrote parameters that the specification does not have.",
    repair: "Use the recovery key of the same key; then replace the key.",
    cost: "A new recovery key or passphrase.",
    check: passphrase_malformed,
};

fn passphrase_malformed(account: &Account<'_>, found: &mut Findings<'_>) {
    let has_recovery_key = account.evidence.keys.iter().any(|offered| {
        offered.input == KeyInput::RecoveryKey && matches!(offered.offer, Offer::Key { .. })
    });
    for (id, description) in readable(account) {
        let Some(Err(error)) = description.passphrase() else {
            continue;
        };
        if matches!(error, ParametersError::TooManyIterations { .. }) {
            continue;
        }
        let severity = if has_recovery_key {
            Severity::Warning
        } else {
            Severity::Error
        };
        let message = format!("the key {}: {error}", shown(id.as_str()));
        let finding = found.finding(Subject::key(id), message).severity(severity);
        found.add(
            finding
                .detail("error", error.code())
                .repair(rotate(account, id)),
        );
    }
}

pub(super) const PASSPHRASE_TOO_COSTLY: Condition = Condition {
    code: "passphrase-too-costly",
    severities: &[Severity::Error],
    needs: &[],
    what: "A key asks for more iterations than are accepted.",
    cause: "The description was changed, perhaps by the server: no client asks for so many.",
    repair: "Use the recovery key of the same key; then replace the key.",
    cost: "A new recovery key or passphrase.",
    check: passphrase_too_costly,
};

fn passphrase_too_costly(account: &Account<'_>, found: &mut Findings<'_>) {
    out_of_bounds(account, found, |error| {
        matches!(error, ParametersError::TooManyIterations { .. })
    });
}

pub(super) const PASSPHRASE_TOO_CHEAP: Condition = Condition {
    code: "passphrase-too-cheap",
    severities: &[Severity::Warning],
    needs: &[],
    what: "A key asks for so few iterations that its passphrase can be guessed.",
    cause: "An old client created the key, or the server changed the description.",
    repair: "Replace the key.",
    cost: "A new recovery key or passphrase.",
    check: passphrase_too_cheap,
};

fn passphrase_too_cheap(account: &Account<'_>, found: &mut Findings<'_>) {
    out_of_bounds(account, found, |error| {
        matches!(error, ParametersError::TooFewIterations { .. })
    });
}

fn out_of_bounds(
    account: &Account<'_>,
    found: &mut Findings<'_>,
    is_it: impl Fn(&ParametersError) -> bool,
) {
    for (id, description) in readable(account) {
        let error = match description.passphrase() {
            Some(Err(error)) => Some(error),
            Some(Ok(parameters)) => Bounds::DEFAULT.check(&parameters).err(),
            None => None,
        };
        if let Some(error) = error.filter(&is_it) {
            let message = format!("the key {}: {error}", shown(id.as_str()));
            let finding = found.finding(Subject::key(id), message);
            found.add(
                finding
                    .detail("error", error.code())
                    .repair(rotate(account, id)),
            );
        }
    }
}
