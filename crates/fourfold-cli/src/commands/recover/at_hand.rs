//! The secrets of an account that can be had without its key: of the agent, of what this machine keeps
//! sealed, of the other devices. Each place is asked for what the ones before it do not have.

use std::collections::BTreeSet;

use fourfold::plan::RecoverError;
use fourfold::{PublishedKeys, Secret, SecretName};
use fourfold_client::escape_untrusted;

use super::options::Options;
use crate::account::{self, KnownHere};
use crate::agent::Agent;
use crate::commands::request;
use crate::error::{Error, Exit, Result};
use crate::options::{Global, ReadOptions};
use crate::terminal::messages;

/// What was found, and what each place had to say.
#[derive(Default)]
pub(super) struct AtHand {
    secrets: Vec<(SecretName, Secret)>,
    /// Why a place had nothing.
    reasons: Vec<String>,
}

impl AtHand {
    /// Looks everywhere, the nearest place first.
    pub(super) fn gather(global: &Global, options: &Options) -> Result<Self> {
        let mut at_hand = Self::default();
        at_hand.of_agent(global, options)?;
        at_hand.of_this_machine(global, options)?;
        at_hand.of_devices(global, options)?;
        Ok(at_hand)
    }

    pub(super) fn secrets(&self) -> &[(SecretName, Secret)] {
        &self.secrets
    }

    pub(super) fn names(&self) -> BTreeSet<&SecretName> {
        self.secrets.iter().map(|(name, _)| name).collect()
    }

    /// Refuses when nothing was found.
    pub(super) fn check_any(&self) -> Result<()> {
        if self.secrets.is_empty() {
            return Err(self.explain(RecoverError::NothingAtHand));
        }
        Ok(())
    }

    /// What can be done when nothing is at hand.
    pub(super) fn explain(&self, error: RecoverError) -> Error {
        for reason in &self.reasons {
            messages::note(reason);
        }
        Error::refused(format!("{error}, so a new key would open nothing")).hint(
            "a device of yours that still works can send them, once this one is verified with it: \
             fourfold device verify DEVICE (fourfold device ls lists them); fourfold doctor says what \
             else is wrong; if every device and the key are lost for good: fourfold setup \
             --reset-identity",
        )
    }

    /// The agent's key opens what it is asked for, and stays there.
    fn of_agent(&mut self, global: &Global, options: &Options) -> Result<()> {
        let Some(mut agent) = Agent::find_if_safe(global)? else {
            return Ok(());
        };
        let Some(key_id) = agent.status()?.key_id else {
            self.reasons
                .push("the agent is locked: it has no key".into());
            return Ok(());
        };
        let _busy = messages::busy("opening the secrets with the key of the agent");
        let (snapshot, _) = agent.snapshot(options.accept)?;
        let mut number = 0;
        for name in snapshot.storage().secrets_under(&key_id) {
            match agent.get(&name, options.accept) {
                Ok(Some((_, secret))) => {
                    number += 1;
                    self.add(name, Secret::new(secret.as_str()));
                }
                Ok(None) => {
                    self.reasons.push("the agent has an old key".into());
                    break;
                }
                Err(error) => {
                    let name = escape_untrusted(name.as_str());
                    self.reasons.push(format!("{name}: {}", error.message));
                }
            }
        }
        if number > 0 {
            messages::say(format_args!("the agent opens {number} of the secrets"));
        }
        Ok(())
    }

    /// What was made here and not stored yet, and what came and was not taken.
    fn of_this_machine(&mut self, global: &Global, options: &Options) -> Result<()> {
        let known = KnownHere::with_session(global, &options.sealing, true);
        let known = match known {
            Ok((_, known)) => known,
            Err(error) => {
                let why = error.message;
                self.reasons.push(format!(
                    "what this machine keeps sealed cannot be read: {why}"
                ));
                return Ok(());
            }
        };
        for (name, secret) in known.secrets {
            if !self.has(&name) {
                messages::say(format_args!(
                    "this machine keeps {}",
                    escape_untrusted(name.as_str())
                ));
                self.add(name, secret);
            }
        }
        Ok(())
    }

    /// The standard secrets that are of use, which other devices may have.
    fn of_devices(&mut self, global: &Global, options: &Options) -> Result<()> {
        let read = ReadOptions::default();
        let (snapshot, _) = account::look(global, &read, options.accept)?;
        let published = snapshot.published_keys();
        for name in SecretName::standard() {
            if self.has(&name) || !is_of_use(&name, &published) {
                continue;
            }
            if name == SecretName::master_key() {
                messages::note(
                    "the master key is not asked for, as devices send it only when they are told to: \
                     it stays under the lost key, and until you have it the identity cannot be \
                     changed (fourfold request m.cross_signing.master --out FILE, then fourfold put \
                     m.cross_signing.master FILE)",
                );
                continue;
            }
            if options.no_request {
                self.reasons.push("the other devices were not asked".into());
                return Ok(());
            }
            let shown = escape_untrusted(name.as_str());
            messages::say(format_args!("asking your other devices for {shown}"));
            let asked = request::Options::new(
                &name,
                options.timeout,
                options.sealing.clone(),
                options.accept,
            );
            match request::fetch(global, &asked) {
                Ok((received, secret)) => {
                    let from = escape_untrusted(&received.device_id);
                    messages::say(format_args!("received from the device {from}"));
                    self.add(name, Secret::new(secret.as_str()));
                }
                // Nobody has it, or nobody answers.
                Err(error) if error.exit == Exit::Refused => {
                    self.reasons.push(format!("{shown}: {}", error.message));
                }
                // No device can be asked for anything.
                Err(error) if matches!(error.exit, Exit::NotVerified | Exit::Usage) => {
                    self.reasons.push(format!(
                        "the other devices cannot be asked: {}",
                        error.message
                    ));
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn has(&self, name: &SecretName) -> bool {
        self.secrets.iter().any(|(known, _)| known == name)
    }

    fn add(&mut self, name: SecretName, secret: Secret) {
        self.secrets.push((name, secret));
    }
}

/// Whether something is published that a standard secret belongs to.
fn is_of_use(name: &SecretName, published: &PublishedKeys) -> bool {
    if *name == SecretName::backup_key() {
        published.backup.is_some()
    } else {
        published
            .identity
            .as_ref()
            .is_some_and(|identity| identity.master_key().is_ok())
    }
}
