//! One verification between this device and another one of the user.

use std::collections::VecDeque;

use fourfold::Content;
use fourfold::signed_json::PublicKey;
use vodozemac::Curve25519PublicKey;
use vodozemac::sas::Sas;

use super::keys::{OtherSide, OwnSide};
use super::sas::{Agreed, commitment};
use super::{CancelCode, ShortString, content};

/// A verification, without I/O: messages and decisions go in, with the time as an argument; what to
/// do comes out of [`poll`](Self::poll).
#[derive(Debug)]
pub(crate) struct Verification {
    transaction_id: String,
    own: OwnSide,
    /// Whom it may be with; one as soon as somebody answered.
    others: Vec<OtherSide>,
    state: State,
    /// In milliseconds, as every time here.
    begun: u64,
    /// The received messages, so that a replay is not taken for a mistake of the other device.
    seen: Vec<(String, String)>,
    outputs: VecDeque<Output>,
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Output {
    /// Send an event to these devices.
    Send {
        to: Vec<String>,
        event_type: &'static str,
        content: Content,
    },
    /// Both sides agreed to verify.
    Ready { device_id: String },
    /// Show this to the user, who compares.
    Compare(ShortString),
    /// Done: these keys are the ones that the user compared.
    Verified {
        device_id: String,
        ed25519: PublicKey,
        master_key: Option<PublicKey>,
    },
    /// It is over without success.
    Cancelled { code: CancelCode, by_us: bool },
}

enum State {
    /// This side asked; nobody answered.
    Requested,
    /// The other side asked; the user did not answer.
    Asked,
    /// Either side may start.
    Ready,
    /// This side sent the start event.
    Started { sas: Sas, start: Content },
    /// The other side started, and this one committed itself to its key.
    Accepted { sas: Sas },
    /// This side started and sent its key; the other one committed itself.
    KeySent {
        sas: Sas,
        start: Content,
        commitment: String,
    },
    /// Both show the same, or somebody is in between.
    Comparing {
        agreed: Agreed,
        is_confirmed: bool,
        macs: Option<(Content, String)>,
    },
    /// Verified or cancelled.
    Over,
}

impl Verification {
    /// Asks other devices. The first one that answers takes part.
    pub(crate) fn request(
        transaction_id: String,
        own: OwnSide,
        others: Vec<OtherSide>,
        now: u64,
        timestamp: u64,
    ) -> Self {
        let mut verification = Self::new(transaction_id, own, others, State::Requested, now);
        let content = content::request(
            &verification.transaction_id,
            &verification.own.device_id,
            timestamp,
        );
        verification.send("m.key.verification.request", content);
        verification
    }

    /// Is asked by another device. Nothing is sent before the user agrees.
    pub(crate) fn asked(transaction_id: String, own: OwnSide, other: OtherSide, now: u64) -> Self {
        Self::new(transaction_id, own, vec![other], State::Asked, now)
    }

    /// The next output; `None` if there is none for now.
    pub(crate) fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns `true` if it is over, one way or the other.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// The user agrees to a request of another device.
    pub(crate) fn agree(&mut self) {
        if matches!(self.state, State::Asked) {
            self.state = State::Ready;
            let content = content::ready(&self.transaction_id, &self.own.device_id);
            self.send("m.key.verification.ready", content);
        }
    }

    /// Starts to compare, when both sides are ready and the other one did not start.
    pub(crate) fn start(&mut self) {
        if matches!(self.state, State::Ready) {
            let start = content::start(&self.transaction_id, &self.own.device_id);
            self.send("m.key.verification.start", start.clone());
            self.state = State::Started {
                sas: Sas::new(),
                start,
            };
        }
    }

    /// The user compared.
    pub(crate) fn compared(&mut self, is_same: bool) {
        let macs = match (&mut self.state, self.others.first()) {
            (
                State::Comparing {
                    agreed,
                    is_confirmed,
                    ..
                },
                Some(other),
            ) if !*is_confirmed && is_same => {
                *is_confirmed = true;
                agreed.macs(&self.own, other)
            }
            (State::Comparing { is_confirmed, .. }, _) if !*is_confirmed => {
                return self.cancel(CancelCode::MismatchedSas);
            }
            _ => return,
        };
        let (mac, keys) = macs;
        let mut content = content::about(&self.transaction_id);
        content.insert("mac", &mac);
        content.insert("keys", &keys);
        self.send("m.key.verification.mac", content);
        self.finish();
    }

    /// Gives it up, and tells the other side why.
    pub(crate) fn cancel(&mut self, code: CancelCode) {
        if self.is_over() {
            return;
        }
        let content = content::cancel(&self.transaction_id, &code);
        self.send("m.key.verification.cancel", content);
        self.state = State::Over;
        self.outputs
            .push_back(Output::Cancelled { code, by_us: true });
    }

    /// Time passed: after ten minutes it is over.
    pub(crate) fn tick(&mut self, now: u64) {
        if now.saturating_sub(self.begun) >= TIMEOUT {
            self.cancel(CancelCode::Timeout);
        }
    }

    /// Another device of the user says something in this verification.
    pub(crate) fn receive(&mut self, event_type: &str, content: &Content) {
        let seen = (event_type.to_owned(), content.to_json());
        if self.is_over() || self.seen.contains(&seen) {
            return;
        }
        // A verification has fewer messages than this.
        if self.seen.len() < 16 {
            self.seen.push(seen);
        }
        if let Err(code) = self.take(event_type, content) {
            self.cancel(code);
        }
    }

    fn new(
        transaction_id: String,
        own: OwnSide,
        others: Vec<OtherSide>,
        state: State,
        now: u64,
    ) -> Self {
        Self {
            transaction_id,
            own,
            others,
            state,
            begun: now,
            seen: Vec::new(),
            outputs: VecDeque::new(),
        }
    }

    fn take(&mut self, event_type: &str, content: &Content) -> Result<(), CancelCode> {
        match event_type {
            "m.key.verification.ready" => self.take_ready(content),
            "m.key.verification.start" => self.take_start(content),
            "m.key.verification.accept" => self.take_accept(content),
            "m.key.verification.key" => self.take_key(content),
            "m.key.verification.mac" => self.take_mac(content),
            "m.key.verification.cancel" => {
                let code = content::text(content, "code").unwrap_or_default();
                self.state = State::Over;
                self.outputs.push_back(Output::Cancelled {
                    code: CancelCode::read(&code),
                    by_us: false,
                });
                Ok(())
            }
            // The other side is done before this one: it does not know yet, and will.
            _ => Ok(()),
        }
    }

    fn take_ready(&mut self, ready: &Content) -> Result<(), CancelCode> {
        let from_device = content::text(ready, "from_device")?;
        let Some(index) = self
            .others
            .iter()
            .position(|other| other.device_id == from_device)
        else {
            // Not asked, or slower than another one, and told so.
            return Ok(());
        };
        if !matches!(self.state, State::Requested) {
            return Err(CancelCode::UnexpectedMessage);
        }
        let other = self.others.swap_remove(index);
        if !self.others.is_empty() {
            let taken = content::cancel(&self.transaction_id, &CancelCode::Accepted);
            self.send("m.key.verification.cancel", taken);
        }
        self.others = vec![other];
        let methods = content::list(ready, "methods")?;
        if !methods.iter().any(|method| method == content::SAS) {
            return Err(CancelCode::UnknownMethod);
        }
        self.state = State::Ready;
        self.outputs.push_back(Output::Ready {
            device_id: from_device,
        });
        Ok(())
    }

    fn take_start(&mut self, start: &Content) -> Result<(), CancelCode> {
        let from_device = content::text(start, "from_device")?;
        let is_ours_first = match self.state {
            State::Ready => false,
            // Both started: the event of the device with the smaller ID counts.
            State::Started { .. } => self.own.device_id < from_device,
            _ => return Err(CancelCode::UnexpectedMessage),
        };
        if !matches!(self.others.as_slice(), [other] if other.device_id == from_device) {
            return Err(CancelCode::KeyMismatch);
        }
        if content::text(start, "method")? != content::SAS {
            return Err(CancelCode::UnknownMethod);
        }
        if is_ours_first {
            return Ok(());
        }
        content::check_start(start)?;
        let sas = Sas::new();
        let commitment =
            commitment(&sas.public_key().to_base64(), start).ok_or(CancelCode::InvalidMessage)?;
        let accept = content::accept(&self.transaction_id, &commitment, start);
        self.send("m.key.verification.accept", accept);
        self.state = State::Accepted { sas };
        Ok(())
    }

    fn take_accept(&mut self, accept: &Content) -> Result<(), CancelCode> {
        match std::mem::replace(&mut self.state, State::Ready) {
            State::Started { sas, start } => {
                let commitment = content::check_accept(accept)?;
                self.send_key(&sas);
                self.state = State::KeySent {
                    sas,
                    start,
                    commitment,
                };
                Ok(())
            }
            state => {
                self.state = state;
                Err(CancelCode::UnexpectedMessage)
            }
        }
    }

    fn take_key(&mut self, content: &Content) -> Result<(), CancelCode> {
        let text = content::text(content, "key")?;
        let key =
            Curve25519PublicKey::from_base64(&text).map_err(|_| CancelCode::InvalidMessage)?;
        let (sas, started) = match std::mem::replace(&mut self.state, State::Ready) {
            State::Accepted { sas } => {
                self.send_key(&sas);
                (sas, false)
            }
            State::KeySent {
                sas,
                start,
                commitment: committed,
            } => {
                if commitment(&text, &start).as_deref() != Some(committed.trim_end_matches('=')) {
                    return Err(CancelCode::MismatchedCommitment);
                }
                (sas, true)
            }
            state => {
                self.state = state;
                return Err(CancelCode::UnexpectedMessage);
            }
        };
        let other = self.others.first().ok_or(CancelCode::InvalidMessage)?;
        let sas = sas
            .diffie_hellman(key)
            .map_err(|_| CancelCode::InvalidMessage)?;
        let agreed = Agreed::new(sas, started, &self.transaction_id);
        let short_string = agreed.short_string(&self.own, other);
        self.outputs.push_back(Output::Compare(short_string));
        self.state = State::Comparing {
            agreed,
            is_confirmed: false,
            macs: None,
        };
        Ok(())
    }

    fn take_mac(&mut self, content: &Content) -> Result<(), CancelCode> {
        let State::Comparing { macs, .. } = &mut self.state else {
            return Err(CancelCode::UnexpectedMessage);
        };
        if macs.is_some() {
            return Err(CancelCode::UnexpectedMessage);
        }
        let mac = content
            .object("mac")
            .and_then(Result::ok)
            .ok_or(CancelCode::InvalidMessage)?;
        let keys = content::text(content, "keys")?;
        // Checked when the user has compared: before that it proves nothing.
        *macs = Some((mac, keys));
        self.finish();
        Ok(())
    }

    /// Checks what the other side vouches for, when both sides have confirmed.
    fn finish(&mut self) {
        let (
            State::Comparing {
                agreed,
                is_confirmed: true,
                macs: Some((macs, keys)),
            },
            Some(other),
        ) = (&self.state, self.others.first())
        else {
            return;
        };
        match agreed.check_macs(&self.own, other, macs, keys) {
            Err(code) => self.cancel(code),
            Ok(master_key) => {
                let verified = Output::Verified {
                    device_id: other.device_id.clone(),
                    ed25519: other.ed25519,
                    master_key,
                };
                self.send(
                    "m.key.verification.done",
                    content::about(&self.transaction_id),
                );
                self.state = State::Over;
                self.outputs.push_back(verified);
            }
        }
    }

    fn send_key(&mut self, sas: &Sas) {
        let mut content = content::about(&self.transaction_id);
        content.insert("key", &sas.public_key().to_base64());
        self.send("m.key.verification.key", content);
    }

    fn send(&mut self, event_type: &'static str, content: Content) {
        let to = self.others.iter().map(|other| other.device_id.clone());
        self.outputs.push_back(Output::Send {
            to: to.collect(),
            event_type,
            content,
        });
    }
}

/// The timeout of a verification: ten minutes.
const TIMEOUT: u64 = 10 * 60 * 1000;

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Requested => "Requested",
            Self::Asked => "Asked",
            Self::Ready => "Ready",
            Self::Started { .. } => "Started",
            Self::Accepted { .. } => "Accepted",
            Self::KeySent { .. } => "KeySent",
            Self::Comparing { .. } => "Comparing",
            Self::Over => "Over",
        })
    }
}
