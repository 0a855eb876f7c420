//! A condition: what can be wrong with an account, with everything that is said about it.

use std::fmt;

use super::account::Account;
use super::finding::Findings;
use super::need::Need;
use super::severity::Severity;

/// One condition that an account can have. `health::CONDITIONS` is the table of all of them: what
/// `--explain` shows, the documentation and the schema of the report are made from it.
#[derive(Clone, Copy)]
pub struct Condition {
    pub(in crate::health) code: &'static str,
    /// What it can be, the usual one first.
    pub(in crate::health) severities: &'static [Severity],
    pub(in crate::health) needs: &'static [Need],
    pub(in crate::health) what: &'static str,
    pub(in crate::health) cause: &'static str,
    pub(in crate::health) repair: &'static str,
    pub(in crate::health) cost: &'static str,
    pub(in crate::health) check: fn(&Account<'_>, &mut Findings<'_>),
}

impl Condition {
    /// The stable code, in kebab case.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// The severities that it can have, the usual one first.
    #[must_use]
    pub const fn severities(&self) -> &'static [Severity] {
        self.severities
    }

    /// What must be known to check it.
    #[must_use]
    pub const fn needs(&self) -> &'static [Need] {
        self.needs
    }

    /// What it is.
    #[must_use]
    pub const fn what(&self) -> &'static str {
        self.what
    }

    /// How it comes about.
    #[must_use]
    pub const fn cause(&self) -> &'static str {
        self.cause
    }

    /// What mends it.
    #[must_use]
    pub const fn repair(&self) -> &'static str {
        self.repair
    }

    /// What the repair costs.
    #[must_use]
    pub const fn cost(&self) -> &'static str {
        self.cost
    }

    /// All of it in words, as Markdown: what `--explain` shows, and its part of `docs/conditions.md`.
    #[must_use]
    pub fn explain(&self) -> String {
        let list = |words: Vec<String>| words.join(" or ");
        let severities = self.severities.iter().map(ToString::to_string).collect();
        let mut text = format!("## {}\n\n{}\n\n", self.code, self.what);
        for (title, words) in [
            ("Severity", list(severities)),
            ("Likely cause", self.cause.to_owned()),
            ("Repair", self.repair.to_owned()),
            ("Cost of the repair", self.cost.to_owned()),
        ] {
            text.push_str(&format!("- **{title}:** {words}\n"));
        }
        text
    }

    /// The severity that it has when nothing makes it better or worse.
    pub(in crate::health) fn usual_severity(&self) -> Severity {
        self.severities.first().copied().unwrap_or(Severity::Error)
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.code).finish()
    }
}
