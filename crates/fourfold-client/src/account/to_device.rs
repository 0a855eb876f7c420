//! Sending to-device events.

use tracing::instrument;

use super::Account;
use crate::error::Error;
use crate::path::Path;
use crate::transport::Request;

impl Account {
    /// Sends an event to devices: `body` is the whole body, `{"messages": {user: {device: content}}}`.
    /// The same transaction twice is the same as once, also much later.
    #[instrument(level = "debug", skip_all, fields(user = self.user_id(), event_type))]
    pub(crate) async fn send_to_device(
        &self,
        event_type: &str,
        transaction_id: &str,
        body: String,
    ) -> Result<(), Error> {
        let path = Path::fixed("/_matrix/client/v3/sendToDevice")
            .segment(event_type)
            .and_then(|path| path.segment(transaction_id))
            .map_err(|error| error.at(self.homeserver.base_url()))?;
        let request = self.signed(Request::put(path, body));
        let answer = self.homeserver.transport.send(&request).await?;
        if answer.is_success() {
            Ok(())
        } else {
            Err(answer.into_error("/sendToDevice"))
        }
    }
}
