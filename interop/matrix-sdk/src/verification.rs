//! A verification with another device of the same user, by comparing emoji.

use matrix_sdk::encryption::verification::SasState;
use matrix_sdk::ruma::events::key::verification::VerificationMethod;
use serde_json::{Value, json};

use crate::command::{Answer, text};
use crate::device::Device;
use crate::patience::until;

impl Device {
    /// Asks a device.
    pub(crate) async fn request_verification(&mut self, command: &Value) -> Answer {
        let device = self.known(text(command, "device")?).await?;
        let methods = vec![VerificationMethod::SasV1];
        self.verifications.request = Some(device.request_verification_with_methods(methods).await?);
        Ok(Value::Null)
    }

    /// Waits until a device asks, and agrees.
    pub(crate) async fn accept_verification(&mut self) -> Answer {
        let mut asked = None;
        let event = until(
            "a device asks for a verification",
            self.synced.clone(),
            async || {
                asked = asked
                    .take()
                    .or_else(|| self.verifications.incoming.try_recv().ok());
                Ok(asked.take())
            },
        )
        .await?;
        let flow = event.content.transaction_id.as_str();
        let request = self
            .client
            .encryption()
            .get_verification_request(&event.sender, flow)
            .await
            .ok_or("the request is unknown")?;
        request
            .accept_with_methods(vec![VerificationMethod::SasV1])
            .await?;
        self.verifications.request = Some(request);
        Ok(json!({ "device": event.content.from_device }))
    }

    /// Begins the comparison; the other device must not.
    pub(crate) async fn start_sas(&self) -> Answer {
        let request = self.verifications.request()?;
        until(
            "the other device is ready",
            self.synced.clone(),
            async || {
                self.verifications.sas()?;
                Ok(request.is_ready().then_some(()))
            },
        )
        .await?;
        request.start_sas().await?.ok_or("nothing was started")?;
        Ok(Value::Null)
    }

    /// What the user compares.
    pub(crate) async fn compare(&self) -> Answer {
        until(
            "there is something to compare",
            self.synced.clone(),
            async || {
                let Some(sas) = self.verifications.sas()? else {
                    return Ok(None);
                };
                match sas.state() {
                    SasState::Started { .. } => sas.accept().await?,
                    SasState::KeysExchanged { emojis, decimals } => {
                        let emoji: Vec<&str> = emojis
                            .iter()
                            .flat_map(|all| &all.emojis)
                            .map(|one| one.symbol)
                            .collect();
                        let decimals = [decimals.0, decimals.1, decimals.2];
                        return Ok(Some(json!({ "emoji": emoji, "decimals": decimals })));
                    }
                    SasState::Cancelled(info) => return Err(info.reason().into()),
                    _ => {}
                }
                Ok(None)
            },
        )
        .await
    }

    /// The user says that it is the same on both sides.
    pub(crate) async fn confirm(&self) -> Answer {
        let sas = self.verifications.sas()?.ok_or("nothing to confirm")?;
        sas.confirm().await?;
        until(
            "both sides have confirmed",
            self.synced.clone(),
            async || {
                if let SasState::Cancelled(info) = sas.state() {
                    return Err(info.reason().into());
                }
                Ok(sas.is_done().then_some(Value::Null))
            },
        )
        .await
    }

    /// The user says that it differs.
    pub(crate) async fn mismatch(&self) -> Answer {
        let sas = self.verifications.sas()?.ok_or("nothing to compare")?;
        sas.mismatch().await?;
        let info = sas.cancel_info().ok_or("it was not cancelled")?;
        Ok(json!({ "code": info.cancel_code().as_str() }))
    }
}
