//! The Olm sessions with another device: several at a time, one of them to send with.

use serde::{Deserialize, Serialize};
use vodozemac::olm::{OlmMessage, Session, SessionPickle};

use super::peer::{Peer, PeerNotes};
use crate::device::error::DeviceError;
use crate::local_state::{SealedRows, Table};

/// The sessions with one device, the one that was used last first.
pub(crate) struct Sessions(Vec<Held>);

/// A session and what the ratchet itself does not tell.
pub(crate) struct Held {
    pub(crate) session: Session,
    notes: SessionNotes,
}

#[derive(Clone, Default, Deserialize, Serialize)]
struct SessionNotes {
    /// Grows with every message that is received and with every session that is made.
    order: u64,
    /// The run of this program in which something was encrypted since the other side last turned
    /// the ratchet. `None`: the next message is encrypted under a new random key.
    sent_in: Option<u64>,
    /// The ratchet keys of the other side, the newest last.
    ratchet_keys: Vec<String>,
}

#[derive(Deserialize)]
struct Row {
    session: SessionPickle,
    notes: SessionNotes,
}

#[derive(Serialize)]
struct RowToSave<'a> {
    session: SessionPickle,
    notes: &'a SessionNotes,
}

impl Sessions {
    pub(crate) fn load(rows: &SealedRows, peer: &Peer) -> Result<Self, DeviceError> {
        let mut sessions = Vec::new();
        for name in rows.names(Table::Session, &format!("{} ", peer.name()))? {
            let row: Row = rows
                .get(Table::Session, &name)?
                .ok_or(DeviceError::Damaged)?;
            sessions.push(Held {
                session: Session::from_pickle(row.session),
                notes: row.notes,
            });
        }
        sessions.sort_by_key(|held| std::cmp::Reverse(held.notes.order));
        Ok(Self(sessions))
    }

    pub(crate) fn all(&mut self) -> impl Iterator<Item = &mut Held> {
        self.0.iter_mut()
    }

    /// The session to send with, if one can be used without risk.
    ///
    /// A sending chain that an earlier run of the program wrote with is not continued before the
    /// other side has turned the ratchet: if the files of that run were put back by a backup, the
    /// next message key has been used already, and two messages under one key tell what they say.
    /// A new session costs a one-time key and nothing else.
    pub(crate) fn for_sending(&mut self, run: u64) -> Option<&mut Held> {
        self.0
            .iter_mut()
            .find(|held| held.notes.sent_in.is_none_or(|sent_in| sent_in == run))
    }

    /// Takes in a new session, and gives up the one that was longest unused when there are too many.
    pub(crate) fn add(
        &mut self,
        rows: &mut SealedRows,
        peer: &Peer,
        session: Session,
        first_received: Option<&OlmMessage>,
    ) -> Result<(), DeviceError> {
        let held = Held {
            session,
            notes: SessionNotes {
                order: self.next_order(),
                sent_in: None,
                ratchet_keys: first_received.map(ratchet_key).into_iter().collect(),
            },
        };
        held.save(rows, peer)?;
        self.0.insert(0, held);
        while self.0.len() > MAX_SESSIONS
            && let Some(held) = self.0.pop()
        {
            rows.delete(Table::Session, &held.name(peer));
            let mut notes = PeerNotes::load(rows, peer)?;
            notes.forget_session(held.session.session_id());
            notes.save(rows, peer)?;
        }
        Ok(())
    }

    pub(crate) fn next_order(&self) -> u64 {
        let newest = self.0.first().map_or(0, |held| held.notes.order);
        newest.saturating_add(1)
    }
}

impl Held {
    /// Notes that a message was received, so that this session comes first from now on.
    pub(crate) fn received(&mut self, message: &OlmMessage, order: u64) {
        self.notes.order = order;
        let key = ratchet_key(message);
        if !self.notes.ratchet_keys.contains(&key) {
            self.notes.ratchet_keys.push(key);
            let surplus = self
                .notes
                .ratchet_keys
                .len()
                .saturating_sub(MAX_RATCHET_KEYS);
            self.notes.ratchet_keys.drain(..surplus);
            self.notes.sent_in = None;
        }
    }

    /// Notes that a message was encrypted.
    pub(crate) fn sent(&mut self, run: u64) {
        self.notes.sent_in = Some(run);
    }

    pub(crate) fn save(&self, rows: &mut SealedRows, peer: &Peer) -> Result<(), DeviceError> {
        let row = RowToSave {
            session: self.session.pickle(),
            notes: &self.notes,
        };
        Ok(rows.put(Table::Session, &self.name(peer), &row)?)
    }

    fn name(&self, peer: &Peer) -> String {
        format!("{} {}", peer.name(), self.session.session_id())
    }
}

/// The maximum number of sessions with one device.
const MAX_SESSIONS: usize = 8;

/// More than the chains that a session keeps: a key that is not among these is new.
const MAX_RATCHET_KEYS: usize = 16;

fn ratchet_key(message: &OlmMessage) -> String {
    let message = match message {
        OlmMessage::Normal(message) => message,
        OlmMessage::PreKey(message) => message.message(),
    };
    message.ratchet_key().to_base64()
}
