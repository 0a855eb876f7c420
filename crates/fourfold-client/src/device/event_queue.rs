//! What happened and nobody was told yet.

use std::collections::VecDeque;

use super::event::DeviceEvent;

/// The events that wait to be told, in order.
#[derive(Debug, Default)]
pub(super) struct EventQueue {
    waiting: VecDeque<DeviceEvent>,
    /// How many of them tell about something that is kept.
    kept: usize,
    /// Whether the files turned out to be an older copy, and nobody was told yet. Stays after an
    /// error: it was done.
    is_restored: bool,
}

impl EventQueue {
    pub(super) fn push(&mut self, event: DeviceEvent) {
        self.waiting.push_back(event);
    }

    pub(super) fn note_restored(&mut self) {
        self.is_restored = true;
    }

    /// What they tell about is kept.
    pub(super) fn keep(&mut self) {
        self.kept = self.waiting.len();
    }

    /// Takes back those that tell about something that did not happen: they come again with it.
    pub(super) fn take_back(&mut self) {
        self.waiting.truncate(self.kept);
    }

    /// Everything, and that the files were an older copy.
    pub(super) fn take_all(&mut self) -> Vec<DeviceEvent> {
        if std::mem::take(&mut self.is_restored) {
            self.push(DeviceEvent::Restored);
        }
        self.take()
    }

    /// Everything but that.
    pub(super) fn take(&mut self) -> Vec<DeviceEvent> {
        self.kept = 0;
        self.waiting.drain(..).collect()
    }
}
