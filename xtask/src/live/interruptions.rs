//! The part of the story where changes are interrupted and writers conflict.
#![expect(
    clippy::indexing_slicing,
    reason = "a missing member of a JSON value is null"
)]

use std::thread;
use std::time::Duration;

use serde_json::json;

use super::cli;
use super::story::Story;
use crate::failure::Failure;

impl Story<'_> {
    /// Kills a rotation, changes what it was about to write, and resumes it.
    pub(super) fn interrupted_and_conflicting(&mut self) -> Result<(), Failure> {
        let (old, new) = (self.path("key-3"), self.path("key-4"));
        let rotate = [
            "key",
            "rotate",
            "--yes",
            "--recovery-key-file",
            &old,
            "--recovery-key-out",
            &new,
        ];
        let mut rotation = self.laptop.start(&rotate)?;
        self.wait_until_under_two_keys("org.example.many.010")?;
        let gone = |error| Failure::Check(format!("killing the rotation: {error}"));
        rotation.kill().map_err(gone)?;
        cli::ended(rotation)?;
        self.accept()?;

        let readable = |story: &Self| -> Result<bool, Failure> {
            let mut all = true;
            for name in [
                "org.example.token",
                "org.example.many.000",
                "org.example.many.199",
            ] {
                all &= story.get("key-3", name)?.code == 0 || story.get("key-4", name)?.code == 0;
            }
            Ok(all)
        };
        self.transcript.expect(
            "a killed rotation leaves all readable",
            readable(self)?,
            true,
        )?;
        let put = [
            "put",
            "org.example.late",
            "-",
            "--yes",
            "--recovery-key-file",
            &old,
        ];
        let ended = self.laptop.run(&put, "x")?;
        self.code("nothing else is begun before it is finished", &ended, 5)?;

        let path = self.other.account_data("org.example.many.199");
        let mut content = self.other.client.must("GET", &path, None)?;
        if let Some(members) = content.as_object_mut() {
            members.insert(
                "org.example.note".to_owned(),
                json!("another client was here"),
            );
        }
        self.other.client.must("PUT", &path, Some(&content))?;
        let ended = self.laptop.run(&["resume"], "")?;
        self.code("what another client changed stops it", &ended, 5)?;
        self.transcript
            .expect("still, all is readable", readable(self)?, true)?;

        self.laptop.must(&["resume", "--abandon"], "")?;
        self.rotate_again()?;
        let note = self.other.client.must("GET", &path, None)?["org.example.note"].clone();
        self.transcript.expect(
            "and what the other client wrote is kept",
            note,
            json!("another client was here"),
        )
    }

    /// Two devices put at once: each acknowledged value is there, or the loser was told.
    pub(super) fn writers_at_once(&mut self) -> Result<(), Failure> {
        let key = self.path("key-5");
        let mut lost = 0;
        for round in 0..20 {
            let name = format!("org.example.race.{}", round % 3);
            let put = |device: &cli::Device, value: &str| {
                device.run(
                    &["put", &name, "-", "--yes", "--recovery-key-file", &key],
                    value,
                )
            };
            let (left, right) = (format!("left {round}"), format!("right {round}"));
            let (one, two) = thread::scope(|scope| {
                let one = scope.spawn(|| put(&self.laptop, &left));
                let two = put(&self.phone, &right);
                (one.join(), two)
            });
            let one = one.map_err(|_| Failure::Check("a writer broke down".to_owned()))??;
            let two = two?;
            let opened = self.get("key-5", &name)?;
            let good =
                (one.code == 0 && opened.data == left) || (two.code == 0 && opened.data == right);
            let told = [one.code, two.code]
                .iter()
                .all(|code| matches!(code, 0 | 5));
            lost += i32::from(!good || !told);
        }
        self.transcript.expect(
            "two writers at once, 20 rounds: values lost in silence",
            lost,
            0,
        )
    }

    fn rotate_again(&self) -> Result<(), Failure> {
        // The default key is whichever the interrupted rotation left.
        if self.get_with_default("key-3")? {
            self.rotate_to("key-3", "key-5")?;
        } else {
            self.rotate_to("key-4", "key-5")?;
        }
        self.accept()
    }

    fn get_with_default(&self, key: &str) -> Result<bool, Failure> {
        let path = self.path(key);
        let checked = self.phone.run(
            &["key", "check", "--json", "--recovery-key-file", &path],
            "",
        )?;
        Ok(checked.data.contains("\"is_default_key\": true"))
    }

    fn wait_until_under_two_keys(&self, event_type: &str) -> Result<(), Failure> {
        let path = self.other.account_data(event_type);
        for _ in 0..20_000 {
            let content = self.other.client.must("GET", &path, None)?;
            if content["encrypted"]
                .as_object()
                .is_some_and(|entries| entries.len() > 1)
            {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Err(Failure::Check("the rotation did not begin".to_owned()))
    }
}
