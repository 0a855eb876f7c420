//! Carrying out a plan: show it, ask, apply it, and say what happened.

use fourfold::Plan;
use fourfold_client::{ApplyError, escape_untrusted};

use crate::{
    account::LoggedIn,
    arguments::{ChangeOptions, Global},
    error::{Error, Exit, Result},
    output, prompt, ui,
};

/// Shows a plan and, unless it is a dry run or the user says no, carries it out.
///
/// Returns whether it was carried out.
pub(crate) fn carry_out(
    global: &Global,
    logged_in: &mut LoggedIn,
    plan: &Plan,
    options: ChangeOptions,
) -> Result<bool> {
    let is_agreed = agree(global, plan, options)?;
    if is_agreed {
        apply(logged_in, plan)?;
        ui::say("done");
    }
    Ok(is_agreed)
}

/// Shows a plan and asks. Whether it is to be carried out.
pub(crate) fn agree(global: &Global, plan: &Plan, options: ChangeOptions) -> Result<bool> {
    if options.dry_run {
        if global.json {
            output::json(plan)?;
        } else {
            show(plan);
        }
        return Ok(false);
    }
    if plan.is_empty() {
        ui::say("there is nothing to change");
        return Ok(false);
    }
    show(plan);
    if !options.yes {
        if !prompt::is_possible() {
            return Err(Error::usage("nobody can be asked whether to go on")
                .hint("use --yes, or --dry-run to see the plan only"));
        }
        if !matches!(prompt::visible("Go on? [y/N]")?.as_str(), "y" | "Y" | "yes") {
            return Err(Error::refused("nothing was changed"));
        }
    }
    Ok(true)
}

/// Applies a plan that was agreed to.
pub(crate) fn apply(logged_in: &mut LoggedIn, plan: &Plan) -> Result<()> {
    let busy = ui::busy(plan.title.clone());
    logged_in
        .with_state(async |account, state| {
            fourfold_client::apply(account, state, plan, |progress| {
                busy.now(format!(
                    "{} ({}/{})",
                    plan.title,
                    progress.index + 1,
                    progress.total
                ));
            })
            .await
        })
        .map_err(Error::from)
}

/// Writes a plan for a person to read.
fn show(plan: &Plan) {
    ui::say(format_args!("plan: {}", escape_untrusted(&plan.title)));
    for (number, step) in plan.steps.iter().enumerate() {
        let verb = if step.is_removal() { "empty" } else { "put" };
        ui::say(format_args!(
            "  {}. {}\n     {verb} {}",
            number + 1,
            escape_untrusted(&step.reason),
            escape_untrusted(&step.event_type)
        ));
    }
    for warning in &plan.warnings {
        ui::say(format_args!("  note: {}", escape_untrusted(warning)));
    }
}

impl From<ApplyError> for Error {
    fn from(error: ApplyError) -> Self {
        let resume = "fourfold resume goes on when the reason is gone";
        match error {
            ApplyError::Conflict { .. } => Self::new(Exit::Conflict, error).hint(
                "look at what changed: fourfold status; then fourfold resume, or resume --abandon",
            ),
            ApplyError::ReadBack { .. } => Self::new(Exit::Conflict, error).hint(
                "the homeserver does not keep what it is given; nothing was removed; see its logs",
            ),
            ApplyError::Request { .. } => Self::new(Exit::Network, error).hint(resume),
            ApplyError::LocalState(error) => Self::from(error).hint(resume),
            error => Self::new(Exit::Conflict, error).hint(resume),
        }
    }
}
