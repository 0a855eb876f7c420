//! The local state of an account, which an agent that has it lends.

use std::path::Path;
use std::time::{Duration, Instant};

use fourfold_client::{LocalState, LocalStateError};

use crate::agent::{Agent, Loan};
use crate::error::{Exit, Result};
use crate::options::Global;
use crate::state;

/// Opens the local state of `--account`, or of the only account there is. An agent that has it lends
/// it.
pub(crate) fn open(global: &Global) -> Result<(LocalState, Option<Loan>)> {
    let folder = state::folder(global)?;
    let user_id = state::user_id(global, &folder)?;
    state_of(&folder, &user_id)?.ok_or_else(state::not_logged_in)
}

/// The local state of the user of a snapshot, if this machine has one.
pub(crate) fn of_user(
    global: &Global,
    user_id: &str,
) -> Result<Option<(LocalState, Option<Loan>)>> {
    match state::folder(global) {
        Ok(folder) if LocalState::file_of(&folder, user_id).is_ok() => state_of(&folder, user_id),
        _ => Ok(None),
    }
}

/// Opens the local state of an account; `None` when this machine has none.
fn state_of(folder: &Path, user_id: &str) -> Result<Option<(LocalState, Option<Loan>)>> {
    let deadline = Instant::now() + LOCK_TIMEOUT;
    let (mut loan, mut failed) = (None, None);
    loop {
        match LocalState::open(folder, user_id) {
            Err(LocalStateError::NoState { .. }) => return Ok(None),
            Err(LocalStateError::Locked { .. }) if Instant::now() < deadline => {
                if loan.is_none() {
                    match Agent::at(folder, user_id).and_then(borrow) {
                        Ok(lent) => loan = lent,
                        // One that ends hangs up, and leaves the state.
                        Err(error) if error.exit == Exit::Network => failed = Some(error),
                        Err(error) => return Err(error),
                    }
                }
                if loan.is_none() {
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
            // The agent's error says more than that the lock is taken.
            Err(error @ LocalStateError::Locked { .. }) => {
                return Err(failed.unwrap_or_else(|| error.into()));
            }
            state => return Ok(Some((state?, loan))),
        }
    }
}

fn borrow(agent: Option<Agent>) -> Result<Option<Loan>> {
    agent.map(Agent::borrow_state).transpose()
}

/// The time to wait for another command that uses the same account.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
