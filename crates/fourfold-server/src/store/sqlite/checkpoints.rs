//! Moves what was committed from the write-ahead log into the file, beside the writer.
//!
//! Left to itself, SQLite does so at the end of the commit that makes the log long, and anyone who
//! waits for that commit or for the next one waits for the file too. Here a thread of its own does
//! most of it. The log begins again with the first commit that finds all of it in the file; when
//! commits come so fast that none does, the writer moves the rest itself.

use std::ffi::c_int;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::hooks::Wal;
use rusqlite::{Connection, OpenFlags};

use super::errors::OpenError;

/// The thread. It is stopped before the connection of the writer is closed, so that the last one to
/// close folds the log into the file.
#[derive(Debug)]
pub(super) struct Checkpoints(JoinHandle<()>);

impl Checkpoints {
    /// Starts the thread for the log that `writer` writes.
    pub(super) fn start(path: &Path, writer: &mut Connection) -> Result<Self, OpenError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        let (signal, signals) = sync_channel(1);
        let mut log = Log::default();
        writer.wal_hook(Some(move |wal: &mut Wal, pages| {
            log.committed(wal, pages, &signal);
            Ok(())
        }))?;
        let thread = std::thread::Builder::new()
            .name("fourfold-checkpoints".to_owned())
            .spawn(move || run(&connection, &signals))?;
        Ok(Self(thread))
    }

    /// Ends the thread, and waits for that.
    pub(super) fn stop(self, writer: &mut Connection) {
        // Removing the hook drops the other end of the channel.
        let unhooked = writer.wal_hook(None::<fn(&mut Wal, c_int) -> rusqlite::Result<()>>);
        if let Err(error) = unhooked {
            tracing::error!(%error, "the WAL hook could not be removed");
            return;
        }
        if self.0.join().is_err() {
            tracing::error!("the checkpoint thread failed");
        }
    }
}

/// The writer's view of its log.
#[derive(Default)]
struct Log {
    /// Its length in pages when the thread was last notified.
    told: c_int,
}

/// The thread that moves the log into the file.
#[derive(Debug, Eq, PartialEq)]
enum Due {
    Nobody,
    Thread,
    Writer,
}

impl Log {
    fn committed(&mut self, wal: &mut Wal, pages: c_int, signal: &SyncSender<()>) {
        match self.due(pages) {
            Due::Nobody => {}
            // If the thread has not received the last signal yet, that one is enough.
            Due::Thread => drop(signal.try_send(())),
            // It fails while the thread is moving pages; the next commit tries again.
            Due::Writer => note(wal.checkpoint()),
        }
    }

    fn due(&mut self, pages: c_int) -> Due {
        if pages < self.told {
            // The log was started over.
            self.told = 0;
        }
        if pages >= LONG {
            self.told = pages;
            Due::Writer
        } else if pages - self.told >= PART {
            self.told = pages;
            Due::Thread
        } else {
            Due::Nobody
        }
    }
}

fn run(connection: &Connection, signals: &Receiver<()>) {
    while signals.recv().is_ok() {
        // As much as can be moved without waiting for other connections.
        let moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        note(moved);
    }
}

/// Committed data is on the disk, in the log: a failure here loses nothing.
fn note(moved: Result<(), rusqlite::Error>) {
    if let Err(error) = moved {
        tracing::debug!(%error, "the checkpoint failed");
    }
}

/// Pages of the log after which the thread is notified.
const PART: c_int = 1_000;

/// Pages of the log beyond which the writer helps.
const LONG: c_int = 4_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_is_told_of_each_part_and_the_writer_helps_with_a_long_log() {
        let mut log = Log::default();
        let mut due = |pages| log.due(pages);
        assert_eq!(due(PART - 1), Due::Nobody);
        assert_eq!(due(PART), Due::Thread);
        assert_eq!(due(2 * PART - 1), Due::Nobody);
        assert_eq!(due(2 * PART), Due::Thread);
        // The log was started over, by a small commit or by a large one.
        assert_eq!(due(1), Due::Nobody);
        assert_eq!(due(PART), Due::Thread);
        assert_eq!(due(LONG), Due::Writer);
        assert_eq!(due(LONG + 1), Due::Writer);
        assert_eq!(due(PART + 1), Due::Thread);
    }

    #[test]
    fn the_thread_moves_a_log_that_is_not_long_yet() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut writer = Connection::open(&path).unwrap();
        writer.pragma_update(None, "journal_mode", "WAL").unwrap();
        let checkpoints = Checkpoints::start(&path, &mut writer).unwrap();
        writer.execute("CREATE TABLE t (x BLOB)", []).unwrap();
        let content = vec![b'x'; 5_000_000];
        writer
            .execute("INSERT INTO t VALUES (?1)", [&content])
            .unwrap();
        // There are no more writes, so the writer moves nothing.
        let begun = std::time::Instant::now();
        while std::fs::metadata(&path).unwrap().len() < 5_000_000 {
            assert!(begun.elapsed().as_secs() < 60, "nobody moves it");
            std::thread::yield_now();
        }
        checkpoints.stop(&mut writer);
    }

    #[test]
    fn the_log_stays_short_beside_a_writer_that_never_pauses() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut writer = Connection::open(&path).unwrap();
        writer.pragma_update(None, "journal_mode", "WAL").unwrap();
        let checkpoints = Checkpoints::start(&path, &mut writer).unwrap();
        writer.execute("CREATE TABLE t (x BLOB)", []).unwrap();
        let content = vec![b'x'; 100_000];
        let log = path.with_file_name("file-wal");
        let most = u64::try_from(2 * LONG).unwrap() * 4096;
        for _ in 0..1_000 {
            writer
                .execute("INSERT INTO t VALUES (?1)", [&content])
                .unwrap();
            let length = std::fs::metadata(&log).unwrap().len();
            assert!(length < most, "{length}");
        }
        checkpoints.stop(&mut writer);
        drop(writer);
        // The last connection to close has merged the log into the file.
        assert!(!log.exists());
        let file = Connection::open(&path).unwrap();
        let count: i64 = file
            .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
            .unwrap();
        assert_eq!(count, 1_000);
    }
}
