//! The report in words: the verdict first, then what was found, the worst first.

use std::collections::BTreeMap;

use fourfold::health::{
    Condition, Finding, KeyInput, KeyOutcome, KeyTried, Need, Repair, Report, Requirement, Risk,
    Severity, Verdict,
};
use fourfold_client::escape_untrusted;

use super::way::Way;
use crate::error::Result;
use crate::terminal::output;

/// Prints all of it.
pub(super) fn print(report: &Report) -> Result<()> {
    let user_id = escape_untrusted(&report.user_id);
    output::line(format_args!("account  {user_id}"))?;
    output::line(format_args!("health   {}", verdict(report)))?;
    for tried in &report.keys_tried {
        output::line(format_args!("key      {}", key(tried)))?;
    }
    let mut shown: BTreeMap<&str, usize> = BTreeMap::new();
    for finding in &report.findings {
        let number = shown.entry(finding.code).or_default();
        *number += 1;
        if *number <= MAX_OF_ONE_CODE {
            print_finding(finding, *number == 1)?;
        }
    }
    let more: usize = shown
        .values()
        .map(|number| number.saturating_sub(MAX_OF_ONE_CODE))
        .sum();
    if more > 0 {
        output::line("")?;
        output::line(format_args!(
            "and {more} more of the same kinds; --json shows all"
        ))?;
    }
    print_not_checked(report)
}

/// The verdict for a command that shows more than that.
pub(crate) fn in_one_line(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Healthy => "healthy",
        Verdict::Attention => "works; fourfold doctor says what needs attention",
        Verdict::Repairable => {
            "something is wrong and can be repaired; fourfold doctor says what and how"
        }
        Verdict::NeedsInput => "something is wrong; fourfold doctor says what repairs it",
        Verdict::Unrecoverable => "something is lost; fourfold doctor says what",
    }
}

fn verdict(report: &Report) -> String {
    let of = |severity| {
        let all = report.findings.iter();
        all.filter(|one| one.severity == severity).count()
    };
    let (warnings, errors) = (
        of(Severity::Warning),
        of(Severity::Error) + of(Severity::Fatal),
    );
    let errors = counted(errors, "error");
    match report.verdict() {
        Verdict::Healthy if report.not_checked.is_empty() => "healthy".to_owned(),
        Verdict::Healthy => "healthy, as far as it could be examined".to_owned(),
        Verdict::Attention => {
            let warnings = counted(warnings, "warning");
            format!("{warnings}: the account works today")
        }
        Verdict::Repairable => format!("{errors}, which fourfold doctor --fix repairs"),
        Verdict::NeedsInput => format!("{errors}; the repair takes more than is at hand"),
        Verdict::Unrecoverable => format!("{errors}, of which one cannot be repaired"),
    }
}

fn key(tried: &KeyTried) -> String {
    let input = match tried.input {
        KeyInput::RecoveryKey => "the recovery key",
        KeyInput::Passphrase => "the passphrase",
        KeyInput::BackupKey => "the key of the key backup",
        _ => "the key",
    };
    let id = tried.key_id.as_deref().map(escape_untrusted);
    match (tried.outcome, id) {
        (KeyOutcome::Verified, Some(id)) => format!("{input} is that of {id}"),
        (KeyOutcome::Verified, None) => format!("{input} is right, and opens no secret storage"),
        (KeyOutcome::Unverifiable, Some(id)) => {
            format!("{input} may be that of {id}: nothing shows it")
        }
        (KeyOutcome::NotAKey, _) => format!("{input} is no key: look for a typing error"),
        _ => format!("{input} is none of this account"),
    }
}

fn print_finding(finding: &Finding, is_first_of_code: bool) -> Result<()> {
    output::line("")?;
    output::line(format_args!(
        "{}: {} [{}]",
        finding.severity, finding.message, finding.code
    ))?;
    // What holds for all of a kind is said once.
    if is_first_of_code {
        if let Some(condition) = Condition::of(finding.code) {
            output::line(format_args!("    what    {}", condition.what()))?;
        }
        if let Some(cause) = finding.likely_cause {
            output::line(format_args!("    cause   {cause}"))?;
        }
    }
    if finding.repairs.is_empty() {
        let repair = Condition::of(finding.code).map(Condition::repair);
        if let Some(repair) = repair.filter(|_| is_first_of_code) {
            output::line(format_args!("    repair  {repair}"))?;
        }
    }
    for (number, repair) in finding.repairs.iter().take(MAX_REPAIRS).enumerate() {
        print_repair(finding, repair, number == 0)?;
    }
    Ok(())
}

fn print_repair(finding: &Finding, repair: &Repair, is_first: bool) -> Result<()> {
    let label = if is_first { "repair" } else { "or    " };
    output::line(format_args!("    {label}  {}", repair.title))?;
    if !repair.needs.is_empty() {
        let needs: Vec<_> = repair.needs.iter().map(need).collect();
        output::line(format_args!("            needs {}", needs.join(" and ")))?;
    }
    if repair.risk == Risk::Consent {
        output::line("            can lose something: made only when it is named")?;
    }
    match Way::of(repair) {
        Way::Fix => {
            let named = match repair.risk {
                Risk::None => String::new(),
                Risk::Consent => format!(" {}", finding.code),
            };
            let takes_key = |need: &Requirement| matches!(need, Requirement::Key(_));
            let key = if repair.needs.iter().any(takes_key) {
                " --recovery-key-file FILE"
            } else {
                ""
            };
            output::line(format_args!(
                "            fourfold doctor --fix{named}{key}"
            ))
        }
        Way::Commands(commands) => commands
            .iter()
            .try_for_each(|command| output::line(format_args!("            {command}"))),
    }
}

fn need(need: &Requirement) -> String {
    match need {
        Requirement::Key(id) => format!("the key {}", escape_untrusted(id.as_str())),
        Requirement::Password => "the password of the account".to_owned(),
        Requirement::Device => "another device of yours".to_owned(),
        Requirement::Approval => "your approval on the account management page".to_owned(),
        Requirement::OtherCopy => "another copy of the secret".to_owned(),
        other => escape_untrusted(&other.to_string()),
    }
}

/// What was not examined, by what it takes.
fn print_not_checked(report: &Report) -> Result<()> {
    let mut by_need: BTreeMap<Need, usize> = BTreeMap::new();
    for not_checked in &report.not_checked {
        for need in &not_checked.needs {
            *by_need.entry(*need).or_default() += 1;
        }
    }
    if by_need.is_empty() {
        return Ok(());
    }
    output::line("")?;
    output::line("not examined")?;
    for (need, number) in by_need {
        let conditions = counted(number, "condition");
        let how = match need {
            Need::Key => "with a key: --recovery-key-file or --passphrase-file",
            Need::KeysQuery => "with the published keys, which are not there",
            Need::BackupVersion => "with the key backup, of which nothing is known",
            Need::Baseline => "with an earlier state of the account: --baseline FILE",
            Need::Server => "with what only the homeserver says",
            _ => "with more than is known",
        };
        output::line(format_args!("    {conditions} {how}"))?;
    }
    Ok(())
}

fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}

/// How many findings of one condition are shown.
const MAX_OF_ONE_CODE: usize = 10;

/// How many ways to repair one finding are shown.
const MAX_REPAIRS: usize = 3;
