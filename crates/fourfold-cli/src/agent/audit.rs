//! The audit log: what was asked, by whom, and what came of it. Never a secret.

mod follow;

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead as _, BufReader, ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use fourfold_client::LocalState;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Exit, Result};

pub(crate) use self::follow::Following;

/// A line of the log.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Record {
    /// Milliseconds since 1970, by the clock on the wall.
    pub(crate) time: u64,
    /// What happened: `answered`, `refused`, `asked`, `received`, `unlocked`, `locked`, `alert`, …
    pub(crate) event: String,
    /// The secret that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
    /// The device on the other side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) device_id: Option<String>,
    /// Its Ed25519 key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fingerprint: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

impl Record {
    pub(crate) fn new(event: impl Into<String>) -> Self {
        Self {
            event: event.into(),
            ..Self::default()
        }
    }

    /// Gives it the time of now, unless it has one.
    pub(crate) fn stamp(&mut self) {
        if self.time == 0 {
            self.time = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_millis()
                .try_into()
                .unwrap_or(u64::MAX);
        }
    }

    /// A line that is damaged is none.
    fn read(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    pub(crate) fn secret(mut self, name: impl Into<String>) -> Self {
        self.secret = Some(name.into());
        self
    }

    pub(crate) fn device(mut self, id: impl Into<String>, fingerprint: Option<String>) -> Self {
        self.device_id = Some(id.into());
        self.fingerprint = fingerprint;
        self
    }

    pub(crate) fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

/// The log of one account: lines of JSON in a file that is only ever appended to. When it is full it
/// becomes the older half, in the place of the one before.
#[derive(Clone, Debug)]
pub(crate) struct AuditLog {
    path: PathBuf,
    largest: u64,
}

impl AuditLog {
    /// Beside the local state of the account.
    pub(crate) fn of(state_folder: &Path, user_id: &str) -> Result<Self> {
        let path = LocalState::file_of(state_folder, user_id)?.with_extension("audit.jsonl");
        Ok(Self {
            path,
            largest: LARGEST,
        })
    }

    /// Appends a line, with the time of now unless it has one. What cannot be logged must not
    /// happen.
    pub(crate) fn write(&self, mut record: Record) -> Result<()> {
        record.stamp();
        let mut line = serde_json::to_string(&record).map_err(|error| self.failed(error))?;
        line.push('\n');
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(no_follow())
            .open(&self.path)
            .map_err(|error| self.failed(error))?;
        let metadata = file.metadata().map_err(|error| self.failed(error))?;
        if metadata.len() + line.len() as u64 > self.largest && metadata.len() > 0 {
            fs::rename(&self.path, self.older()).map_err(|error| self.failed(error))?;
            return self.write(record);
        }
        // One write, so that lines never mix.
        file.write_all(line.as_bytes())
            .and_then(|()| file.sync_data())
            .map_err(|error| self.failed(error))
    }

    /// As [`write`](Self::write), unless the very same line is there: whoever tells it does not know
    /// whether it was written before a crash.
    pub(crate) fn write_once(&self, record: Record) -> Result<()> {
        if self.read()?.contains(&record) {
            return Ok(());
        }
        self.write(record)
    }

    /// All lines that are kept, the oldest first. Of a line that is damaged nothing is left out but
    /// itself.
    pub(crate) fn read(&self) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        for path in [self.older(), self.path.clone()] {
            let file = match File::open(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                file => file.map_err(|error| self.failed(error))?,
            };
            for line in BufReader::new(file).split(b'\n') {
                let line = line.map_err(|error| self.failed(error))?;
                records.extend(Record::read(&line));
            }
        }
        Ok(records)
    }

    /// The same, and then what is written from now on.
    pub(crate) fn follow(self) -> Following {
        Following::new(self)
    }

    fn older(&self) -> PathBuf {
        self.path.with_extension("1.jsonl")
    }

    fn failed(&self, error: impl std::fmt::Display) -> Error {
        Error::new(Exit::Usage, format!("{}: {error}", self.path.display()))
    }
}

/// A megabyte, and another one of the older half: some ten thousand lines.
const LARGEST: u64 = 1024 * 1024;

fn no_follow() -> i32 {
    rustix::fs::OFlags::NOFOLLOW.bits().cast_signed()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    fn log() -> (tempfile::TempDir, AuditLog) {
        let folder = tempfile::tempdir().unwrap();
        let log = AuditLog::of(folder.path(), "@alice:localhost").unwrap();
        (folder, log)
    }

    fn record(number: usize) -> Record {
        Record::new("answered")
            .secret(format!("secret {number}"))
            .device("PHONE", Some("abcd efgh".to_owned()))
            .reason("policy")
    }

    #[test]
    fn what_was_written_is_read_in_order() {
        let (_folder, log) = log();
        assert_eq!(log.read().unwrap(), []);
        for number in 0..3 {
            log.write(record(number)).unwrap();
        }
        let read = log.read().unwrap();
        assert_eq!(read.len(), 3);
        for (number, one) in read.into_iter().enumerate() {
            assert!(one.time > 1_700_000_000_000);
            assert_eq!(Record { time: 0, ..one }, record(number));
        }
        assert_eq!(fs::metadata(&log.path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_told_twice_is_written_once() {
        let (_folder, log) = log();
        for time in [7, 7, 8, 7] {
            log.write_once(Record { time, ..record(0) }).unwrap();
        }
        let times: Vec<_> = log.read().unwrap().iter().map(|one| one.time).collect();
        assert_eq!(times, [7, 8]);
    }

    #[test]
    fn a_damaged_line_hides_no_other() {
        let (_folder, log) = log();
        log.write(record(0)).unwrap();
        let mut file = OpenOptions::new().append(true).open(&log.path).unwrap();
        file.write_all(b"{\"time\": 1, \xff\n\n").unwrap();
        log.write(record(1)).unwrap();
        assert_eq!(log.read().unwrap().len(), 2);
    }

    #[test]
    fn a_full_log_is_bounded_and_keeps_the_newest() {
        let (_folder, mut log) = log();
        log.largest = 1000;
        for number in 0..100 {
            log.write(record(number)).unwrap();
        }
        let read = log.read().unwrap();
        assert!((5..20).contains(&read.len()), "{}", read.len());
        let newest = read.last().unwrap().secret.clone();
        assert_eq!(newest.as_deref(), Some("secret 99"));
        assert!(fs::metadata(&log.path).unwrap().len() <= 1000);
    }

    #[test]
    fn a_link_is_not_followed_and_the_error_is_told() {
        let (folder, log) = log();
        let victim = folder.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        symlink(&victim, &log.path).unwrap();
        assert!(log.write(record(0)).is_err());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    }
}
