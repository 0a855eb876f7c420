//! What must work on every homeserver that a user may have, told with the command line.
#![expect(
    clippy::indexing_slicing,
    reason = "a missing member of a JSON value is null"
)]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::cli::{Device, Ended};
use super::transcript::Transcript;
use crate::failure::Failure;
use crate::http::{Client, Session};

/// A user with two devices at a homeserver, and files that hold keys.
pub(super) struct Story<'a> {
    pub(super) folder: PathBuf,
    pub(super) fixture: Value,
    pub(super) base: &'a str,
    pub(super) laptop: Device,
    pub(super) phone: Device,
    /// The session of some other client of the same user, for what only other clients do.
    pub(super) other: Session,
    pub(super) transcript: Transcript,
}

impl<'a> Story<'a> {
    /// Registers the user. `folder` is new and goes with the run.
    pub(super) fn begin(
        program: &Path,
        base: &'a str,
        folder: PathBuf,
        fixture: Value,
    ) -> Result<Self, Failure> {
        fs::create_dir_all(&folder).map_err(unwritable)?;
        let other = Client::new(base).register("alice")?;
        let story = Self {
            fixture,
            base,
            laptop: Device::new(program, folder.join("laptop")),
            phone: Device::new(program, folder.join("phone")),
            other,
            transcript: Transcript::default(),
            folder,
        };
        story.write("password", crate::http::PASSWORD)?;
        Ok(story)
    }

    /// Tells the whole story.
    pub(super) fn tell(mut self) -> Result<Transcript, Failure> {
        self.log_in_and_set_up()?;
        self.store_and_open()?;
        self.refusals()?;
        self.key_of_another_client()?;
        self.rotate()?;
        self.two_hundred_secrets()?;
        self.interrupted_and_conflicting()?;
        self.writers_at_once()?;
        self.log_out()?;
        Ok(self.transcript)
    }

    fn log_in_and_set_up(&mut self) -> Result<(), Failure> {
        let password = self.path("password");
        let login = ["login", &self.other.user_id, "--homeserver", self.base];
        let login = [&login[..], &["--password-file", &password]].concat();
        self.laptop.must(&login, "")?;
        self.phone.must(&login, "")?;
        let who = self.laptop.json(&["whoami", "--json"])?;
        self.expect(
            "whoami names the user",
            &who["user_id"],
            &json!(self.other.user_id),
        )?;

        let untouched = self.status()?;
        self.expect(
            "nothing is set up",
            &untouched["default_key_state"],
            &json!("absent"),
        )?;
        let dry = self
            .laptop
            .run(&["setup", "--storage-only", "--dry-run"], "")?;
        self.transcript.expect("a dry run ends well", dry.code, 0)?;
        self.expect("and changes nothing", &self.status()?["keys"], &json!([]))?;
        let key = self.path("key");
        self.laptop.must(
            &[
                "setup",
                "--storage-only",
                "--yes",
                "--recovery-key-out",
                &key,
            ],
            "",
        )?;
        self.expect(
            "there is a default key",
            &self.status()?["default_key_state"],
            &json!("ok"),
        )?;
        let again = self.path("key-again");
        let again = self.laptop.run(
            &[
                "setup",
                "--storage-only",
                "--yes",
                "--recovery-key-out",
                &again,
            ],
            "",
        )?;
        self.code("setting up again is refused", &again, 1)
    }

    fn store_and_open(&mut self) -> Result<(), Failure> {
        self.put("org.example.token", "s3cret ✓")?;
        self.put(
            "m.megolm_backup.v1",
            "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo",
        )?;
        for (name, secret) in [
            ("org.example.token", "s3cret ✓"),
            (
                "m.megolm_backup.v1",
                "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo",
            ),
        ] {
            let opened = self.get("key", name)?;
            self.transcript.expect(
                &format!("the phone opens {name} with the recovery key"),
                opened.data.as_str(),
                secret,
            )?;
        }
        let names = self.phone.must(&["ls"], "")?;
        self.transcript.expect(
            "ls",
            names.as_str(),
            "m.megolm_backup.v1\norg.example.token\n",
        )
    }

    fn refusals(&mut self) -> Result<(), Failure> {
        let wrong = "EsTc LW2K PGiF wKEA 3As5 g5c4 BXwk qeeJ ZJV8 Q9fu gUMN UE4d";
        self.write("wrong-key", wrong)?;
        self.write(
            "typo",
            "EsTc LW2K PGiF wKEA 3As5 g5c4 BXwk qeeJ ZJV8 Q9fu gUMN UE40",
        )?;
        let ended = self.get("wrong-key", "org.example.token")?;
        self.code("a wrong recovery key", &ended, 3)?;
        let ended = self.get("typo", "org.example.token")?;
        self.code("a typing error", &ended, 3)?;
        self.transcript
            .expect("is located", ended.talk.contains("character 48"), true)?;
        let ended = self.get("key", "org.example.nothing")?;
        self.code("no such secret", &ended, 1)?;
        let ended = self
            .laptop
            .run(&["put", "m.push_rules", "-", "--yes"], "x")?;
        self.code("a reserved name", &ended, 2)?;
        let key = self.path("key");
        let bad = [
            "put",
            "m.cross_signing.master",
            "-",
            "--yes",
            "--recovery-key-file",
            &key,
        ];
        let ended = self.laptop.run(&bad, "not a key")?;
        self.code("a value that does not belong there", &ended, 8)
    }

    /// mautrix makes key IDs of base64, so the event type has `/` and `+` in it.
    fn key_of_another_client(&mut self) -> Result<(), Failure> {
        let data = self.fixture["account_data"].clone();
        let id = data["m.secret_storage.default_key"]["key"]
            .as_str()
            .unwrap_or_default();
        let event_type = format!("m.secret_storage.key.{id}");
        let escaped = event_type.replace('/', "%2F").replace('+', "%2B");
        for (event_type, content) in [
            (escaped.as_str(), &data[&event_type]),
            ("org.example.secret", &data["org.example.secret"]),
        ] {
            let path = self.other.account_data(event_type);
            self.other.client.must("PUT", &path, Some(content))?;
        }
        self.write(
            "mautrix",
            self.fixture["recovery_key"].as_str().unwrap_or_default(),
        )?;
        let opened = self.get("mautrix", "org.example.secret")?;
        self.transcript.expect(
            "a secret of mautrix, under a key that is not the default",
            opened.data.as_str(),
            "czNjcjN0IHZhbHVlIOKckw",
        )?;
        let key = self.path("mautrix");
        let check = ["key", "check", "--json", "--recovery-key-file", &key];
        let checked = self.phone.json(&check)?;
        self.expect("key check names it", &checked["key_id"], &json!(id))?;
        let ended = self.get("key", "org.example.secret")?;
        self.code("the default key does not open it", &ended, 1)?;
        self.transcript
            .expect("and it says which does", ended.talk.contains(id), true)
    }

    fn rotate(&mut self) -> Result<(), Failure> {
        self.rotate_to("key", "key-2")?;
        // It opens what the old one opened, so it is the user who made it the default.
        let opened = self.get("key-2", "org.example.token")?;
        self.transcript.expect(
            "the new default key is followed once it is given",
            opened.data.as_str(),
            "s3cret ✓",
        )?;
        self.transcript.expect(
            "and it is said",
            opened.talk.contains("accepted, because"),
            true,
        )?;
        let ended = self.get("key", "org.example.token")?;
        self.code("the old key does not", &ended, 3)?;
        let opened = self.get("mautrix", "org.example.secret")?;
        self.code(
            "the key of another client still opens its secret",
            &opened,
            0,
        )
    }

    fn two_hundred_secrets(&mut self) -> Result<(), Failure> {
        for number in 0..200 {
            self.put_with(
                "key-2",
                &format!("org.example.many.{number:03}"),
                &format!("value {number}"),
            )?;
        }
        self.rotate_to("key-2", "key-3")?;
        self.accept()?;
        let status = self.status()?;
        let under_default = status["secrets"].as_array().map_or(0, |all| {
            all.iter()
                .filter(|one| one["under_default_key"] == json!(true))
                .count()
        });
        self.transcript
            .expect("all are under the new default key", under_default, 202)?;
        let opened = self.get("key-3", "org.example.many.137")?;
        self.transcript
            .expect("and open with it", opened.data.as_str(), "value 137")
    }

    fn log_out(&mut self) -> Result<(), Failure> {
        self.laptop.must(&["logout"], "")?;
        let ended = self.laptop.run(&["status"], "")?;
        self.code("after the logout", &ended, 2)?;
        let opened = self.get("key-5", "org.example.token")?;
        self.code("the phone is still logged in", &opened, 0)
    }

    pub(super) fn put(&self, name: &str, secret: &str) -> Result<(), Failure> {
        self.put_with("key", name, secret)
    }

    pub(super) fn put_with(&self, key: &str, name: &str, secret: &str) -> Result<(), Failure> {
        let key = self.path(key);
        let put = ["put", name, "-", "--yes", "--recovery-key-file", &key];
        self.laptop.must(&put, secret).map(drop)
    }

    pub(super) fn get(&self, key: &str, name: &str) -> Result<Ended, Failure> {
        self.phone
            .run(&["get", name, "--recovery-key-file", &self.path(key)], "")
    }

    pub(super) fn rotate_to(&self, old: &str, new: &str) -> Result<(), Failure> {
        let (old, new) = (self.path(old), self.path(new));
        let rotate = [
            "key",
            "rotate",
            "--yes",
            "--recovery-key-file",
            &old,
            "--recovery-key-out",
            &new,
        ];
        self.laptop.must(&rotate, "").map(drop)
    }

    /// The phone accepts what the laptop did with the keys.
    pub(super) fn accept(&self) -> Result<(), Failure> {
        self.phone
            .must(&["status", "--accept-changes"], "")
            .map(drop)
    }

    pub(super) fn status(&self) -> Result<Value, Failure> {
        self.phone.json(&["status", "--json"])
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        fs::write(self.folder.join(name), format!("{text}\n")).map_err(unwritable)
    }

    pub(super) fn code(&mut self, step: &str, ended: &Ended, wanted: i32) -> Result<(), Failure> {
        self.transcript
            .expect(step, ended.code, wanted)
            .map_err(|failure| Failure::Check(format!("{failure}\n{}", ended.talk.trim_end())))
    }

    fn expect(&mut self, step: &str, got: &Value, wanted: &Value) -> Result<(), Failure> {
        self.transcript.expect(step, got, wanted)
    }
}

fn unwritable(error: std::io::Error) -> Failure {
    Failure::Check(format!("the folder of the story: {error}"))
}
