//! The files of the audit log.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use fourfold_client::LocalState;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::terminal::shown::Json;

/// A line of the log.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub(crate) struct Record {
    /// Milliseconds since 1970, by the clock on the wall.
    pub(crate) time: u64,
    /// The event: `shared`, `refused`, `asked`, `received`, `unlocked`, `locked`, `alert`, …
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
    pub(super) fn read(line: &[u8]) -> Option<Self> {
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

/// The log of one account: lines of JSON in files that are only ever appended to. There is one for each
/// [`Place`]. When it is full it becomes the older half, in the place of the one before.
#[derive(Clone, Debug)]
pub(crate) struct AuditLog {
    pub(super) path: PathBuf,
    pub(super) max_size: u64,
}

impl AuditLog {
    /// Beside the local state of the account.
    pub(crate) fn of(state_folder: &Path, user_id: &str) -> Result<Self> {
        let path = LocalState::file_of(state_folder, user_id)?.with_extension("audit.jsonl");
        Ok(Self {
            path,
            max_size: MAX_SIZE,
        })
    }

    /// Appends a line, with the time of now unless it has one. What cannot be logged must not
    /// happen.
    pub(crate) fn write(&self, mut record: Record) -> Result<()> {
        record.stamp();
        self.append(&record)
    }

    /// As [`write`](Self::write), unless the very same line is there: the caller does not know
    /// whether it was written before a crash.
    pub(crate) fn write_once(&self, record: Record) -> Result<()> {
        if self.read()?.contains(&record) {
            return Ok(());
        }
        self.write(record)
    }

    /// All lines that are kept, the oldest first. Of a line that is damaged nothing is omitted but
    /// itself.
    pub(crate) fn read(&self) -> Result<Vec<Record>> {
        let shared = self.lines_of(Place::Shared)?;
        let known: HashSet<&Record> = shared.iter().collect();
        let decisions = self.lines_of(Place::Decisions)?.into_iter();
        // Earlier versions kept them here, and those that were taken out are still there.
        let mut records: Vec<_> = decisions
            .filter(|record| Place::of(record) != Place::Shared || !known.contains(record))
            .collect();
        records.extend(shared);
        records.extend(self.lines_of(Place::Notices)?);
        records.sort_by_key(|record| record.time);
        Ok(records)
    }

    fn append(&self, record: &Record) -> Result<()> {
        let place = Place::of(record);
        let line = format!("{}\n", Json::compact(record)?.as_str());
        let path = self.path(place);
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(no_follow())
            .open(&path)
            .map_err(|error| self.failed(error))?;
        let metadata = file.metadata().map_err(|error| self.failed(error))?;
        if metadata.len() + line.len() as u64 > self.max_size && metadata.len() > 0 {
            self.keep_shared(place)?;
            fs::rename(&path, self.older(place)).map_err(|error| self.failed(error))?;
            return self.append(record);
        }
        // One write, so that lines never mix.
        file.write_all(line.as_bytes())
            .and_then(|()| file.sync_data())
            .map_err(|error| self.failed(error))
    }

    /// Takes the lines that must not go out of the half that is about to: earlier versions wrote
    /// them among the others.
    fn keep_shared(&self, place: Place) -> Result<()> {
        if place != Place::Decisions {
            return Ok(());
        }
        let mut kept = None;
        for record in self.lines_in(&self.older(place))? {
            if Place::of(&record) == Place::Shared {
                let kept = match &mut kept {
                    Some(kept) => kept,
                    none => none.insert(self.lines_of(Place::Shared)?),
                };
                // They may be there since a crash.
                if !kept.contains(&record) {
                    self.append(&record)?;
                    kept.push(record);
                }
            }
        }
        Ok(())
    }

    /// The lines of both halves, as they stand there.
    fn lines_of(&self, place: Place) -> Result<Vec<Record>> {
        let mut records = self.lines_in(&self.older(place))?;
        records.extend(self.lines_in(&self.path(place))?);
        Ok(records)
    }

    fn lines_in(&self, path: &Path) -> Result<Vec<Record>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            file => file.map_err(|error| self.failed(error))?,
        };
        let mut records = Vec::new();
        for line in BufReader::new(file).split(b'\n') {
            let line = line.map_err(|error| self.failed(error))?;
            records.extend(Record::read(&line));
        }
        Ok(records)
    }

    pub(super) fn path(&self, place: Place) -> PathBuf {
        match place {
            Place::Shared => self.path.with_extension("shared.jsonl"),
            Place::Decisions => self.path.clone(),
            Place::Notices => self.path.with_extension("notices.jsonl"),
        }
    }

    pub(super) fn older(&self, place: Place) -> PathBuf {
        self.path(place).with_extension("1.jsonl")
    }

    pub(super) fn failed(&self, error: impl std::fmt::Display) -> Error {
        Error::file(&self.path, error)
    }
}

/// Where a line is kept. Lines of one place never push out those of another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// Secrets that left this machine.
    Shared,
    /// Other requests, decisions and received secrets, and locking.
    Decisions,
    /// Events that a homeserver can trigger as often as it likes.
    Notices,
}

impl Place {
    pub(super) const ALL: [Self; 3] = [Self::Shared, Self::Decisions, Self::Notices];

    pub(super) fn of(record: &Record) -> Self {
        match record.event.as_str() {
            SHARED => Self::Shared,
            TRUST | ALERT => Self::Notices,
            _ => Self::Decisions,
        }
    }
}

/// A secret was given to another device.
pub(crate) const SHARED: &str = "shared";
/// The trust in a device, or the list of devices, changed.
pub(crate) const TRUST: &str = "trust";
/// Something that is not as it should be.
pub(crate) const ALERT: &str = "alert";

/// A megabyte, and another one of the older half, in each place: some ten thousand lines.
const MAX_SIZE: u64 = 1024 * 1024;

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

    // shows: AGT-09
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
        log.max_size = 1000;
        for number in 0..100 {
            log.write(record(number)).unwrap();
        }
        let read = log.read().unwrap();
        assert!((5..20).contains(&read.len()), "{}", read.len());
        let newest = read.last().unwrap().secret.clone();
        assert_eq!(newest.as_deref(), Some("secret 99"));
        assert!(fs::metadata(&log.path).unwrap().len() <= 1000);
    }

    fn secrets(log: &AuditLog, event: &str) -> Vec<String> {
        let read = log.read().unwrap().into_iter();
        let of_it = read.filter(|one| one.event == event);
        of_it.map(|one| one.secret.unwrap_or_default()).collect()
    }

    // shows: AGT-09
    #[test]
    fn notices_push_out_no_decision_and_decisions_nothing_that_was_shared() {
        let (_folder, mut log) = log();
        log.max_size = 1000;
        let of = |event: &str, number| Record {
            event: event.to_owned(),
            ..record(number)
        };
        log.write(of("shared", 1)).unwrap();
        log.write(of("received", 2)).unwrap();
        for number in 0..100 {
            log.write(of("trust", number)).unwrap();
            log.write(of("alert", number)).unwrap();
        }
        assert_eq!(secrets(&log, "received"), ["secret 2"]);
        for number in 0..100 {
            log.write(of("refused", number)).unwrap();
        }
        assert_eq!(secrets(&log, "shared"), ["secret 1"]);
        assert!(secrets(&log, "trust").len() < 10);
        assert_eq!(secrets(&log, "refused").last().unwrap(), "secret 99");
        for place in Place::ALL {
            let mode = fs::metadata(log.path(place)).unwrap().mode();
            assert_eq!(mode & 0o777, 0o600, "{place:?}");
        }
    }

    /// A log of a version that wrote everything into one file.
    #[test]
    fn what_an_older_log_says_was_shared_is_kept() {
        let (_folder, mut log) = log();
        log.max_size = 1000;
        let old = |time| Record {
            time,
            event: SHARED.to_owned(),
            ..record(usize::try_from(time).unwrap())
        };
        let lines = |times: &[u64]| -> String {
            let line = |time: &u64| serde_json::to_string(&old(*time)).unwrap() + "\n";
            times.iter().map(line).collect()
        };
        fs::write(log.older(Place::Decisions), lines(&[1, 2])).unwrap();
        fs::write(&log.path, lines(&[3, 4])).unwrap();
        let all = ["secret 1", "secret 2", "secret 3", "secret 4"];
        assert_eq!(secrets(&log, SHARED), all);
        // A crash while they were taken out.
        log.append(&old(1)).unwrap();
        for number in 0..100 {
            log.write(record(number)).unwrap();
            assert_eq!(secrets(&log, SHARED), all);
        }
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
