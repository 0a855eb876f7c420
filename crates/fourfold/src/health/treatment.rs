//! From repairs to one plan.

use std::collections::BTreeSet;

use rand_core::CryptoRng;

use super::account::Account;
use super::draft::{DraftError, draft};
use super::evidence::Evidence;
use super::finding::Finding;
use super::repair::{Remedy, Repair};
use super::report::Report;
use crate::Plan;

impl Report {
    /// Makes one plan of the repairs that are wanted, each with its own steps in its finding: first
    /// what adds copies, then the default key, then what takes something away. Each is planned on what
    /// the ones before it leave, and what two findings want is done once.
    ///
    /// Only what can be made with what is at hand is a plan. What is not comes back, with the reason.
    ///
    /// ```
    /// # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
    /// use fourfold::Snapshot;
    /// use fourfold::health::{Evidence, examine};
    /// let snapshot = Snapshot::from_json(
    ///     r#"{"user_id": "@a:b.org", "account_data": {
    ///         "m.key_backup": {"enabled": true},
    ///         "m.org.matrix.custom.backup_disabled": {"disabled": true}}}"#,
    /// )?;
    /// let evidence = Evidence::of(&snapshot);
    /// let mut report = examine(&evidence);
    /// let (plan, left) = report.draft_repairs(&evidence, |_, repair| repair.is_chosen, &mut rng);
    /// assert_eq!((plan.steps.len(), left.len()), (1, 0));
    /// # Ok::<(), fourfold::ContentError>(())
    /// ```
    pub fn draft_repairs(
        &mut self,
        evidence: &Evidence<'_>,
        mut is_wanted: impl FnMut(&Finding, &Repair) -> bool,
        rng: &mut impl CryptoRng,
    ) -> (Plan, Vec<NotDrafted>) {
        let mut wanted = BTreeSet::new();
        for finding in &self.findings {
            let repairs = finding.repairs.iter();
            let repairs = repairs.filter(|repair| is_wanted(finding, repair));
            wanted.extend(repairs.map(|repair| repair.remedy.clone()));
        }
        let account = Account::of(evidence);
        let mut account_data = evidence.snapshot.account_data.clone();
        let (mut plans, mut left) = (Vec::new(), Vec::new());
        for remedy in wanted {
            match draft(&account, &account_data, &remedy, rng) {
                Ok(plan) => {
                    plan.apply_to(&mut account_data);
                    self.set_steps(&remedy, &plan);
                    plans.push(plan);
                }
                Err(reason) => left.push(NotDrafted { remedy, reason }),
            }
        }
        (Plan::of("repair the account", plans), left)
    }

    fn set_steps(&mut self, remedy: &Remedy, plan: &Plan) {
        let repairs = self.findings.iter_mut().flat_map(|one| &mut one.repairs);
        for repair in repairs.filter(|repair| repair.remedy == *remedy) {
            repair.steps.clone_from(&plan.steps);
        }
    }
}

/// A repair that is not in the plan.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct NotDrafted {
    /// The repair.
    pub remedy: Remedy,
    /// Why it is not.
    pub reason: DraftError,
}
