//! The store on SQLite: one file, one process, one writing thread, reads from memory.
//!
//! The file runs in WAL mode with `synchronous=FULL`: a commit returns after the log is on the disk.
//! Writes commit together (`writer`), and what they wrote is moved into the file beside them
//! (`checkpoints`); reads come from a coherent cache of the users in use
//! (`cache`), which loads from the file beside the writer (`reader`).
//!
//! From the bottom up: `integers` and `errors`; the tables (`schema`); the rows of one user in memory
//! (`state`, `cache`, `unseen`); the transaction (`batch`) and the SQL in it (`rows`); who runs it
//! (`writer`, `reader`, `loads`); and the store itself (`opening`, `store`) with its five traits
//! (`operations`, `keys`, `inbox`, `key_backup`, `history`). What every store decides the same way is in
//! [`rules`](crate::store::rules).

mod batch;
mod cache;
mod checkpoints;
mod contents;
mod errors;
#[cfg(test)]
mod faults;
mod history;
mod inbox;
mod integers;
mod key_backup;
mod keys;
mod loads;
mod opening;
mod operations;
mod reader;
mod rows;
mod schema;
mod state;
mod store;
mod unseen;
#[cfg(test)]
pub(crate) mod work;
mod writer;

pub use self::errors::OpenError;
pub use self::opening::{Options, file_in};
pub use self::store::SqliteStore;
