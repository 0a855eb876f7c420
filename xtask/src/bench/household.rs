//! A user with an agent on one machine and a verified device on another.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout};

use crate::failure::Failure;
use crate::http::PASSWORD;
use crate::live::{self, Device};
use crate::workspace::Workspace;
use crate::{files, process};

/// The secret that the agent gives away.
pub(super) const SECRET: &str = "m.megolm_backup.v1";

/// The two machines. The agent is killed, and the folder removed, when this is dropped.
#[derive(Debug)]
pub(super) struct Household {
    /// The device that asks.
    pub(super) phone: Device,
    laptop: Device,
    agent: Child,
    /// Read to its first line; kept open, as the agent may write to it.
    _stdout: BufReader<ChildStdout>,
    folder: PathBuf,
}

impl Household {
    /// Sets up a registered user whose laptop reaches the homeserver at `laptop_base`, and starts
    /// the agent there.
    pub(super) fn new(
        workspace: &Workspace,
        user_id: &str,
        laptop_base: &str,
        phone_base: &str,
    ) -> Result<Self, Failure> {
        let folder = workspace
            .target
            .join(format!("bench/household-{}", std::process::id()));
        let path = |name: &str| folder.join(name).display().to_string();
        files::write(&folder.join("password"), PASSWORD)?;
        files::write(
            &folder.join("policy.toml"),
            &format!("[secrets]\n\"{SECRET}\" = \"allow\"\n"),
        )?;
        let (program, password) = (live::program(workspace), path("password"));
        let machine = |name: &str, base: &str| {
            let seal = folder.join(format!("{name}-seal"));
            let device =
                Device::new(&program, folder.join(name)).with("FOURFOLD_STORE_KEY_FILE", seal);
            let login = ["login", user_id, "--homeserver", base, "--password-file"];
            let login = [&login[..], &[&password]].concat();
            device.must(&login, "").map(|_| device)
        };
        let laptop = machine("laptop", laptop_base)?;
        let phone = machine("phone", phone_base)?;
        let key = path("key");
        laptop.must(&["setup", "--yes", "--recovery-key-out", &key], PASSWORD)?;
        phone.must(&["device", "verify", "--recovery-key-file", &key], "")?;
        let policy = path("policy.toml");
        let mut agent = laptop.start(&["agent", "--foreground", "--policy", &policy])?;
        let stdout = agent.stdout.take();
        let mut stdout = BufReader::new(stdout.ok_or_else(|| silent("has no output"))?);
        let mut line = String::new();
        let is_ready = stdout.read_line(&mut line).is_ok() && line.starts_with("listening at ");
        let household = Self {
            phone,
            laptop,
            agent,
            _stdout: stdout,
            folder,
        };
        if !is_ready {
            return Err(silent("does not start"));
        }
        household
            .laptop
            .must(&["unlock", "--recovery-key-file", &key], "")?;
        Ok(household)
    }

    /// The resident memory of the agent, in KiB.
    pub(super) fn resident(&self) -> Result<u64, Failure> {
        self.resident_as("VmRSS")
    }

    /// The maximum so far.
    pub(super) fn most_resident(&self) -> Result<u64, Failure> {
        self.resident_as("VmHWM")
    }

    /// How often the threads of the agent went to sleep of themselves since they began: each time
    /// something woke them before.
    pub(super) fn sleeps(&self) -> Result<u64, Failure> {
        let tasks = self.process().join("task");
        let unreadable = |error| Failure::Check(format!("reading {}: {error}", tasks.display()));
        let mut sleeps = 0;
        for task in fs::read_dir(&tasks).map_err(unreadable)? {
            let status = task.map_err(unreadable)?.path().join("status");
            sleeps += process::figure(&status, "voluntary_ctxt_switches")?;
        }
        Ok(sleeps)
    }

    fn resident_as(&self, name: &str) -> Result<u64, Failure> {
        process::figure(&self.process().join("status"), name)
    }

    fn process(&self) -> PathBuf {
        process::folder(self.agent.id())
    }
}

impl Drop for Household {
    fn drop(&mut self) {
        let _killed = self.agent.kill();
        let _reaped = self.agent.wait();
        let _gone = fs::remove_dir_all(&self.folder);
    }
}

fn silent(what: &str) -> Failure {
    Failure::Check(format!("the agent {what}"))
}
