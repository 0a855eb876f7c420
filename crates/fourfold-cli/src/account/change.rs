//! Carrying out a plan: show it, ask, apply it, and say what happened.

use fourfold::judged::{Cleared, Writable};
use fourfold::plan::{Action, PutAccountData, Step};
use fourfold::{KeyId, NewKey, Plan};
use fourfold_client::{ApplyError, Password, escape_untrusted};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::account::password::PasswordOptions;
use crate::account::{LoggedIn, shown_plan};
use crate::error::{Error, Result};
use crate::keys::new_key;
use crate::options::{AcceptOptions, ChangeOptions, Global, KeyInput, NewKeyOptions};
use crate::terminal::{messages, output, prompt};

/// As [`make`], for a plan that is made with a key: it may settle what is suspicious.
pub(crate) fn make_with_key(
    global: &Global,
    input: &KeyInput,
    options: ChangeOptions,
    accept: AcceptOptions,
    plan: impl FnOnce(&Writable) -> Result<Plan>,
) -> Result<()> {
    let mut logged_in = LoggedIn::open(global)?;
    let snapshot = logged_in.snapshot_to_change(input, accept)?;
    let plan = plan(&snapshot)?;
    carry_out(global, &mut logged_in, snapshot.clear(&plan), options)
}

/// Makes a plan of what is there now, shows it and, unless it is a dry run or the user says no,
/// carries it out.
pub(crate) fn make(
    global: &Global,
    options: ChangeOptions,
    accept: AcceptOptions,
    plan: impl FnOnce(&Writable) -> Result<Plan>,
) -> Result<()> {
    let mut logged_in = LoggedIn::open(global)?;
    let snapshot = logged_in.snapshot_for_change(accept)?;
    let plan = plan(&snapshot)?;
    carry_out(global, &mut logged_in, snapshot.clear(&plan), options)
}

/// Shows a plan and, unless it is a dry run or the user says no, carries it out.
pub(crate) fn carry_out(
    global: &Global,
    logged_in: &mut LoggedIn,
    plan: Cleared<'_>,
    options: ChangeOptions,
) -> Result<()> {
    if !agree(global, plan.plan(), options)? {
        return Ok(());
    }
    apply(logged_in, plan)?;
    Report::of(plan.plan()).print(global, "done")
}

/// Carries out a plan that depends on a new key, unless it is a dry run or the user says no. The
/// recovery key reaches its owner before anything is written.
///
/// Returns what was done; `None` when nothing was.
pub(crate) fn introduce<'a>(
    global: &Global,
    logged_in: &mut LoggedIn,
    plan: Cleared<'a>,
    new: &'a NewKey,
    options: &NewKeyOptions,
    change: ChangeOptions,
) -> Result<Option<Report<'a>>> {
    if !agree(global, plan.plan(), change)? {
        return Ok(None);
    }
    new_key::deliver(new, options, logged_in.account.session())?;
    apply(logged_in, plan)?;
    Ok(Some(Report::of(plan.plan()).with_new_key(new.key().id())))
}

/// The result of a change. With `--json` every change prints this object.
#[derive(Default, Serialize)]
pub(crate) struct Report<'a> {
    /// Whether anything was written.
    changed: bool,
    title: &'a str,
    /// The steps that were written, in this order.
    steps: Vec<ReportedStep<'a>>,
    warnings: &'a [String],
    /// The key that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'a KeyId>,
    /// The key that it replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    old_key_id: Option<&'a KeyId>,
    /// What an examination of the account says afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct ReportedStep<'a> {
    /// Such as `put m.secret_storage.default_key`.
    done: String,
    /// The event type of account data, where that is what was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_type: Option<&'a str>,
    reason: &'a str,
    /// Whether an event of account data was emptied.
    removed: bool,
}

impl<'a> ReportedStep<'a> {
    fn of(step: &'a Step) -> Self {
        let put = match &step.action {
            Action::PutAccountData(put) => Some(put),
            _ => None,
        };
        Self {
            done: step.action.to_string(),
            event_type: put.map(|put| put.event_type.as_str()),
            reason: &step.reason,
            removed: put.is_some_and(PutAccountData::is_removal),
        }
    }
}

impl<'a> Report<'a> {
    /// The plan was carried out.
    pub(crate) fn of(plan: &'a Plan) -> Self {
        Self {
            changed: !plan.is_empty(),
            title: &plan.title,
            steps: plan.steps.iter().map(ReportedStep::of).collect(),
            warnings: &plan.warnings,
            ..Self::default()
        }
    }

    /// Nothing was written.
    pub(crate) fn of_nothing(title: &'a str) -> Self {
        Self {
            title,
            ..Self::default()
        }
    }

    /// A key was made for it.
    fn with_new_key(mut self, id: &'a KeyId) -> Self {
        self.key_id = Some(id);
        self
    }

    /// A key was given up for it.
    pub(crate) fn with_old_key(mut self, id: &'a KeyId) -> Self {
        self.old_key_id = Some(id);
        self
    }

    /// The account was examined after it.
    pub(crate) fn with_health(mut self, report: Box<RawValue>) -> Self {
        self.health = Some(report);
        self
    }

    /// Prints it as data, or says instead what it means.
    pub(crate) fn print(&self, global: &Global, said: impl std::fmt::Display) -> Result<()> {
        if global.json {
            return output::json(self);
        }
        messages::say(said);
        Ok(())
    }
}

/// Shows a plan and asks. Whether it is to be carried out.
pub(crate) fn agree(global: &Global, plan: &Plan, options: ChangeOptions) -> Result<bool> {
    if options.dry_run {
        if global.json {
            output::json(plan)?;
        } else {
            show(global, plan);
        }
        return Ok(false);
    }
    if plan.is_empty() {
        note_warnings(global, plan);
        Report::of(plan).print(global, "there is nothing to change")?;
        return Ok(false);
    }
    show(global, plan);
    if !options.yes {
        if !prompt::is_possible() {
            return Err(Error::usage("there is no terminal to confirm on")
                .hint("use --yes, or --dry-run to see the plan only"));
        }
        if !prompt::is_yes(&prompt::visible("Continue? [y/N]")?) {
            return Err(Error::refused("nothing was changed"));
        }
    }
    Ok(true)
}

/// What a plan without steps has to say: nobody is shown it. With `--json` it is part of the answer.
pub(crate) fn note_warnings(global: &Global, plan: &Plan) {
    if global.json {
        return;
    }
    for warning in &plan.warnings {
        messages::note(escape_untrusted(warning));
    }
}

fn show(global: &Global, plan: &Plan) {
    for line in shown_plan::lines(plan, global.verbose > 0) {
        messages::say(line);
    }
}

/// Applies a plan that was agreed to.
pub(crate) fn apply(logged_in: &mut LoggedIn, plan: Cleared<'_>) -> Result<()> {
    Ok(try_apply(logged_in, plan, None)?)
}

/// The same for a plan with steps for which the homeserver may ask for the password.
pub(crate) fn apply_asking(
    logged_in: &mut LoggedIn,
    plan: Cleared<'_>,
    password: &PasswordOptions,
) -> Result<()> {
    let applied = match try_apply(logged_in, plan, None) {
        Err(error) if error.needs_password() => {
            let password = password.read()?;
            try_apply(logged_in, plan, Some(&password))
        }
        applied => applied,
    };
    Ok(applied?)
}

/// Goes on with a plan that an earlier attempt has left, if there is one: it was agreed to then. What
/// is there is compared again, since nobody knows how long ago that was.
pub(crate) fn resume(
    logged_in: &mut LoggedIn,
    password: &PasswordOptions,
    accept: AcceptOptions,
) -> Result<Option<Plan>> {
    let Some(plan) = logged_in.state.journal()? else {
        return Ok(None);
    };
    if let Some(plan) = Cleared::that_only_removes(&plan) {
        apply_asking(logged_in, plan, password)?;
    } else {
        let now = logged_in.snapshot_for_going_on(accept)?;
        apply_asking(logged_in, now.clear(&plan), password)?;
    }
    Ok(Some(plan))
}

/// Gives up a plan that an earlier attempt has left. What of it is there is remembered as written here,
/// unless the homeserver cannot be reached.
pub(crate) fn abandon(logged_in: &mut LoggedIn) -> Result<()> {
    if logged_in.state.journal()?.is_some() {
        let _ = logged_in.compared(AcceptOptions::default());
    }
    Ok(logged_in.state.abandon()?)
}

/// Applies a plan, and leaves it to the caller what a failure means.
pub(crate) fn try_apply(
    logged_in: &mut LoggedIn,
    plan: Cleared<'_>,
    password: Option<&Password>,
) -> std::result::Result<(), ApplyError> {
    let title = &plan.plan().title;
    let busy = messages::busy(title.clone());
    logged_in.with_state(async |account, state| {
        fourfold_client::apply(account, state, plan, password, |progress| {
            busy.now(format!(
                "{} ({}/{})",
                title,
                progress.index + 1,
                progress.total
            ));
        })
        .await
    })
}
