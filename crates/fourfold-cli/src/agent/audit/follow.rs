//! The audit log, while it is written.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::log::{AuditLog, Place, Record};
use crate::error::Result;

/// A log that is read on and on. Each line comes once.
pub(crate) struct Following {
    log: AuditLog,
    tails: [Tail; 3],
    /// Lines about shared secrets that an earlier version wrote are in two files.
    shared: HashSet<Record>,
}

/// The files of one place.
struct Tail {
    place: Place,
    file: Option<BufReader<File>>,
    /// The beginning of a line whose end is not written yet.
    line: Vec<u8>,
}

impl Following {
    pub(crate) fn new(log: AuditLog) -> Self {
        let tail = |place| Tail {
            place,
            file: None,
            line: Vec::new(),
        };
        Self {
            log,
            tails: Place::ALL.map(tail),
            shared: HashSet::new(),
        }
    }

    /// The lines written since the last call; at the first call, all lines.
    pub(crate) fn more(&mut self) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        for tail in &mut self.tails {
            tail.more(&self.log, &mut records)?;
        }
        records.retain(|record| {
            Place::of(record) != Place::Shared || self.shared.insert(record.clone())
        });
        records.sort_by_key(|record| record.time);
        Ok(records)
    }
}

impl Tail {
    fn more(&mut self, log: &AuditLog, records: &mut Vec<Record>) -> Result<()> {
        loop {
            // Asked first: what is read after that is all of a file that is full.
            let next = self.next_file(log)?;
            self.read_on(log, records)?;
            let Some(next) = next else {
                return Ok(());
            };
            self.file = Some(BufReader::new(next));
            self.line.clear();
        }
    }

    /// The file after the one that is being read, if there is one.
    fn next_file(&self, log: &AuditLog) -> Result<Option<File>> {
        let older = open(log, &log.older(self.place))?;
        let current = open(log, &log.path(self.place))?;
        if self.is_being_read(current.as_ref()) {
            return Ok(None);
        }
        // The current one comes after the older one, and whatever is neither came before both.
        if older.is_none() || self.is_being_read(older.as_ref()) {
            Ok(current)
        } else {
            Ok(older)
        }
    }

    fn is_being_read(&self, file: Option<&File>) -> bool {
        let number = |file: &File| {
            let metadata: fs::Metadata = file.metadata().ok()?;
            Some((metadata.dev(), metadata.ino()))
        };
        match (&self.file, file) {
            (Some(ours), Some(file)) => number(ours.get_ref()) == number(file),
            _ => false,
        }
    }

    fn read_on(&mut self, log: &AuditLog, records: &mut Vec<Record>) -> Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        loop {
            let read = file.read_until(b'\n', &mut self.line);
            read.map_err(|error| log.failed(error))?;
            if self.line.last() != Some(&b'\n') {
                return Ok(());
            }
            records.extend(Record::read(&self.line));
            self.line.clear();
        }
    }
}

fn open(log: &AuditLog, path: &Path) -> Result<Option<File>> {
    match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        file => file.map(Some).map_err(|error| log.failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn log(max_size: u64) -> (tempfile::TempDir, AuditLog) {
        let folder = tempfile::tempdir().unwrap();
        let mut log = AuditLog::of(folder.path(), "@alice:localhost").unwrap();
        log.max_size = max_size;
        (folder, log)
    }

    fn write(log: &AuditLog, number: usize) {
        log.write(Record::new(number.to_string())).unwrap();
    }

    fn more(following: &mut Following) -> Vec<String> {
        let records = following.more().unwrap();
        records.into_iter().map(|record| record.event).collect()
    }

    #[test]
    fn each_line_comes_once_in_order_over_full_files() {
        // A few lines fill a file.
        let (_folder, log) = log(150);
        let mut following = Following::new(log.clone());
        assert_eq!(more(&mut following), [""; 0]);
        let mut followed = Vec::new();
        for number in 0..50 {
            write(&log, number);
            followed.extend(more(&mut following));
            assert_eq!(more(&mut following), [""; 0]);
        }
        let all: Vec<_> = (0..50).map(|number| number.to_string()).collect();
        assert_eq!(followed, all);
        // From the beginning: what is kept, which is what the log itself gives.
        let kept: Vec<_> = log
            .read()
            .unwrap()
            .into_iter()
            .map(|one| one.event)
            .collect();
        assert_eq!(more(&mut Following::new(log)), kept);
        assert!(kept.len() > 3);
    }

    #[test]
    fn lines_of_all_places_come_in_the_order_of_their_times() {
        let (_folder, log) = log(1000);
        let mut following = Following::new(log.clone());
        let mut told = Vec::new();
        for (time, event) in [(1, "trust"), (2, "shared"), (3, "asked"), (4, "alert")] {
            let event = event.to_owned();
            log.write(Record {
                time,
                event,
                ..Record::default()
            })
            .unwrap();
            if time % 2 == 0 {
                told.extend(more(&mut following));
            }
        }
        assert_eq!(told, ["trust", "shared", "asked", "alert"]);
    }

    #[test]
    fn a_line_comes_when_it_is_whole() {
        let (_folder, log) = log(1000);
        let mut following = Following::new(log.clone());
        write(&log, 1);
        assert_eq!(more(&mut following), ["1"]);
        let mut file = File::options().append(true).open(&log.path).unwrap();
        file.write_all(b"{\"time\": 1, \"ev").unwrap();
        assert_eq!(more(&mut following), [""; 0]);
        file.write_all(b"ent\": \"2\"}\n{damaged\n").unwrap();
        assert_eq!(more(&mut following), ["2"]);
        write(&log, 3);
        assert_eq!(more(&mut following), ["3"]);
    }
}
