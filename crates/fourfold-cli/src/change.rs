//! Carrying out a plan: show it, ask, apply it, and say what happened.

use fourfold::{KeyId, Plan};
use fourfold_client::{ApplyError, escape_untrusted};
use serde::Serialize;

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
        Report::of(plan).print(global, "done")?;
    }
    Ok(is_agreed)
}

/// What was done. With `--json` it is the one shape of answer that every change has.
#[derive(Default, Serialize)]
pub(crate) struct Report<'a> {
    /// Whether anything was written.
    changed: bool,
    title: &'a str,
    /// What was written, in this order.
    steps: Vec<ReportedStep<'a>>,
    warnings: &'a [String],
    /// The key that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'a KeyId>,
    /// The key that it replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    old_key_id: Option<&'a KeyId>,
}

#[derive(Serialize)]
struct ReportedStep<'a> {
    event_type: &'a str,
    reason: &'a str,
    removed: bool,
}

impl<'a> Report<'a> {
    /// The plan was carried out.
    pub(crate) fn of(plan: &'a Plan) -> Self {
        let steps = plan.steps.iter().map(|step| ReportedStep {
            event_type: &step.event_type,
            reason: &step.reason,
            removed: step.is_removal(),
        });
        Self {
            changed: !plan.is_empty(),
            title: &plan.title,
            steps: steps.collect(),
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
    pub(crate) fn with_new_key(mut self, id: &'a KeyId) -> Self {
        self.key_id = Some(id);
        self
    }

    /// A key was given up for it.
    pub(crate) fn with_old_key(mut self, id: &'a KeyId) -> Self {
        self.old_key_id = Some(id);
        self
    }

    /// Prints it as data, or says instead what it means.
    pub(crate) fn print(&self, global: &Global, said: impl std::fmt::Display) -> Result<()> {
        if global.json {
            return output::json(self);
        }
        ui::say(said);
        Ok(())
    }
}

/// Shows a plan and asks. Whether it is to be carried out.
pub(crate) fn agree(global: &Global, plan: &Plan, options: ChangeOptions) -> Result<bool> {
    agree_to(global, plan, &Outline::of(plan), options)
}

/// Shows an outline and asks. In a dry run with `--json`, `data` is printed in its place.
pub(crate) fn agree_to(
    global: &Global,
    data: &impl Serialize,
    outline: &Outline,
    options: ChangeOptions,
) -> Result<bool> {
    if options.dry_run {
        if global.json {
            output::json(data)?;
        } else {
            outline.show();
        }
        return Ok(false);
    }
    if outline.steps.is_empty() {
        Report::of_nothing(&outline.title).print(global, "there is nothing to change")?;
        return Ok(false);
    }
    outline.show();
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

/// What is going to happen, for a person to read: the steps of plans, and calls of other kinds.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Outline {
    title: String,
    steps: Vec<OutlineStep>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct OutlineStep {
    reason: String,
    /// Such as `put m.secret_storage.default_key`.
    action: String,
}

impl Outline {
    pub(crate) fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            ..Self::default()
        }
    }

    fn of(plan: &Plan) -> Self {
        let mut outline = Self::new(&plan.title);
        outline.add(plan);
        outline
    }

    /// Adds the steps of a plan.
    pub(crate) fn add(&mut self, plan: &Plan) {
        for step in &plan.steps {
            let verb = if step.is_removal() { "empty" } else { "put" };
            self.step(&step.reason, format!("{verb} {}", step.event_type));
        }
        self.warnings.extend(plan.warnings.iter().cloned());
    }

    /// Adds a step that is no change of account data.
    pub(crate) fn step(&mut self, reason: impl Into<String>, action: impl Into<String>) {
        let (reason, action) = (reason.into(), action.into());
        self.steps.push(OutlineStep { reason, action });
    }

    /// Adds something that the user should know before agreeing.
    pub(crate) fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    /// Whether nothing is going to happen.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    fn show(&self) {
        ui::say(format_args!("plan: {}", escape_untrusted(&self.title)));
        for (number, step) in self.steps.iter().enumerate() {
            ui::say(format_args!(
                "  {}. {}\n     {}",
                number + 1,
                escape_untrusted(&step.reason),
                escape_untrusted(&step.action)
            ));
        }
        for warning in &self.warnings {
            ui::say(format_args!("  note: {}", escape_untrusted(warning)));
        }
    }
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
