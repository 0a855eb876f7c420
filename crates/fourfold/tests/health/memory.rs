//! What an earlier snapshot tells.

use fourfold::health::{Evidence, Remedy, Risk};
use fourfold::history::History;
use fourfold::identity::{PinnedBy, Trust};
use serde_json::json;

use crate::account::{Account, DEVICE, codes, examine, has, rng};

#[test]
fn a_weakened_description_is_found_and_put_back() {
    let passphrase = |iterations| {
        let mut account = Account::healthy();
        account.description()["passphrase"] =
            json!({"algorithm": "m.pbkdf2", "salt": "0123456789", "iterations": iterations});
        account
    };
    let (before, after) = (
        passphrase(500_000).snapshot(),
        passphrase(200_000).snapshot(),
    );
    let mut evidence = Evidence::of(&after);
    evidence.baseline = Some(&before);
    let mut report = examine(&evidence);
    assert_eq!(codes(&report), ["key-description-changed"].into());
    assert!(report.findings[0].repairs[0].is_chosen);
    let (plan, left) = report.draft_repairs(&evidence, |_, one| one.is_chosen, &mut rng());
    assert_eq!((plan.steps.len(), left.len()), (1, 0));
    let mut mended = after.clone();
    plan.apply_to(&mut mended.account_data);
    assert_eq!(mended.account_data.to_json(), before.account_data.to_json());
    let mut evidence = Evidence::of(&mended);
    evidence.baseline = Some(&before);
    assert!(codes(&examine(&evidence)).is_empty());
    // What this machine accepted counts as much as an earlier snapshot.
    let mut history = History::default();
    history.saw(&before.account_data);
    let mut evidence = Evidence::of(&after);
    evidence.history = Some(&history);
    let report = examine(&evidence);
    assert_eq!(codes(&report), ["key-description-changed"].into());
    assert!(report.findings[0].repairs[0].is_chosen);
}

#[test]
fn an_emptied_description_is_put_back_without_the_key() {
    let before = Account::healthy().snapshot();
    let mut account = Account::healthy();
    *account.description() = json!({});
    let after = account.snapshot();
    let mut evidence = Evidence::of(&after);
    evidence.baseline = Some(&before);
    let mut report = examine(&evidence);
    assert!(codes(&report).contains("default-key-undescribed"));
    let (plan, left) = report.draft_repairs(&evidence, |_, one| one.is_chosen, &mut rng());
    assert!(left.is_empty(), "{left:?}");
    let mut mended = after.clone();
    plan.apply_to(&mut mended.account_data);
    assert_eq!(mended.account_data.to_json(), before.account_data.to_json());
}

#[test]
fn the_pinned_identity_counts_without_an_earlier_snapshot() {
    let snapshot = Account::healthy().snapshot();
    let now = snapshot.published_keys().identity.unwrap();
    let now = now.master_key().unwrap();
    let before = Account::fixture("mautrix-recovery-key.json").snapshot();
    let before = before.published_keys().identity.unwrap();
    let before = before.master_key().unwrap();
    for (pin, is_found) in [(now, false), (before, true)] {
        let mut trust = Trust::new(&snapshot.user_id, DEVICE);
        trust.pin(pin, PinnedBy::Verified);
        let mut evidence = Evidence::of(&snapshot);
        evidence.trust = Some(&trust);
        assert_eq!(has(&examine(&evidence), "identity-changed"), is_found);
    }
}

/// A description with other check data may be that of a key that was replaced: to overwrite its salt
/// would lose the passphrase.
#[test]
fn a_replaced_description_is_put_back_only_when_that_is_wanted() {
    let before = Account::healthy().snapshot();
    for change in [
        json!({"mac": fourfold::base64::encode([7; 32])}),
        json!({"mac": null, "passphrase": {"algorithm": "m.pbkdf2", "salt": "01234567", "iterations": 500_000}}),
    ] {
        let mut account = Account::healthy();
        let description = account.description().as_object_mut().unwrap();
        for (member, value) in change.as_object().unwrap() {
            description.insert(member.clone(), value.clone());
        }
        description.retain(|_, value| !value.is_null());
        let after = account.snapshot();
        let mut evidence = Evidence::of(&after);
        evidence.baseline = Some(&before);
        let report = examine(&evidence);
        let finding = report.of_code("key-description-changed").next().unwrap();
        let repair = &finding.repairs[0];
        assert!(matches!(repair.remedy, Remedy::RestoreDescription(_)));
        assert!(repair.risk == Risk::Consent && !repair.is_chosen);
    }
}

#[test]
fn another_default_is_found_with_the_copies_of_the_old_one() {
    let before = Account::healthy().snapshot();
    let mut account = Account::healthy();
    let new = account.further_key();
    account.make_default(new.key().id());
    let after = account.snapshot();
    let mut evidence = Evidence::of(&after);
    evidence.baseline = Some(&before);
    let found = codes(&examine(&evidence));
    assert!(found.contains("default-key-changed"), "{found:?}");
    assert!(found.contains("entry-under-retired-key"), "{found:?}");
}

#[test]
fn another_identity_is_found() {
    let before = Account::fixture("js-sdk-recovery-key.json").snapshot();
    let other = Account::fixture("mautrix-recovery-key.json").snapshot();
    let mut evidence = Evidence::of(&other);
    evidence.baseline = Some(&before);
    assert!(codes(&examine(&evidence)).contains("identity-changed"));
}
