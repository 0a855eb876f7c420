//! What this machine knows of an account by itself: what it remembers of the account data, whom it
//! trusts, and which secrets it keeps sealed.

use fourfold::history::History;
use fourfold::identity::Trust;
use fourfold::{Secret, SecretName};
use fourfold_client::{Device, LocalState, Session};

use crate::account::local_state;
use crate::error::{Error, Result};
use crate::keys::sealing_key::{self, SealingOptions, Unsealed};
use crate::options::Global;
use crate::state;
use crate::terminal::messages;

/// What this machine knows of an account by itself. Nothing of it is changed.
#[derive(Default)]
pub(crate) struct KnownHere {
    /// `None` when this machine never looked at the account.
    pub(crate) history: Option<History>,
    pub(crate) trust: Option<Trust>,
    /// Secrets that were made here or came from another device, and are kept sealed.
    pub(crate) secrets: Vec<(SecretName, Secret)>,
}

impl KnownHere {
    /// Of the account of `--account`, or the only one there is; with the session.
    pub(crate) fn with_session(
        global: &Global,
        sealing: &SealingOptions,
        wants_secrets: bool,
    ) -> Result<(Session, Self)> {
        let (mut state, _loan) = local_state::open(global)?;
        let session = state.session()?.ok_or_else(state::not_logged_in)?;
        Ok((session, Self::of(&mut state, sealing, wants_secrets)?))
    }

    /// Of the user of a snapshot: nothing when the user has no state here.
    pub(crate) fn of_user(
        global: &Global,
        user_id: &str,
        sealing: &SealingOptions,
        wants_secrets: bool,
    ) -> Result<Self> {
        match local_state::of_user(global, user_id)? {
            Some((mut state, _loan)) => Self::of(&mut state, sealing, wants_secrets),
            None => Ok(Self::default()),
        }
    }

    /// Of the account of a state that is open. What is sealed and does not open is done without,
    /// unless the secrets in it are wanted.
    pub(crate) fn of(
        state: &mut LocalState,
        sealing: &SealingOptions,
        wants_secrets: bool,
    ) -> Result<Self> {
        let history = state.history()?;
        let sealed = match sealed(state, sealing, wants_secrets) {
            Err(error) if !wants_secrets => {
                messages::note(format_args!(
                    "without what this machine keeps sealed: {}",
                    error.message
                ));
                Self::default()
            }
            sealed => sealed?,
        };
        Ok(Self {
            history: history.is_begun().then_some(history),
            ..sealed
        })
    }
}

/// What is kept sealed. Nobody is asked for a passphrase for it, unless the secrets are wanted.
fn sealed(
    state: &mut LocalState,
    options: &SealingOptions,
    wants_secrets: bool,
) -> Result<KnownHere> {
    if !Device::exists(state)? {
        return Ok(KnownHere::default());
    }
    if !wants_secrets && sealing_key::asks(state, options)? {
        return Err(Error::usage(
            "its passphrase was not given with --store-passphrase-file",
        ));
    }
    let sealing = sealing_key::find(state, options)?;
    let remembered = sealing.remembered(state)?;
    let mut known = KnownHere {
        trust: remembered.trust,
        ..KnownHere::default()
    };
    if wants_secrets {
        known.secrets = remembered.unstored;
        if let Unsealed::Device(device, _) = sealing.open(state)? {
            let received = device.received_secrets()?.into_iter();
            let received = received.filter(|secret| !secret.is_conflict);
            known
                .secrets
                .extend(received.map(|secret| (secret.name, secret.secret)));
        }
    }
    Ok(known)
}
