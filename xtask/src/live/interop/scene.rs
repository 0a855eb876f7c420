//! One user at one homeserver, and the devices that act for them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::files;
use crate::http::{Client, PASSWORD, Session};
use crate::live::cli;
use crate::live::peer::{Library, Peer, Programs};
use crate::live::transcript::Transcript;

/// The secrets that the specification names and every client knows.
pub(super) const STANDARD: [&str; 4] = [
    "m.cross_signing.master",
    "m.cross_signing.self_signing",
    "m.cross_signing.user_signing",
    "m.megolm_backup.v1",
];

/// What all tales at one homeserver share.
#[derive(Debug)]
pub(super) struct House<'a> {
    pub(super) programs: &'a Programs,
    /// The command `fourfold`.
    pub(super) ours: &'a Path,
    pub(super) base: &'a str,
    /// A new folder, removed after the run.
    pub(super) folder: PathBuf,
    /// Where agents have their sockets: a short path, as those must have.
    pub(super) runtime: PathBuf,
}

/// A new user, for one tale.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    house: &'a House<'a>,
    /// The library whose devices play the other part.
    pub(super) library: Library,
    pub(super) user: Session,
    folder: PathBuf,
    transcript: &'a mut Transcript,
}

impl<'a> Scene<'a> {
    /// Registers the user.
    pub(super) fn open(
        house: &'a House<'a>,
        library: Library,
        tale: &str,
        transcript: &'a mut Transcript,
    ) -> Result<Self, Failure> {
        let name = format!("{tale}.{}", library.name());
        let folder = house.folder.join(&name);
        files::write(&folder.join("password"), &format!("{PASSWORD}\n"))?;
        Ok(Self {
            house,
            library,
            user: Client::new(house.base).register(&name)?,
            folder,
            transcript,
        })
    }

    /// Logs in a device of the library.
    pub(super) fn peer(&self, name: &str) -> Result<Peer, Failure> {
        self.peer_of(self.library, name)
    }

    /// Logs in a device of any library.
    pub(super) fn peer_of(&self, library: Library, name: &str) -> Result<Peer, Failure> {
        let account = (self.house.base, self.user.user_id.as_str());
        Peer::log_in(self.house.programs, library, name, account, &self.folder)
    }

    /// Logs in a device of ours.
    pub(super) fn ours(&self, name: &str) -> Result<cli::Device, Failure> {
        let seal = self.folder.join(format!("{name}.seal"));
        let device = cli::Device::new(self.house.ours, self.folder.join(name))
            .with("FOURFOLD_STORE_KEY_FILE", seal)
            .with("XDG_RUNTIME_DIR", self.house.runtime.clone());
        let login = ["login", &self.user.user_id, "--homeserver", self.house.base];
        let password = self.path("password");
        device.must(&[&login[..], &["--password-file", &password]].concat(), "")?;
        Ok(device)
    }

    /// A file of this scene.
    pub(super) fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Writes what a peer said, for our command to read.
    pub(super) fn write(&self, name: &str, text: &Value) -> Result<String, Failure> {
        let text = text.as_str().unwrap_or_default();
        files::write(&self.folder.join(name), &format!("{text}\n"))?;
        Ok(self.path(name))
    }

    /// What our command wrote, for a peer to be told.
    pub(super) fn read(&self, name: &str) -> Result<String, Failure> {
        let path = self.folder.join(name);
        let text = fs::read_to_string(&path)
            .map_err(|error| Failure::Check(format!("reading {}: {error}", path.display())))?;
        Ok(text.trim_end().to_owned())
    }

    /// Notes a result that must be as expected.
    pub(super) fn expect<T: std::fmt::Debug + PartialEq>(
        &mut self,
        step: &str,
        got: T,
        wanted: T,
    ) -> Result<(), Failure> {
        self.transcript.expect(step, got, wanted)
    }

    /// As [`expect`](Self::expect), for what differs from run to run.
    pub(super) fn same<T: std::fmt::Debug + PartialEq>(
        &mut self,
        step: &str,
        got: &T,
        wanted: &T,
    ) -> Result<(), Failure> {
        if got != wanted {
            return Err(Failure::Check(format!("{step}: {got:?} is not {wanted:?}")));
        }
        self.transcript.expect(step, true, true)
    }

    /// Two peers compare emoji; the first asked for it.
    pub(super) fn compare_emoji(
        &mut self,
        asker: &mut Peer,
        asked: &mut Peer,
    ) -> Result<(), Failure> {
        asker.ask(json!({ "do": "request_verification", "device": asked.device_id() }))?;
        let from = asked.tell("accept_verification")?;
        self.same(
            &format!("{} is asked for a verification", asked.name()),
            &from,
            &json!({ "device": asker.device_id() }),
        )?;
        asker.tell("start_sas")?;
        let [one, two] = both(asker, asked, "compare")?;
        self.same(
            &format!("{} and {} show the same emoji", asker.name(), asked.name()),
            &one,
            &two,
        )?;
        both(asker, asked, "confirm").map(drop)
    }
}

/// Two peers do the same at the same time.
pub(super) fn both(one: &mut Peer, two: &mut Peer, command: &str) -> Result<[Value; 2], Failure> {
    one.begin(json!({ "do": command }))?;
    two.begin(json!({ "do": command }))?;
    Ok([one.answer()?, two.answer()?])
}

/// Waits until each knows that the other is verified.
pub(super) fn trust_each_other(one: &mut Peer, two: &mut Peer) -> Result<(), Failure> {
    let (first, second) = (one.device_id().to_owned(), two.device_id().to_owned());
    for (peer, device) in [(one, second), (two, first)] {
        peer.ask(json!({ "do": "await_device", "device": device, "verified": true }))?;
    }
    Ok(())
}
