//! Asking the other devices without an agent: the command stays in sync by itself, as long as it
//! waits.

use std::sync::Arc;
use std::time::Duration;

use fourfold::SecretName;
use fourfold::sharing::Policy;
use fourfold_client::NoSecrets;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::options::Options;
use crate::account::{LoggedIn, own_device};
use crate::agent::{Asker, AuditLog, Context, Delivery, Exchange, Requests, no_device, unanswered};
use crate::error::{Error, Result};
use crate::options::Global;
use crate::state;
use crate::terminal::signals::{self, Stop};

/// Asks and waits. Whatever ends the waiting, the request is taken back unless it was answered.
pub(super) fn ask(
    global: &Global,
    options: &Options,
    name: SecretName,
    from: Option<String>,
) -> Result<Delivery> {
    let limit = options.timeout;
    let mut logged_in = LoggedIn::open(global)?;
    let device = own_device::existing(&mut logged_in, &options.sealing)?;
    let device = device.ok_or_else(no_device)?;
    logged_in.snapshot_for_opening(Some(&name), options.accept)?;
    let folder = state::folder(global)?;
    let context = Context {
        account: logged_in.account.clone(),
        audit: AuditLog::of(&folder, logged_in.account.user_id())?,
        questions: Arc::default(),
        asker: Arc::new(Asker::Nobody),
        in_sync: Arc::default(),
    };
    logged_in.wait(async {
        let stopped = Stop::listen()?.wait();
        signals::hand_over();
        // Others are not answered by a command that has something else to do.
        let mut exchange = Exchange::new(device, NoSecrets::new(), context, Policy::default())?;
        let mut requests = Requests::default();
        exchange.share(Vec::new(), &mut requests).await?;
        let (sender, answer) = oneshot::channel();
        exchange.request(name, from, sender, &mut requests).await?;
        let ended = tokio::select! {
            ended = timeout(limit, wait(&mut exchange, &mut requests, answer)) => {
                ended.unwrap_or_else(|_| Err(unanswered(limit)))
            }
            () = stopped => Err(Error::refused("stopped: the request was cancelled")),
        };
        if ended.is_err() {
            // Best effort: without it, the request ends by itself.
            let _ = timeout(FAREWELL, take_back(&mut exchange, &mut requests)).await;
        }
        exchange.pause_sharing()?;
        ended
    })
}

/// Works until the answer is there.
async fn wait(
    exchange: &mut Exchange<NoSecrets>,
    requests: &mut Requests,
    mut answer: oneshot::Receiver<Result<Delivery>>,
) -> Result<Delivery> {
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => {
                return answer.unwrap_or_else(|_| Err(Error::refused("no answer will come")));
            }
            happened = exchange.next() => exchange.carry_out(happened?, requests).await?,
        }
    }
}

async fn take_back(exchange: &mut Exchange<NoSecrets>, requests: &mut Requests) -> Result<()> {
    if requests.is_empty() {
        return Ok(());
    }
    let id = requests.given_up().await;
    exchange.abort(id, requests).await
}

/// The time to try to tell the other devices that the request is cancelled.
const FAREWELL: Duration = Duration::from_secs(3);
