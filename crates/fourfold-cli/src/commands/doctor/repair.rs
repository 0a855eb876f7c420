//! `fourfold doctor --fix`: the plan of the repairs, and what is left after it.

use std::path::Path;

use fourfold::health::{
    Evidence, Finding, NotDrafted, Remedy, Repair, Report, Risk, Source, examine,
};
use fourfold::{Plan, Snapshot};
use fourfold_client::escape_untrusted;

use super::answer::{conclude, in_json};
use super::explain::condition;
use super::given::{Given, known_here};
use super::options::Options;
use super::way::Way;
use super::words;
use crate::account::{self, KnownHere, LoggedIn, change};
use crate::error::Result;
use crate::keys::random::rng;
use crate::options::{AcceptOptions, Global};
use crate::terminal::{messages, output};

/// Repairs the account, or a snapshot of it.
pub(super) fn run(global: &Global, options: &Options, codes: &[String]) -> Result<()> {
    codes
        .iter()
        .try_for_each(|code| condition(code).map(drop))?;
    match &options.read.snapshot {
        Some(path) => of_file(global, options, codes, path),
        None => of_account(global, options, codes),
    }
}

/// One plan as every other, after which the account is examined again.
fn of_account(global: &Global, options: &Options, codes: &[String]) -> Result<()> {
    let mut logged_in = LoggedIn::open(global)?;
    // What was remembered before anything is accepted: a description is put back from there.
    let here = known_to(&mut logged_in, options)?;
    let snapshot = if options.input.is_given() {
        logged_in.snapshot_to_change(&options.input, options.accept)?
    } else {
        logged_in.snapshot_for_change(options.accept)?
    };
    let given = Given::read(options)?;
    given.check_baseline(logged_in.account.user_id())?;
    let plan = {
        // A private key that is replaced is kept under the name of its version.
        let seen = Snapshot::clone(&snapshot);
        let seen = logged_in.wait(logged_in.account.with_older_backups(seen));
        let evidence = given.evidence(&seen, Source::Server, &here);
        draft(&evidence, |finding, repair| {
            is_wanted(codes, finding, repair)
        })
    };
    if options.change.dry_run || !plan.is_empty() {
        if !change::agree(global, &plan, options.change)? {
            return Ok(());
        }
        change::apply(&mut logged_in, snapshot.clear(&plan))?;
    }
    let (after, _) = logged_in.compared(AcceptOptions::default())?;
    let here = known_to(&mut logged_in, options)?;
    let report = examine(&given.evidence(&after, Source::Server, &here));
    show(global, &plan, &report)?;
    conclude(&report, options)
}

fn known_to(logged_in: &mut LoggedIn, options: &Options) -> Result<KnownHere> {
    KnownHere::of(
        &mut logged_in.state,
        &options.sealing,
        options.from_this_machine,
    )
}

/// What account data can mend in a snapshot: it is written to a new file.
fn of_file(global: &Global, options: &Options, codes: &[String], path: &Path) -> Result<()> {
    if let Some(out) = &options.out {
        output::check_new_file(out)?;
    }
    let mut snapshot = account::in_file(path)?;
    let here = known_here(global, options, &snapshot.user_id)?;
    let given = Given::read(options)?;
    given.check_baseline(&snapshot.user_id)?;
    let plan = {
        let evidence = given.evidence(&snapshot, Source::Snapshot, &here);
        draft(&evidence, |finding, repair| {
            let is_more = matches!(repair.remedy, Remedy::SignBackup | Remedy::NewBackup);
            !is_more && is_wanted(codes, finding, repair)
        })
    };
    if options.change.dry_run || !plan.is_empty() {
        if !change::agree(global, &plan, options.change)? {
            return Ok(());
        }
        plan.apply_to(&mut snapshot.account_data);
    }
    if let Some(out) = &options.out {
        output::secret_file(out, &snapshot.to_json())?;
    }
    let report = examine(&given.evidence(&snapshot, Source::Snapshot, &here));
    show(global, &plan, &report)?;
    conclude(&report, options)
}

/// Plans the repairs that are wanted, and says which of them are not in the plan.
fn draft(evidence: &Evidence<'_>, is_wanted: impl FnMut(&Finding, &Repair) -> bool) -> Plan {
    let mut report = examine(evidence);
    let (mut plan, left) = report.draft_repairs(evidence, is_wanted, &mut rng());
    let all = report.findings.iter().flat_map(|one| &one.repairs);
    let risky = all.filter(|repair| repair.risk == Risk::Consent && !repair.steps.is_empty());
    for repair in risky {
        let warning = format!("{}: what it replaces or removes is lost", repair.title);
        if !plan.warnings.contains(&warning) {
            plan.warnings.push(warning);
        }
    }
    for not_drafted in &left {
        say_why(&report, not_drafted);
    }
    plan
}

/// When nothing is named, the repairs that lose nothing; else those of what is named, for which
/// everything is at hand.
fn is_wanted(codes: &[String], finding: &Finding, repair: &Repair) -> bool {
    if codes.is_empty() {
        return repair.is_chosen;
    }
    if !codes.iter().any(|code| code == finding.code) {
        return false;
    }
    let mut repairs = finding.repairs.iter();
    let chosen = repairs.find(|one| one.is_chosen);
    let mut repairs = finding.repairs.iter();
    let first = chosen.or_else(|| repairs.find(|one| one.needs.is_empty()));
    first.is_some_and(|first| std::ptr::eq(first, repair))
}

fn say_why(report: &Report, left: &NotDrafted) {
    let mut repairs = report.findings.iter().flat_map(|one| &one.repairs);
    let repair = repairs.find(|repair| repair.remedy == left.remedy);
    let commands = match repair.map(Way::of) {
        Some(Way::Commands(commands)) => format!(": {}", commands.join("; ")),
        _ => String::new(),
    };
    let why = escape_untrusted(&left.reason.to_string());
    messages::note(format_args!(
        "not in the plan: {}: {why}{commands}",
        left.remedy
    ));
}

/// What was done, and what an examination finds after it.
fn show(global: &Global, plan: &Plan, report: &Report) -> Result<()> {
    if global.json {
        let done = change::Report::of(plan).with_health(in_json(report)?);
        return output::json(&done);
    }
    if plan.is_empty() {
        messages::say("there is nothing that can be repaired with what is at hand");
    } else {
        messages::say("done; this is what remains");
    }
    words::print(report)
}
