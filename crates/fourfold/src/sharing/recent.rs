//! Requests of other devices that are settled.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::sharing::RequestId;

/// The newest requests of a kind, bounded.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct Recent {
    requests: VecDeque<(String, RequestId)>,
}

impl Recent {
    const MAX: usize = 1024;

    pub(super) fn contains(&self, device_id: &str, request_id: &RequestId) -> bool {
        self.requests
            .iter()
            .any(|(device, id)| device == device_id && id == request_id)
    }

    pub(super) fn insert(&mut self, device_id: &str, request_id: &RequestId) {
        if self.contains(device_id, request_id) {
            return;
        }
        if self.requests.len() >= Self::MAX {
            self.requests.pop_front();
        }
        self.requests
            .push_back((device_id.to_owned(), request_id.clone()));
    }
}
