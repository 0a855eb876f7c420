//! `backup status`, `new`, `rm` and `restore-key`.

use super::*;

// A working backup is renewed: both versions and both private keys are there.
// shows: STO-08
#[test]
fn a_new_version_stands_beside_the_old_one_whose_key_is_kept() {
    let server = Homeserver::start();
    let account = Account::new(&server, "alice");
    let first = account.get(BACKUP);
    let status = account.status();
    assert_eq!(
        (&status["state"], &status["version"]),
        (&json!("usable"), &json!("1"))
    );
    assert_eq!(
        (&status["stored_key"], &status["is_signed"]),
        (&json!("current"), &json!(true))
    );
    assert_eq!(status["older"], json!([]));
    // Nothing is done that was not agreed to.
    let planned = account.backup(&["new", "--dry-run", "--json"]).run().json();
    assert_eq!(planned["steps"].as_array().unwrap().len(), 3);
    account.backup(&["new"]).run().fails(2).says("use --yes");
    assert_eq!(account.current()["version"], "1");

    account.backup(&["new", "--yes"]).run().succeeds();
    assert_eq!(account.current()["version"], "2");
    assert_eq!(account.version("/1")["version"], "1");
    assert_eq!(account.get("org.fourfold.megolm_backup.v1.1"), first);
    assert_ne!(account.get(BACKUP), first);
    let status = account.status();
    assert_eq!(
        (&status["version"], &status["stored_key"]),
        (&json!("2"), &json!("current"))
    );
    assert_eq!(status["is_signed"], true);
    let older = &status["older"][0];
    assert_eq!(
        (&older["version"], &older["has_key"]),
        (&json!("1"), &json!(true))
    );
    assert_eq!(older["kept_as"], "org.fourfold.megolm_backup.v1.1");
    let shown = account.backup(&["status"]).run().succeeds();
    assert!(
        shown.contains("kept as org.fourfold.megolm_backup.v1.1"),
        "{shown}"
    );
    // It is signed by this device too, so that older clients use it.
    let signatures = &account.current()["auth_data"]["signatures"];
    let signatures = signatures.as_object().unwrap().values().next().unwrap();
    assert_eq!(signatures.as_object().unwrap().len(), 2);
    account
        .scene
        .set_up()
        .run()
        .says("everything is set up")
        .succeeds();
}

// shows: STO-08
#[test]
fn setup_keeps_the_former_key_too() {
    let server = Homeserver::start();
    let account = Account::new(&server, "alice");
    let first = account.get(BACKUP);
    account.make_elsewhere();
    account
        .scene
        .set_up()
        .run()
        .fails(5)
        .says("fourfold backup restore-key");
    account
        .scene
        .set_up()
        .arguments(["--new-backup"])
        .run()
        .succeeds();
    assert_eq!(account.current()["version"], "3");
    assert_eq!(account.get("org.fourfold.megolm_backup.v1.1"), first);
    assert_ne!(account.get(BACKUP), first);
}

// Two keys of secret storage, one of which is not given: its copy is no copy of anything else.
#[test]
fn a_copy_under_a_key_that_is_not_given_stays_and_one_that_is_given_is_renewed() {
    let server = Homeserver::start();
    let account = Account::new(&server, "alice");
    let alice = &account.scene.alice;
    let first = account.get(BACKUP);
    let second = alice.new_key("second");
    let grant = alice.change(&["key", "grant", &second, BACKUP], &["key", "second"]);
    grant.run().succeeds();
    let made = account.backup(&["new", "--yes"]).run();
    made.says("is left as it is").succeeds();
    let by_second = alice.get(BACKUP, "second").arguments(["--no-agent"]).run();
    assert_eq!(by_second.succeeds(), first);
    let file = alice.folder.name_of("second");
    let made = account
        .backup(&["new", "--yes", "--recovery-key-file", &file])
        .run();
    made.is_silent_about("is left as it is").succeeds();
    let by_second = alice.get(BACKUP, "second").run().succeeds();
    assert_eq!(by_second, account.get(BACKUP));
    // The default key is needed.
    let refused = account
        .bare(&["new", "--yes", "--recovery-key-file", &file])
        .run();
    refused.fails(3).says("default key");
}

// shows: STO-08
#[test]
fn the_key_is_found_and_put_back_wherever_it_lies() {
    let server = Homeserver::start();
    let account = Account::new(&server, "alice");
    let alice = &account.scene.alice;
    let other = server.other_client("alice");
    // In place.
    let told = account.backup(&["restore-key", "--yes"]).run();
    told.says("nothing to change").succeeds();
    // Another client emptied it, and it is in a file.
    let first = account.get(BACKUP);
    other.put(BACKUP, "{}");
    let refused = account.backup(&["restore-key", "--yes", "--accept-changes"]);
    let refused = refused.run();
    refused
        .fails(8)
        .says("fourfold request m.megolm_backup.v1 --out FILE");
    refused.says("fourfold backup restore-key --from FILE");
    let file = alice.folder.write("backup key", &first);
    account
        .backup(&["restore-key", "--yes", "--from", &file])
        .run()
        .succeeds();
    assert_eq!(account.get(BACKUP), first);
    // A new version was deleted again: the kept one is put back, and the later one kept.
    account.backup(&["new", "--yes"]).run().succeeds();
    let second = account.get(BACKUP);
    account
        .other
        .call("DELETE", "room_keys/version/2", &json!({}));
    assert_eq!(account.status()["has_key"], true);
    account.backup(&["check"]).run().says("empty").succeeds();
    let told = account.backup(&["restore-key", "--yes"]).run();
    told.says("org.fourfold.megolm_backup.v1.1").succeeds();
    assert_eq!(account.get(BACKUP), first);
    let names = alice.call(&["ls"]).run().succeeds();
    let kept = names.lines().find(|line| line.contains(".v1.key."));
    assert_eq!(account.get(kept.unwrap().trim()), second);
    // What is no private key, or another one.
    let file = alice.folder.write("nothing", "nothing");
    account
        .backup(&["restore-key", "--yes", "--from", &file])
        .run()
        .fails(3);
}

// shows: STO-08
#[test]
fn a_version_of_another_client_is_taken_over_with_its_key_in_each_form() {
    let server = Homeserver::start();
    let account = Account::new(&server, "alice");
    let alice = &account.scene.alice;
    for is_recovery_key in [false, true] {
        let backup = account.make_elsewhere();
        let before = account.get(BACKUP);
        let value = backup.secret().expose_secret().to_owned();
        let text = if is_recovery_key {
            let bytes = fourfold::base64::decode_array(&value).unwrap();
            fourfold::recovery_key::encode(&bytes).to_string()
        } else {
            value.clone()
        };
        let told = account
            .backup(&["restore-key", "--yes", "--from", "-"])
            .stdin(text)
            .run();
        told.says("not signed by your identity")
            .says("fourfold setup signs it")
            .succeeds();
        assert_eq!(account.get(BACKUP), value);
        let names = alice.call(&["ls"]).run().succeeds();
        let mut kept = names
            .lines()
            .filter(|line| line.contains("org.fourfold.megolm_backup"));
        assert!(kept.any(|name| account.get(name.trim()) == before));
        let done = account.scene.set_up().arguments(["--json"]).run();
        assert_eq!(done.json()["backup_state"], "set_up");
    }
}

#[test]
fn a_version_is_deleted_when_it_is_clear_what_goes_with_it() {
    let server = Homeserver::start();
    let account = Account::new(&server, "alice");
    // The one that is in use, and one of which nobody looked whether it is.
    let refused = account.backup(&["rm", "--yes"]).run();
    refused
        .fails(6)
        .says("in use")
        .says("fourfold backup new")
        .says("--in-use");
    account
        .bare(&["rm", "1", "--yes"])
        .run()
        .fails(6)
        .says("may be in use");
    account
        .bare(&["rm", "7", "--yes"])
        .run()
        .fails(1)
        .says("no version 7");
    account.bare(&["rm", "../7", "--yes"]).run().fails(1);
    assert_eq!(account.current()["version"], "1");
    // An older one.
    account.backup(&["new", "--yes"]).run().succeeds();
    let planned = account.backup(&["rm", "1", "--dry-run"]).run();
    planned.says("it is empty").succeeds();
    account.backup(&["rm", "1"]).run().fails(2).says("--yes");
    assert_eq!(account.version("/1")["version"], "1");
    let done = account.backup(&["rm", "1", "--yes", "--json"]).run().json();
    assert_eq!(done["changed"], true);
    assert_eq!(account.status()["older"], json!([]));
    assert_eq!(account.current()["version"], "2");
    // The one in use goes when the user says so; its private key stays.
    let told = account.backup(&["rm", "--yes", "--in-use"]).run();
    told.says("version 2 is deleted")
        .says("there is no key backup now");
    told.says("fourfold backup new creates one").succeeds();
    assert_eq!(account.status()["state"], "missing");
    account.get(BACKUP);
    account
        .bare(&["rm", "--yes"])
        .run()
        .fails(1)
        .says("there is no key backup");
    account.backup(&["new", "--yes"]).run().succeeds();
    account
        .scene
        .set_up()
        .run()
        .says("everything is set up")
        .succeeds();
}

/// A record that the server fails to show is deleted by its number.
#[test]
fn a_version_that_is_not_shown_is_deleted_by_its_number() {
    let server = Homeserver::start();
    let account = Account::new(&server, "alice");
    account.scene.proxy.lie(|request| {
        let line = request.first_line();
        if line.starts_with("GET ") && line.contains("/room_keys/version") {
            Turn::Altered(Box::new(|honest| {
                if honest.first_line().contains(" 404 ") {
                    honest
                } else {
                    Message::answer(500, "text/plain", "")
                }
            }))
        } else {
            Turn::Honest
        }
    });
    account
        .bare(&["rm", "--yes"])
        .run()
        .fails(2)
        .says("fourfold backup rm VERSION");
    let told = account.bare(&["rm", "1", "--yes"]).run();
    told.says("does not show this version").succeeds();
    account.scene.be_honest();
    assert_eq!(account.status()["state"], "missing");
    account.backup(&["new", "--yes"]).run().succeeds();
    account
        .scene
        .set_up()
        .run()
        .says("everything is set up")
        .succeeds();
}

/// Interrupted after any write, it goes on, and no private key is lost.
// shows: STO-08
#[test]
fn a_renewal_goes_on_after_an_interruption_at_each_step() {
    let server = Homeserver::start();
    for writes in 0..3 {
        let account = Account::new(&server, &format!("alice{writes}"));
        let first = account.get(BACKUP);
        account.scene.fail_write_after(writes, false);
        let stopped = account.backup(&["new", "--yes"]).run();
        assert_ne!(
            stopped.status.code(),
            Some(0),
            "{writes}: {}",
            stopped.stderr
        );
        account.scene.be_honest();
        account.scene.alice.call(&["resume"]).run().succeeds();
        assert_eq!(
            account.get("org.fourfold.megolm_backup.v1.1"),
            first,
            "{writes}"
        );
        assert_ne!(account.get(BACKUP), first);
        assert_eq!(account.current()["version"], "2");
        assert_eq!(account.status()["stored_key"], "current");
    }
}

/// The doctor makes the same repairs.
#[test]
fn the_doctor_renews_and_restores() {
    let server = Homeserver::start();
    let account = Account::new(&server, "alice");
    let key = account.scene.alice.folder.name_of("key");
    let fix = || {
        let call = sealed(&account.scene.alice, &["doctor", "--fix", "--yes"]);
        call.arguments(["--recovery-key-file", &key]).run()
    };
    let made = json!({"algorithm": "org.example.unknown", "auth_data": {}});
    account.other.call("POST", "room_keys/version", &made);
    let first = account.get(BACKUP);
    fix().succeeds();
    assert_eq!(account.current()["version"], "3");
    assert_eq!(account.status()["stored_key"], "current");
    let kept = "org.fourfold.megolm_backup.v1.1";
    assert_eq!(account.get(kept), first);
    // Version 1 again: its private key lies under its own name.
    for version in ["3", "2"] {
        account.other.call(
            "DELETE",
            &format!("room_keys/version/{version}"),
            &json!({}),
        );
    }
    fix().succeeds();
    assert_eq!(account.current()["version"], "1");
    assert_eq!(account.get(BACKUP), first);
}
