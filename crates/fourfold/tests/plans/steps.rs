//! Steps: what they expect, and that a plan can be stored and resumed.

use fourfold::plan::{Found, StepState, WritingKey};
use fourfold::{
    AccountData, Content, NewKey, Plan, PublishedKeys, Secret, SecretName, SecretStorage, plan,
};

use crate::account::{Account, puts};
use crate::dice::Dice;

fn name() -> SecretName {
    SecretName::new("org.example.token").unwrap()
}

fn plan_over(json: Option<&str>) -> (AccountData, Plan) {
    let mut dice = Dice::new(1);
    let mut account = Account::with_keys(vec![NewKey::random(None, &mut dice)]);
    if let Some(json) = json {
        account.data.insert_json(name().as_str(), json).unwrap();
    }
    let plan = plan::store(
        &account.storage(),
        &name(),
        &Secret::new("value"),
        &[WritingKey::Proven(account.keys[0].key())],
        &PublishedKeys::default(),
        &mut dice,
    )
    .unwrap();
    (account.data, plan)
}

#[test]
fn an_absent_and_an_emptied_event_are_the_same_to_a_step() {
    for before in [None, Some("{}")] {
        let (_, plan) = plan_over(before);
        assert_eq!(puts(&plan)[0].state(None), StepState::Due);
        assert_eq!(puts(&plan)[0].state(Some("{}")), StepState::Due);
        assert_eq!(puts(&plan)[0].state(Some("null")), StepState::Conflict);
    }
}

#[test]
fn a_stored_plan_over_null_is_still_due() {
    for before in [None, Some("{}"), Some("null"), Some(r#"{"encrypted":{}}"#)] {
        let (data, plan) = plan_over(before);
        let stored = serde_json::to_string(&plan).unwrap();
        let resumed: Plan = stored.parse().unwrap();
        let now = data.raw(name().as_str());
        assert_eq!(puts(&resumed)[0].state(now), StepState::Due, "{before:?}");
        assert_eq!(serde_json::to_string(&resumed).unwrap(), stored);
    }
}

#[test]
fn a_step_does_not_mind_how_the_server_writes_json() {
    let (data, plan) = plan_over(Some(r#"{"encrypted":{},"b":[1.50,"é"],"a":{"x":1,"y":2}}"#));
    let rewritten = r#"{ "a": {"y":2, "x":1}, "b": [1.5, "\u00e9"], "encrypted": {} }"#;
    assert_eq!(puts(&plan)[0].state(Some(rewritten)), StepState::Due);
    for changed in [
        r#"{"encrypted":{},"b":[1.51,"é"],"a":{"x":1,"y":2}}"#,
        r#"{"encrypted":{},"b":[1.50,"é"],"a":{"x":1}}"#,
        r#"{"encrypted":{},"b":["é",1.50],"a":{"x":1,"y":2}}"#,
        "[]",
        "not JSON",
    ] {
        assert_eq!(
            puts(&plan)[0].state(Some(changed)),
            StepState::Conflict,
            "{changed}"
        );
    }
    drop(data);
}

#[test]
fn integers_that_are_rounded_to_the_same_number_are_not_the_same() {
    let json = |number: &str| format!(r#"{{"encrypted":{{}},"n":{number}}}"#);
    let before = json("100000000000000000000001");
    let (_, plan) = plan_over(Some(&before));
    let step = puts(&plan)[0];
    assert_eq!(step.state(Some(&before)), StepState::Due);
    let other = json("100000000000000000000002");
    assert_eq!(step.state(Some(&other)), StepState::Conflict);
}

#[test]
fn a_plan_says_what_it_does() {
    let (_, plan) = plan_over(None);
    assert_eq!(plan.title, "store org.example.token");
    assert!(
        plan.steps[0]
            .reason
            .starts_with("encrypt org.example.token under ")
    );
    assert_eq!(plan.steps[0].action.to_string(), "put org.example.token");
    assert!(!puts(&plan)[0].is_removal());
    assert_eq!(puts(&plan)[0].expects(), None);
}

#[test]
fn a_plan_is_not_read_from_something_else() {
    for json in [
        "",
        "[]",
        "{}",
        r#"{"title":"x","steps":[{}],"warnings":[]}"#,
    ] {
        assert!(json.parse::<Plan>().is_err(), "{json}");
    }
}

#[test]
fn a_step_twice_on_one_event_is_due_only_in_its_place() {
    let mut dice = Dice::new(2);
    let keys = vec![
        NewKey::random(None, &mut dice),
        NewKey::random(None, &mut dice),
    ];
    let mut account = Account::with_keys(keys);
    account.encrypt(&name(), &Secret::new("value"), 0, &mut dice);
    let plan = plan::rotate(
        &account.storage(),
        account.key(0),
        plan::Destination::Existing(account.keys[1].key()),
        &PublishedKeys::default(),
        &mut dice,
    )
    .unwrap();
    let on_secret: Vec<_> = plan
        .account_data()
        .filter(|put| put.event_type == name().as_str())
        .collect();
    assert_eq!(on_secret.len(), 2);
    let before = account.data.raw(name().as_str()).map(ToOwned::to_owned);
    assert_eq!(on_secret[1].state(before.as_deref()), StepState::Conflict);
    plan.apply_to(&mut account.data);
    let after = account.data.raw(name().as_str());
    assert_eq!(on_secret[1].state(after), StepState::Done);
    let storage = SecretStorage::new(&account.data);
    assert!(storage.open(&name(), account.key(1)).is_ok());
}

// shows: STO-10
#[test]
fn a_plan_that_is_resumed_knows_a_step_as_done_that_a_later_one_went_on_from() {
    let mut dice = Dice::new(3);
    let keys = vec![
        NewKey::random(None, &mut dice),
        NewKey::random(None, &mut dice),
    ];
    let mut account = Account::with_keys(keys);
    account.encrypt(&name(), &Secret::new("value"), 0, &mut dice);
    let plan = plan::rotate(
        &account.storage(),
        account.key(0),
        plan::Destination::Existing(account.keys[1].key()),
        &PublishedKeys::default(),
        &mut dice,
    )
    .unwrap();
    // Interrupted after any number of steps, every step before is done, and the next one is due.
    for done in 0..=plan.steps.len() {
        for (index, put) in puts(&plan).into_iter().enumerate() {
            let now = Found::AccountData(account.data.raw(&put.event_type));
            match plan.state_of(index, now) {
                StepState::Done => assert!(index < done, "{index} of {done}"),
                StepState::Due => assert!(index >= done, "{index} of {done}"),
                // It expects what a step before it makes.
                StepState::Conflict => assert!(index > done, "{index} of {done}"),
            }
        }
        if let Some(put) = puts(&plan).get(done) {
            account.data.insert(&put.event_type, &put.content);
        }
    }
    let first = puts(&plan)[0];
    let last = Found::AccountData(account.data.raw(&first.event_type));
    assert_eq!(plan.state_of(0, last), StepState::Done);
    // What nobody planned, what is about something else, and a step that is not there.
    for (index, found) in [
        (0, Found::AccountData(Some(r#"{"encrypted":{"other":{}}}"#))),
        (0, Found::AccountData(None)),
        (0, Found::KeyBackup(None)),
        (plan.steps.len(), last),
    ] {
        let state = plan.state_of(index, found);
        assert_eq!(state, StepState::Conflict, "{index} {found:?}");
    }
}

#[test]
fn unknown_members_survive_a_stored_plan() {
    let (_, plan) = plan_over(Some(
        r#"{"encrypted":{},"n":[1.50,100000000000000000000001]}"#,
    ));
    let resumed: Plan = serde_json::to_string(&plan).unwrap().parse().unwrap();
    let content: &Content = &puts(&resumed)[0].content;
    assert_eq!(content.raw("n"), Some("[1.50,100000000000000000000001]"));
}
