//! The verifications that are going on.

use std::collections::BTreeMap;

use fourfold::Content;

use super::keys::{OtherSide, OwnSide};
use super::process::{Output, Verification};
use super::{CancelCode, content};

/// All verifications of this device, by transaction ID.
#[derive(Debug, Default)]
pub(crate) struct Verifications(BTreeMap<String, Verification>);

/// The maximum number of verifications at a time.
const MAX_VERIFICATIONS: usize = 8;

/// The oldest request that is looked at, and how far the clocks may be apart, in milliseconds.
const MAX_AGE: u64 = 10 * 60 * 1000;
const MAX_CLOCK_LEAD: u64 = 5 * 60 * 1000;

impl Verifications {
    /// Asks other devices. `None` when there are too many verifications already.
    pub(crate) fn request(
        &mut self,
        transaction_id: String,
        own: OwnSide,
        others: Vec<OtherSide>,
        now: u64,
        timestamp: u64,
    ) -> Option<()> {
        if self.0.len() >= MAX_VERIFICATIONS {
            return None;
        }
        let verification =
            Verification::request(transaction_id.clone(), own, others, now, timestamp);
        self.0.insert(transaction_id, verification);
        Some(())
    }

    /// A device of the user sent `m.key.verification.*`. `keys` gives the sides of a verification
    /// with a device, if it may be verified. Gives back the transaction ID and the device of a
    /// request that is for the user to answer.
    pub(crate) fn receive(
        &mut self,
        event_type: &str,
        content: &Content,
        keys: impl FnOnce(&str) -> Option<(OwnSide, OtherSide)>,
        now: u64,
        wall_clock: u64,
    ) -> Option<(String, String)> {
        let transaction_id = content::text(content, "transaction_id").ok()?;
        if event_type != "m.key.verification.request" {
            if let Some(verification) = self.0.get_mut(&transaction_id) {
                verification.receive(event_type, content);
            }
            return None;
        }
        let timestamp: u64 = content.get("timestamp")?.ok()?;
        let is_recent = timestamp <= wall_clock.saturating_add(MAX_CLOCK_LEAD)
            && timestamp >= wall_clock.saturating_sub(MAX_AGE);
        let has_room = self.0.len() < MAX_VERIFICATIONS && transaction_id.len() <= 255;
        if !is_recent || !has_room || self.0.contains_key(&transaction_id) {
            return None;
        }
        let from_device = content::text(content, "from_device").ok()?;
        let (own, other) = keys(&from_device)?;
        let mut verification = Verification::asked(transaction_id.clone(), own, other, now);
        let methods = content::list(content, "methods").unwrap_or_default();
        if !methods.iter().any(|method| method == content::SAS) {
            verification.cancel(CancelCode::UnknownMethod);
        }
        let is_over = verification.is_over();
        self.0.insert(transaction_id.clone(), verification);
        (!is_over).then_some((transaction_id, from_device))
    }

    /// A verification that is going on.
    pub(crate) fn get_mut(&mut self, transaction_id: &str) -> Option<&mut Verification> {
        self.0.get_mut(transaction_id)
    }

    /// Time passed.
    pub(crate) fn tick(&mut self, now: u64) {
        for verification in self.0.values_mut() {
            verification.tick(now);
        }
    }

    /// The next output, and the verification that it belongs to.
    pub(crate) fn poll(&mut self) -> Option<(String, Output)> {
        for (transaction_id, verification) in &mut self.0 {
            if let Some(output) = verification.poll() {
                return Some((transaction_id.clone(), output));
            }
        }
        self.0.retain(|_, verification| !verification.is_over());
        None
    }
}
