//! Decisions that every store must make in the same way: pure functions of the rows.
//!
//! A store reads the rows that a rule asks for, lets the rule decide, and writes what it returns, all
//! in one transaction. So a second store needs queries only. A rule that refuses does so before
//! anything is written.
//!
//! | module | decides |
//! |---|---|
//! | [`account_data`] | the condition of a write, what a user's account data counts |
//! | [`admission`] | whether an inbox takes one more message |
//! | [`backups`] | versions and sums of key backups, which room keys replace others |
//! | [`devices`] | how many devices and filters there may be, what cannot be a device ID |
//! | [`history`] | how much of the history of account data is kept, and for how long |
//! | [`keys`] | revisions, one-time keys, signatures on other users |
//! | [`messages`] | how large a request to devices may be, what an acknowledgement means |
//! | [`secret_requests`] | which requests for secrets leave an inbox |
//! | [`transactions`] | what of a request that comes again is still to be delivered |
//! | [`wakes`] | which writes wake the watchers of a user |

pub mod account_data;
pub mod admission;
pub mod backups;
pub mod devices;
pub mod history;
pub mod keys;
pub mod messages;
pub mod secret_requests;
pub mod transactions;
pub mod wakes;
