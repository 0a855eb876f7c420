//! What this machine wrote, and what of a plan that was interrupted is there.

use std::collections::BTreeMap;

use super::comparison::Last;
use super::fingerprint::Event;
use super::{History, Origin};
use crate::{AccountData, Plan};

impl History {
    /// Remembers what a plan found and what it wrote: nothing that the server shows can make this
    /// machine forget it.
    pub fn wrote(&mut self, plan: &Plan) {
        for (event_type, contents) in contents(plan) {
            let last = contents.len().saturating_sub(1);
            let from = self.reached(event_type, &contents).unwrap_or(0);
            self.wrote_these(event_type, &contents, from, last);
        }
    }

    /// Remembers what is there of a plan that was begun and not finished. This machine wrote it, so
    /// it is no change.
    ///
    /// Only what leads on counts: an event that was seen to be further in the plan than it is now, or
    /// that somebody else has changed since, stays to be compared.
    pub fn catch_up(&mut self, plan: &Plan, account_data: &AccountData) {
        for (event_type, contents) in contents(plan) {
            let whole = |json: Option<&str>| Event::of(event_type, json).whole;
            let now = whole(account_data.raw(event_type));
            let Some(to) = contents
                .iter()
                .rposition(|json| whole(json.as_deref()) == now)
            else {
                continue;
            };
            let from = match self.last_whole(event_type, None) {
                Last::Never => Some(0),
                _ => self.reached(event_type, &contents),
            };
            if let Some(from) = from.filter(|from| to > 0 && *from <= to) {
                self.wrote_these(event_type, &contents, from, to);
            }
        }
    }

    /// The first of these contents that the event had when it was last looked at.
    fn reached(&self, event_type: &str, contents: &[Option<String>]) -> Option<usize> {
        contents
            .iter()
            .position(|json| match self.last_whole(event_type, json.as_deref()) {
                Last::Same => true,
                Last::Gone => Event::of(event_type, json.as_deref()).whole.is_none(),
                Last::Never | Last::There => false,
            })
    }

    fn wrote_these(
        &mut self,
        event_type: &str,
        contents: &[Option<String>],
        from: usize,
        to: usize,
    ) {
        let these = contents.iter();
        // That nothing was there before is not worth a memory.
        for json in these.skip(from).take(to.saturating_sub(from) + 1).flatten() {
            self.record(event_type, Some(json), Origin::Written);
        }
    }
}

/// The states of each event of a plan: the one expected first, and those written.
fn contents(plan: &Plan) -> BTreeMap<&str, Vec<Option<String>>> {
    let mut contents: BTreeMap<&str, Vec<Option<String>>> = BTreeMap::new();
    for put in plan.account_data() {
        let of_event = contents.entry(&put.event_type).or_default();
        if of_event.is_empty() {
            of_event.push(put.expects().map(str::to_owned));
        }
        of_event.push(Some(put.content.to_json()));
    }
    contents
}

#[cfg(test)]
mod tests {
    use rand_core::UnwrapErr;

    use super::*;
    use crate::history::Change;
    use crate::plan::{self, Destination, WritingKey};
    use crate::{DefaultKey, NewKey, Secret, SecretName, SecretStorage};

    /// An account with a secret, the plan that rotates its key, and the account after each step.
    fn rotation() -> (Plan, Vec<AccountData>) {
        let mut rng = UnwrapErr(getrandom::SysRng);
        let (old, new) = (
            NewKey::random(None, &mut rng),
            NewKey::random(None, &mut rng),
        );
        let mut account_data = AccountData::default();
        let set_up = plan::set_up(&SecretStorage::new(&account_data), &old).unwrap();
        set_up.apply_to(&mut account_data);
        let store = plan::store(
            &SecretStorage::new(&account_data),
            &SecretName::new("org.example").unwrap(),
            &Secret::new("four folds of paper"),
            &[WritingKey::Proven(old.key())],
            &Default::default(),
            &mut rng,
        );
        store.unwrap().apply_to(&mut account_data);
        let storage = SecretStorage::new(&account_data);
        let to = Destination::New(&new);
        let published_keys = Default::default();
        let plan = plan::rotate(&storage, old.key().key(), to, &published_keys, &mut rng).unwrap();
        let mut states = vec![account_data.clone()];
        for put in plan.account_data() {
            account_data.insert(&put.event_type, &put.content);
            states.push(account_data.clone());
        }
        (plan, states)
    }

    fn suspicious(history: &History, account_data: &AccountData) -> Vec<Change> {
        let mut changes = history.compare(account_data);
        changes.retain(Change::is_suspicious);
        changes
    }

    // shows: STO-07
    #[test]
    fn what_a_plan_has_done_is_no_change_and_what_is_taken_back_is_one() {
        let (plan, states) = rotation();
        assert_eq!(states.len(), 6);
        for seen in 0..states.len() {
            for now in 0..states.len() {
                let mut history = History::default();
                history.saw(&states[0]);
                history.catch_up(&plan, &states[seen]);
                history.saw(&states[seen]);
                history.catch_up(&plan, &states[now]);
                let changes = suspicious(&history, &states[now]);
                assert_eq!(changes.is_empty(), seen <= now, "{seen} {now}: {changes:?}");
                // In the end it is as if there had been no interruption.
                history.wrote(&plan);
                assert_eq!(suspicious(&history, states.last().unwrap()), []);
                for earlier in &states[..5] {
                    assert_ne!(suspicious(&history, earlier), []);
                }
            }
        }
        // A machine that looks for the first time has nothing to be told.
        let mut history = History::default();
        history.catch_up(&plan, &states[3]);
        assert_eq!(suspicious(&history, &states[3]), []);
        // And knows from then on what this machine has replaced.
        assert_ne!(suspicious(&history, &states[0]), []);
    }

    #[test]
    fn what_a_plan_found_is_its_work_only_when_it_has_replaced_it() {
        let (plan, states) = rotation();
        let name = SecretName::new("org.example").unwrap();
        let (_, secret) = SecretStorage::new(&states[0]).secrets().next().unwrap();
        let old = secret.key_ids().next().unwrap();
        let mut history = History::default();
        history.saw(&states[0]);
        history.catch_up(&plan, &states[0]);
        assert_eq!(
            history.origin_of(&states[0], &name, old),
            Some(Origin::Read)
        );
        history.wrote(&plan);
        let replaced = history.origin_of(&states[0], &name, old);
        assert_eq!(replaced, Some(Origin::Written));
    }

    // shows: STO-07, STO-05
    #[test]
    fn what_somebody_else_changed_after_a_plan_is_not_taken_for_its_work() {
        let (plan, states) = rotation();
        let mut history = History::default();
        history.saw(&states[0]);
        history.catch_up(&plan, &states[3]);
        let mut elsewhere = states[3].clone();
        elsewhere
            .insert_json(DefaultKey::EVENT_TYPE, r#"{"key":"another"}"#)
            .unwrap();
        history.catch_up(&plan, &elsewhere);
        assert_eq!(suspicious(&history, &elsewhere).len(), 1);
        history.saw(&elsewhere);
        // Back to what the plan wrote before that.
        history.catch_up(&plan, &states[3]);
        assert_ne!(suspicious(&history, &states[3]), []);
    }
}
