//! One action of a plan at a server: read, compare, change, read back.

use fourfold::plan::StepState;

use super::ProgressState;
use crate::{Account, Error, Password, RefusedSignature};

/// What an action is about, and how it is done. Its futures can move between threads, which nobody
/// could tell of an `async fn`.
pub(super) trait Change: Sync {
    /// What is there now, as far as the action is about it.
    type Now: Send;

    fn read(&self, account: &Account) -> impl Future<Output = Result<Self::Now, Error>> + Send;

    fn state(&self, now: &Self::Now) -> StepState;

    /// Does it once. After an error that leaves open whether it arrived, it is read again.
    fn write(
        &self,
        account: &Account,
        now: Self::Now,
        password: Option<&Password>,
    ) -> impl Future<Output = Result<Written, Error>> + Send;
}

/// Makes a change unless it is made, and checks that it is made then.
pub(super) async fn carry_out(
    change: &impl Change,
    account: &Account,
    password: Option<&Password>,
    tell: &mut impl FnMut(ProgressState),
) -> Result<(), Failure> {
    let now = change.read(account).await?;
    match change.state(&now) {
        StepState::Done => {
            tell(ProgressState::Skipped);
            return Ok(());
        }
        StepState::Conflict => return Err(Failure::Conflict),
        StepState::Due => {}
    }
    tell(ProgressState::Writing);
    write_until_certain(change, account, now, password).await?;
    let back = change.read(account).await?;
    if change.state(&back) != StepState::Done {
        return Err(Failure::ReadBack);
    }
    tell(ProgressState::Written);
    Ok(())
}

/// When it is not known whether a write arrived, what is there is read again before the next
/// attempt: what somebody else wrote in between is not overwritten.
async fn write_until_certain<C: Change>(
    change: &C,
    account: &Account,
    mut now: C::Now,
    password: Option<&Password>,
) -> Result<(), Failure> {
    let attempts = account.attempts();
    for attempt in 1..=attempts.max(1) {
        match change.write(account, now, password).await {
            Ok(Written::Done) => return Ok(()),
            Ok(Written::Refused(refused)) => return Err(Failure::Refused(refused)),
            Ok(Written::ChangedMeanwhile) => {}
            Err(error) if error.is_uncertain() && attempt < attempts => {
                account.pause(attempt).await;
            }
            Err(error) => return Err(error.into()),
        }
        now = change.read(account).await?;
        match change.state(&now) {
            StepState::Done => return Ok(()),
            StepState::Due => {}
            StepState::Conflict => break,
        }
    }
    Err(Failure::Conflict)
}

/// What a write came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Written {
    /// Somebody else wrote first; nothing happened.
    ChangedMeanwhile,
    /// It is written.
    Done,
    /// The server did not take a signature.
    Refused(RefusedSignature),
}

/// Why an action was not done.
#[derive(Debug)]
pub(super) enum Failure {
    Conflict,
    ReadBack,
    Refused(RefusedSignature),
    Request(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Request(error)
    }
}
