//! The numbers of a user's changes.

use crate::store::Position;

/// How far the stream of a user has come.
#[derive(Clone, Copy, Default)]
pub(in crate::store::sqlite) struct Stream {
    position: Position,
    device_list: Position,
}

impl Stream {
    /// As the row of the user has it.
    pub(in crate::store::sqlite) fn at(position: Position, device_list: Position) -> Self {
        Self {
            position,
            device_list,
        }
    }

    /// The last change.
    pub(in crate::store::sqlite) fn position(self) -> Position {
        self.position
    }

    /// The last change of the devices.
    pub(in crate::store::sqlite) fn device_list(self) -> Position {
        self.device_list
    }

    /// Takes in a change. One that is known already changes nothing.
    pub(super) fn advance(&mut self, position: Position) {
        self.position = self.position.max(position);
    }
}
