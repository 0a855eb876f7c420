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

    /// Those that match, with the others left in their order.
    pub(super) fn take_where(
        &mut self,
        mut is_wanted: impl FnMut(&DeviceEvent) -> bool,
    ) -> Vec<DeviceEvent> {
        let (mut wanted, kept) = (Vec::new(), std::mem::take(&mut self.kept));
        for (position, event) in std::mem::take(&mut self.waiting).into_iter().enumerate() {
            if is_wanted(&event) {
                wanted.push(event);
            } else {
                self.kept += usize::from(position < kept);
                self.waiting.push_back(event);
            }
        }
        wanted
    }

    /// Whether there is something to tell.
    pub(super) fn is_any(&self) -> bool {
        self.is_restored || !self.waiting.is_empty()
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
