//! Verifying another device of the user by comparing emoji.

use std::io::BufRead as _;
use std::time::{Duration, Instant};

use fourfold::cross_signing::ConfirmedDevice;
use fourfold::identity::{DeviceTrust, PinnedBy};
use fourfold::signed_json::PublicKey;
use fourfold_client::{
    Device, DeviceEvent, NoSecrets, ShortString, VerificationEvent, escape_untrusted,
};
use serde_json::json;

use super::options::Options;
use crate::account::{LoggedIn, own_device};
use crate::commands::device::private_keys;
use crate::error::{Error, Exit, Result};
use crate::options::Global;
use crate::terminal::{messages, output, prompt, shown};

/// Asks a device, or waits until one asks, and goes through with it.
pub(super) fn run(global: &Global, options: &Options) -> Result<()> {
    let mut logged_in = LoggedIn::open(global)?;
    own_device::forget_signature(&mut logged_in)?;
    let published = own_device::published(&logged_in)?;
    let mut device = own_device::ready(&mut logged_in, &options.sealing, &published)?;
    own_device::refresh(&logged_in, &mut device)?;
    let mut verification = match &options.device_id {
        Some(id) => {
            messages::say("accept the request on the other device");
            Some(device.verify(Some(&[id]))?)
        }
        None => {
            messages::say("waiting until another device of yours asks to be verified");
            None
        }
    };
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let mut nothing = NoSecrets::new();
        logged_in.wait(device.flush(&logged_in.account, &mut nothing))?;
        let pending = device.sync_once(&logged_in.account, SYNC, &mut nothing);
        for event in logged_in.wait(pending)? {
            let DeviceEvent::Verification { id, event } = event else {
                continue;
            };
            let is_ours = verification.as_ref() == Some(&id);
            match event {
                VerificationEvent::Requested { device_id } if verification.is_none() => {
                    let shown = escape_untrusted(&device_id);
                    let question = format!(
                        "The device {shown} asks to be verified. Continue? \
                         [y/N]"
                    );
                    if ask(global, json!({"requested_by": device_id}), &question)? {
                        device.agree_to_verify(&id)?;
                        verification = Some(id);
                    } else {
                        device.cancel_verification(&id)?;
                    }
                }
                VerificationEvent::Compare(string) if is_ours => {
                    let is_same = compare(global, &string)?;
                    device.compared(&id, is_same)?;
                }
                VerificationEvent::Verified {
                    device_id,
                    ed25519,
                    master_key,
                } if is_ours => {
                    // The other side waits for the last word.
                    logged_in.wait(device.flush(&logged_in.account, &mut nothing))?;
                    let verified = Verified {
                        device_id,
                        ed25519,
                        master_key,
                    };
                    return verified.keep(global, &mut logged_in, device, options);
                }
                VerificationEvent::Cancelled { code, by_us } if is_ours => {
                    let who = if by_us {
                        "cancelled on this device"
                    } else {
                        "cancelled by the other device"
                    };
                    return Err(Error::new(
                        Exit::NotVerified,
                        format!(
                            "nothing was verified: {who} ({})",
                            escape_untrusted(code.code())
                        ),
                    ));
                }
                _ => {}
            }
        }
        if Instant::now() > deadline {
            return Err(Error::new(
                Exit::NotVerified,
                "nothing was verified: the other device did not answer in time",
            ));
        }
    }
}

/// The timeout of the whole verification, as in the specification.
const TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// The time of one long poll.
const SYNC: Duration = Duration::from_secs(10);

/// The result.
struct Verified {
    device_id: String,
    ed25519: PublicKey,
    master_key: Option<PublicKey>,
}

impl Verified {
    /// Remembers it, and signs the other device where that is possible and needed.
    fn keep(
        self,
        global: &Global,
        logged_in: &mut LoggedIn,
        mut device: Device,
        options: &Options,
    ) -> Result<()> {
        if let Some(master_key) = self.master_key {
            if let Err(other) = device.trust().check_same(master_key) {
                messages::warn(format_args!(
                    "the identity that the other device vouches for, with the master key {}, \
                     replaces the one that this machine knew, {}",
                    other.master, other.pinned
                ));
            }
            // The user compared: this is what it takes.
            device.replace_pin(master_key, PinnedBy::Verified)?;
        }
        device.confirm(&self.device_id, self.ed25519)?;
        let needs_signature = device.trust().verdict(&self.device_id) == DeviceTrust::NotSigned;
        let is_signed = needs_signature && options.unlock.input.is_given();
        if is_signed {
            self.sign(logged_in, options)?;
        }
        if global.json {
            let verified = json!({
                "verified": self.device_id,
                "pinned_master_key": self.master_key.map(|key| key.to_base64()),
                "is_device_signed": is_signed,
            });
            return output::json_line(&verified).map(drop);
        }
        let id = escape_untrusted(&self.device_id);
        messages::say(format_args!("the device {id} is verified"));
        if needs_signature && !is_signed {
            messages::say(format_args!(
                "so that your other devices trust it too: fourfold device sign {id} --fingerprint \
                 \"{}\"",
                shown::fingerprint(&self.ed25519.to_base64())
            ));
        }
        Ok(())
    }

    fn sign(&self, logged_in: &mut LoggedIn, options: &Options) -> Result<()> {
        let snapshot = logged_in.snapshot_for_change(options.accept)?;
        let published = own_device::published(logged_in)?;
        let confirmed =
            ConfirmedDevice::with_fingerprint(&published, &self.device_id, &self.ed25519)?;
        let key = private_keys::self_signing_key(&snapshot, &published, &options.unlock)?;
        own_device::sign(logged_in, &snapshot, &confirmed, &key, &published)?;
        Ok(())
    }
}

fn compare(global: &Global, string: &ShortString) -> Result<bool> {
    let emoji = string.emoji.map(|emoji| (emoji.symbol, emoji.name));
    if !global.json {
        messages::say_lines("\nBoth devices must show the same:\n\n");
        for (symbol, name) in emoji {
            messages::say(format_args!("    {symbol}  {name}"));
        }
        let [first, second, third] = string.decimals;
        messages::say_lines(&format!("\nor the numbers {first} {second} {third}\n\n"));
    }
    let shown: Vec<_> = emoji
        .iter()
        .map(|(symbol, name)| json!({"symbol": symbol, "name": name}))
        .collect();
    let data = json!({"emoji": shown, "decimals": string.decimals});
    ask(global, data, "Do they match? [y/N]")
}

/// Asks the person at the terminal; or, with `--json`, the program that reads and writes.
fn ask(global: &Global, data: serde_json::Value, question: &str) -> Result<bool> {
    let answer = if global.json {
        output::json_line(&data)?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        answer
    } else {
        prompt::visible(question)?
    };
    Ok(prompt::is_yes(&answer))
}
