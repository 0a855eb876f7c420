//! Verifying another device of the user by comparing emoji.

use std::time::{Duration, Instant};

use fourfold::cross_signing::ConfirmedDevice;
use fourfold::identity::{DeviceTrust, PinnedBy};
use fourfold::signed_json::PublicKey;
use fourfold_client::{
    CancelCode, Device, DeviceEvent, NoSecrets, ShortString, VerificationEvent, escape_untrusted,
};
use serde_json::json;
use tokio::time::timeout;

use super::options::Options;
use super::question::{About, Question};
use super::worth;
use crate::account::{LoggedIn, own_device};
use crate::commands::device::private_keys;
use crate::error::{Error, Exit, Result};
use crate::options::Global;
use crate::terminal::signals::{self, Stop};
use crate::terminal::{messages, output, prompt, shown};

/// Asks a device, or waits until one asks, and goes through with it.
pub(super) fn run(global: &Global, options: &Options) -> Result<()> {
    let mut logged_in = LoggedIn::open(global)?;
    own_device::forget_signature(&mut logged_in)?;
    let lists = own_device::lists(&logged_in)?;
    let mut device = own_device::ready(&mut logged_in, &options.sealing, &lists.keys)?;
    own_device::refresh(&logged_in, &mut device)?;
    let mut verification = match &options.device_id {
        Some(id) => {
            worth::check_named(&lists, &own_device::id(&logged_in)?, id)?;
            worth::check(&lists.keys, &device, id)?;
            check_terminal(global)?;
            let verification = device.verify(Some(&[id]))?;
            messages::say("accept the request on the other device");
            Some(verification)
        }
        None => {
            check_terminal(global)?;
            messages::say("waiting until another device of yours asks to be verified");
            None
        }
    };
    let deadline = Instant::now() + TIMEOUT;
    // The other side is told when it is given up here.
    let stop = logged_in.wait(async { Stop::listen() })?;
    signals::hand_over();
    let mut stopped = std::pin::pin!(stop.wait());
    let mut question: Option<Question> = None;
    let mut nothing = NoSecrets::new();
    loop {
        logged_in.wait(device.flush(&logged_in.account, &mut nothing))?;
        let answered = match &mut question {
            None => None,
            Some(asked) => logged_in.wait(async {
                tokio::select! {
                    biased;
                    () = stopped.as_mut() => Some(Err(Error::refused(STOPPED))),
                    answer = asked.wait(PATIENCE) => answer,
                }
            }),
        };
        if let Some(answer) = answered {
            let (is_yes, about) = match (answer, question.take()) {
                (Ok(is_yes), Some(question)) => (is_yes, question.about),
                (Err(error), _) => {
                    return give_up(&logged_in, &mut device, verification.as_deref(), error);
                }
                (Ok(_), None) => continue,
            };
            match about {
                About::Comparison(id) => device.compared(&id, is_yes)?,
                About::Request(id) if is_yes => {
                    device.agree_to_verify(&id)?;
                    verification = Some(id);
                }
                About::Request(id) => device.cancel_verification(&id)?,
            }
            continue;
        }
        // While a question stands there, what happens elsewhere ends it.
        let limit = question.as_ref().map_or(SYNC, |_| Duration::ZERO);
        let synced = logged_in.wait(async {
            tokio::select! {
                biased;
                () = stopped.as_mut() => None,
                events = device.sync_once(&logged_in.account, limit, &mut nothing) => Some(events),
            }
        });
        let Some(events) = synced else {
            let stopped = Error::refused(STOPPED);
            return give_up(&logged_in, &mut device, verification.as_deref(), stopped);
        };
        for event in events? {
            let DeviceEvent::Verification { id, event } = event else {
                continue;
            };
            let is_ours = verification.as_ref() == Some(&id);
            match event {
                VerificationEvent::Requested { device_id }
                    if verification.is_none() && question.is_none() =>
                {
                    let published = own_device::published(&logged_in)?;
                    if let Err(error) = worth::check(&published, &device, &device_id) {
                        return give_up(&logged_in, &mut device, Some(&id), error);
                    }
                    let shown = escape_untrusted(&device_id);
                    let text = format!("The device {shown} asks to be verified. Continue? [y/N]");
                    let about = About::Request(id);
                    let data = json!({"requested_by": device_id});
                    question = Some(Question::ask(global, about, &data, text)?);
                }
                VerificationEvent::Compare(string) if is_ours => {
                    question = Some(compare(global, id, &string)?);
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
                    return Err(cancelled(question.is_some(), &code, by_us));
                }
                VerificationEvent::Cancelled { .. }
                    if question.as_ref().is_some_and(|asked| asked.is_about(&id)) =>
                {
                    // It waits for another one.
                    messages::say("");
                    messages::say("the other device cancelled its request");
                    question = None;
                }
                _ => {}
            }
        }
        if Instant::now() > deadline {
            let late = Error::new(
                Exit::NotVerified,
                "nothing was verified: the other device did not answer in time",
            );
            return give_up(&logged_in, &mut device, verification.as_deref(), late);
        }
    }
}

/// Nothing is sent before it is certain that somebody can compare.
fn check_terminal(global: &Global) -> Result<()> {
    if global.json || prompt::is_possible() {
        return Ok(());
    }
    Err(
        Error::usage("there is no terminal to compare emoji on").hint(
            "with --json a program shows them and answers; with a recovery key nothing is \
             compared: fourfold device verify",
        ),
    )
}

/// Tells the other side, as well as that works.
fn give_up(
    logged_in: &LoggedIn,
    device: &mut Device,
    verification: Option<&str>,
    error: Error,
) -> Result<()> {
    if let Some(id) = verification {
        device.cancel_verification(id)?;
        let mut nothing = NoSecrets::new();
        let told = device.flush(&logged_in.account, &mut nothing);
        let _ = logged_in.wait(async { timeout(FAREWELL, told).await });
    }
    Err(error)
}

fn cancelled(is_asking: bool, code: &CancelCode, by_us: bool) -> Error {
    if is_asking {
        // The question stands there still.
        messages::say("");
    }
    let who = if by_us {
        "cancelled on this device"
    } else {
        "cancelled by the other device"
    };
    let known = escape_untrusted(code.code());
    Error::new(
        Exit::NotVerified,
        format!("nothing was verified: {who}: {code} ({known})"),
    )
}

const STOPPED: &str = "stopped: the verification was cancelled";
/// As long as a question stands there, so often somebody looks what the other side does.
const PATIENCE: Duration = Duration::from_secs(1);
/// The time to try to tell the other side that it is cancelled.
const FAREWELL: Duration = Duration::from_secs(3);
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
        let verdict = device.trust().verdict(&self.device_id);
        let needs_signature = verdict == DeviceTrust::NotSigned;
        if !needs_signature && !verdict.is_verified() {
            let id = escape_untrusted(&self.device_id);
            let message = format!(
                "the keys of the device {id} are right, and it is not verified by that: {verdict}"
            );
            return Err(Error::new(Exit::NotVerified, message)
                .hint("with the recovery key: fourfold device verify, here and there"));
        }
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
        if needs_signature && !is_signed {
            messages::say(format_args!(
                "the keys of the device {id} are right; it is verified once your identity signs it: \
                 fourfold device sign {id} --fingerprint \"{}\"",
                shown::fingerprint(&self.ed25519.to_base64())
            ));
        } else {
            messages::say(format_args!("the device {id} is verified"));
        }
        if self.master_key.is_some() {
            messages::say("this machine knows your identity by it");
        }
        if !device.trust().verdict_on_this_device().is_verified() {
            messages::say(
                "this device is verified once the other one, or fourfold device verify with the \
                 recovery key, signs it",
            );
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

fn compare(global: &Global, id: String, string: &ShortString) -> Result<Question> {
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
    let question = "Do they match? [y/N]".to_owned();
    Question::ask(global, About::Comparison(id), &data, question)
}
