//! What is chosen mends what it can, finds nothing new, and does it once.

use fourfold::health::{DraftError, Evidence, Finding, Remedy, Repair, Report, Risk, Verdict};
use fourfold::{Plan, Secret, SecretName, Snapshot};
use serde_json::json;

use crate::account::{Account, BACKUP, CUSTOM, DEFAULT, MASTER, codes, examine, rng};

/// Examines, repairs with what is at hand, and examines again.
fn treat(account: &Account, secrets: Vec<(SecretName, Secret)>) -> (Plan, Snapshot, Report) {
    let snapshot = account.snapshot();
    let mut evidence = Evidence::of(&snapshot);
    evidence.keys = account.offered(&snapshot);
    evidence.secrets = secrets;
    let mut report = examine(&evidence);
    let (plan, left) = report.draft_repairs(&evidence, |_, one| one.is_chosen, &mut rng());
    assert!(left.is_empty(), "{left:?}");
    let mut mended = snapshot.clone();
    plan.apply_to(&mut mended.account_data);
    let mut after = Evidence::of(&mended);
    after.keys = account.offered(&mended);
    after.secrets = evidence.secrets;
    let mut again = examine(&after);
    let (second, _) = again.draft_repairs(&after, |_, one| one.is_chosen, &mut rng());
    assert!(second.is_empty(), "{second:?}");
    (plan, mended, again)
}

#[test]
fn secrets_move_to_the_default_key_and_stay_where_they_were() {
    let mut account = Account::healthy();
    let new = account.further_key();
    account.make_default(new.key().id());
    account
        .keys
        .push(new.key().key().expose_recovery_key().to_string());
    let account = account.with_key();
    let (plan, mended, report) = treat(&account, Vec::new());
    assert_eq!(plan.steps.len(), 5);
    assert_eq!(codes(&report), ["offered-key-not-default"].into());
    let old = account.proven();
    for (name, _) in mended.storage().secrets() {
        let by_new = mended.open(&name, new.key()).unwrap();
        let by_old = mended.open(&name, &old).unwrap();
        assert!(by_new.secret.is_same(&by_old.secret), "{name}");
    }
}

#[test]
fn a_default_is_named_again() {
    let account = Account::healthy().broken(|json| json["account_data"][DEFAULT] = json!({}));
    let (plan, _, report) = treat(&account.with_key(), Vec::new());
    assert_eq!((plan.steps.len(), report.verdict()), (1, Verdict::Healthy));
}

#[test]
fn a_key_is_described_again() {
    for broken in [json!({}), json!("nothing"), json!({"name": "mine"})] {
        let mut account = Account::healthy();
        *account.description() = broken;
        let (plan, _, report) = treat(&account.with_key(), Vec::new());
        assert_eq!((plan.steps.len(), report.verdict()), (1, Verdict::Healthy));
    }
}

#[test]
fn check_data_is_added() {
    for (member, value) in [("mac", None), ("iv", Some(json!("AAAA")))] {
        let mut account = Account::healthy();
        let description = account.description().as_object_mut().unwrap();
        match value {
            None => drop(description.remove(member)),
            Some(value) => drop(description.insert(member.to_owned(), value)),
        }
        let (_, _, report) = treat(&account.with_key(), Vec::new());
        assert_eq!(report.verdict(), Verdict::Healthy, "{member}");
    }
}

#[test]
fn what_this_machine_holds_is_stored() {
    for broken in [json!({}), json!({"encrypted": 7}), json!(null)] {
        let account = Account::healthy().broken(|json| json["account_data"][MASTER] = broken);
        let held = (SecretName::master_key(), account.plaintext(MASTER));
        let (_, _, report) = treat(&account.with_key(), vec![held]);
        assert_eq!(report.verdict(), Verdict::Healthy);
    }
}

#[test]
fn a_plan_may_only_name_what_is_lost() {
    let mut account = Account::healthy();
    let id = account.key_id();
    let entry = account.json["account_data"][MASTER]["encrypted"][&id].clone();
    account.json["account_data"][MASTER]["encrypted"]["gone"] = entry;
    let (plan, _, report) = treat(&account.with_key(), Vec::new());
    assert!(plan.is_empty());
    assert_eq!(codes(&report), ["entry-key-undescribed"].into());
}

#[test]
fn an_old_way_to_write_a_value_is_mended() {
    let mut account = Account::healthy();
    let key = account.proven();
    let value = account.plaintext(BACKUP);
    let spaced = Secret::new(format!("{} ", value.expose_secret()));
    account.put_entry(BACKUP, &spaced, &key);
    let (plan, _, report) = treat(&account.with_key(), Vec::new());
    assert_eq!((plan.steps.len(), report.verdict()), (1, Verdict::Healthy));
}

#[test]
fn a_backup_is_signed_again() {
    let account = Account::healthy().broken(|json| {
        json["backup_version"]["auth_data"]["signatures"] = json!({});
    });
    let account = account.with_key();
    let snapshot = account.snapshot();
    let mut evidence = Evidence::of(&snapshot);
    evidence.keys = account.offered(&snapshot);
    let mut report = examine(&evidence);
    let (plan, left) = report.draft_repairs(&evidence, |_, one| one.is_chosen, &mut rng());
    assert_eq!((plan.steps.len(), left.len()), (1, 0));
    assert_eq!(
        report.of_code("backup-unsigned").next().unwrap().repairs[0]
            .steps
            .len(),
        1
    );
}

/// Two copies differ and nothing says which is right: each is written again as it is.
#[test]
fn an_outdated_form_is_written_again_with_the_value_of_its_own_copy() {
    let mut account = Account::healthy().with_key();
    let new = account.further_key();
    let text = new.key().key().expose_recovery_key().to_string();
    account.keys.push(text);
    account
        .json
        .as_object_mut()
        .unwrap()
        .remove("backup_version");
    let (first, second) = ([7; 32], [8; 32]);
    let spaced = |bytes| Secret::new(format!("{} ", fourfold::base64::encode(bytes)));
    let old = account.proven();
    account.put_entry(BACKUP, &spaced(first), &old);
    account.put_entry(BACKUP, &spaced(second), new.key());
    let (plan, mended, report) = treat(&account, Vec::new());
    assert_eq!(plan.steps.len(), 2);
    assert!(codes(&report).contains("copies-differ"));
    assert!(!codes(&report).contains("secret-value-not-canonical"));
    for (key, bytes) in [(&old, first), (new.key(), second)] {
        let copy = mended.open(&SecretName::backup_key(), key).unwrap();
        let value = fourfold::base64::decode_array(copy.secret.expose_secret()).unwrap();
        assert_eq!(*value, bytes);
    }
}

/// A copy under the default key opens, one under another key is damaged, and this machine holds an
/// older value.
#[test]
fn what_this_machine_holds_replaces_no_other_value_in_silence() {
    let mut account = Account::healthy().with_key();
    let id = account.key_id();
    let name = SecretName::new(CUSTOM).unwrap();
    let encrypted = &mut account.json["account_data"][CUSTOM]["encrypted"];
    encrypted["other"] = encrypted[&id].clone();
    encrypted["other"]["mac"] = json!("AAAA");
    let held = |value: Secret| {
        let snapshot = account.snapshot();
        let mut evidence = Evidence::of(&snapshot);
        evidence.keys = account.offered(&snapshot);
        evidence.secrets = vec![(name.clone(), value)];
        let report = examine(&evidence);
        let finding = report.of_code("entry-malformed").next().unwrap();
        let is_it = |one: &&Repair| one.remedy == Remedy::StoreHeld(name.clone());
        let repair = finding.repairs.iter().find(is_it).unwrap();
        (repair.risk, repair.is_chosen)
    };
    assert_eq!(held(Secret::new("older")), (Risk::Consent, false));
    assert_eq!(held(account.plaintext(CUSTOM)), (Risk::None, true));
}

#[test]
fn what_takes_something_away_is_done_when_it_is_named() {
    // A key that opens nothing.
    let mut account = Account::healthy().with_key();
    account.further_key();
    named(&account, "key-opens-nothing");
    // A copy under a key that is gone, and a damaged one.
    for damage in [None, Some(json!("AAAA"))] {
        let mut account = Account::healthy().with_key();
        let id = account.key_id();
        let encrypted = &mut account.json["account_data"][MASTER]["encrypted"];
        encrypted["gone"] = encrypted[&id].clone();
        let code = match damage {
            None => "entry-key-undescribed",
            Some(mac) => {
                encrypted["gone"]["mac"] = mac;
                "entry-malformed"
            }
        };
        let mended = named(&account, code);
        let copy = mended.open(&SecretName::master_key(), account.proven());
        assert!(copy.is_ok());
    }
    // The copy that matches takes the place of the other.
    let mut account = Account::healthy().with_key();
    let new = account.further_key();
    let text = new.key().key().expose_recovery_key().to_string();
    account.keys.push(text);
    let other = Secret::new(fourfold::base64::encode([7; 32]));
    account.put_entry(BACKUP, &other, new.key());
    let mended = named(&account, "copies-differ");
    let copy = mended.open(&SecretName::backup_key(), new.key()).unwrap();
    assert!(copy.secret.is_same(&account.plaintext(BACKUP)));
}

/// Makes every repair of the findings of a code that a plan can make: none of them is chosen, and
/// afterwards the code is not found.
#[track_caller]
fn named(account: &Account, code: &str) -> Snapshot {
    let snapshot = account.snapshot();
    let mut evidence = Evidence::of(&snapshot);
    evidence.keys = account.offered(&snapshot);
    let mut report = examine(&evidence);
    let is_chosen = |one: &Finding| one.repairs.iter().any(|one| one.is_chosen);
    assert!(!report.of_code(code).any(is_chosen), "{code}");
    let is_wanted = |finding: &Finding, repair: &Repair| {
        finding.code == code && repair.risk == Risk::Consent && repair.needs.is_empty()
    };
    let (plan, left) = report.draft_repairs(&evidence, is_wanted, &mut rng());
    assert!(!plan.is_empty() && left.is_empty(), "{code}: {left:?}");
    let mut mended = snapshot.clone();
    plan.apply_to(&mut mended.account_data);
    let mut after = Evidence::of(&mended);
    after.keys = account.offered(&mended);
    let again = examine(&after);
    assert_eq!(again.of_code(code).count(), 0, "{code}");
    mended
}

#[test]
fn what_cannot_be_planned_comes_back_with_the_reason() {
    let account = Account::healthy().broken(|json| {
        json["account_data"].as_object_mut().unwrap().remove(MASTER);
    });
    let snapshot = account.snapshot();
    let evidence = Evidence::of(&snapshot);
    let mut report = examine(&evidence);
    let (plan, left) = report.draft_repairs(&evidence, |_, _| true, &mut rng());
    assert!(plan.is_empty());
    let name = SecretName::master_key();
    let reason = |remedy: &Remedy| {
        let left = left.iter().find(|one| one.remedy == *remedy);
        left.map(|one| one.reason.clone())
    };
    let request = Remedy::Request(name.clone());
    assert_eq!(reason(&request), Some(DraftError::NotAPlan));
    let store = Remedy::StoreHeld(name.clone());
    assert_eq!(reason(&store), Some(DraftError::NoSecret(name)));

    let mut account = Account::healthy();
    let new = account.further_key();
    account.make_default(new.key().id());
    let snapshot = account.snapshot();
    let evidence = Evidence::of(&snapshot);
    let mut report = examine(&evidence);
    let is_rewrap = |_: &Finding, one: &Repair| matches!(one.remedy, Remedy::Rewrap { .. });
    let (plan, left) = report.draft_repairs(&evidence, is_rewrap, &mut rng());
    assert!(plan.is_empty() && left.len() == 5);
    let old = account.proven().id().clone();
    assert_eq!(left[0].reason, DraftError::NoKey(old));
}

/// The private key of the current version lies under the name of a former one, or on this machine.
#[test]
fn the_key_of_the_backup_is_put_back_from_where_it_is_kept() {
    let kept = fourfold::backup::former::name_of_version("9").unwrap();
    for is_stored in [true, false] {
        let mut account = Account::healthy().with_key();
        let key = account.proven();
        let right = account.plaintext(BACKUP);
        let held = if is_stored {
            account.store(kept.as_str(), &right, &key);
            Vec::new()
        } else {
            vec![(SecretName::backup_key(), account.plaintext(BACKUP))]
        };
        let other = Secret::new(fourfold::base64::encode([7; 32]));
        account.put_entry(BACKUP, &other, &key);
        let (plan, mended, report) = treat(&account, held);
        assert_eq!((plan.steps.len(), report.verdict()), (2, Verdict::Healthy));
        let name = SecretName::backup_key();
        assert!(mended.open(&name, &key).unwrap().secret.is_same(&right));
        // What lay there is kept.
        let copies = fourfold::backup::stored_copies(&mended.storage(), &[key.key()]);
        assert!(copies.iter().any(|copy| copy.key.secret().is_same(&other)));
    }
}

/// A new version is a plan of its own: its private key is stored with it, and the master key signs it.
#[test]
fn a_new_version_of_the_backup_is_a_plan() {
    let account = Account::healthy().broken(|json| {
        json["backup_version"]["algorithm"] = json!("org.example");
    });
    let account = account.with_key();
    let snapshot = account.snapshot();
    let mut evidence = Evidence::of(&snapshot);
    evidence.keys = account.offered(&snapshot);
    let mut report = examine(&evidence);
    let (plan, left) = report.draft_repairs(&evidence, |_, one| one.is_chosen, &mut rng());
    assert!(left.is_empty(), "{left:?}");
    let mut mended = snapshot.clone();
    plan.apply_to(&mut mended.account_data);
    let created = plan.steps.iter().find_map(|step| match &step.action {
        fourfold::plan::Action::CreateKeyBackup(create) => Some(create.content().clone()),
        _ => None,
    });
    let mut created = created.unwrap();
    created.insert("version", "2");
    let version = fourfold::BackupVersion::from_json(&created.to_json()).unwrap();
    let copies = fourfold::backup::stored_copies(&mended.storage(), &[account.proven().key()]);
    assert!(copies[0].key.is_key_of(&version));
    // The former private key is kept.
    let before = account.plaintext(BACKUP);
    assert!(copies.iter().any(|copy| copy.key.secret().is_same(&before)));
    let published = fourfold::PublishedKeys {
        backup: Some(version),
        ..snapshot.published_keys()
    };
    assert!(published.has_signed_backup(&account.user_id()));
}
