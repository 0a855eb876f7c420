//! A device of matrix-sdk, driven by lines of JSON; ../README.md has the commands.

// The library's own limit: its futures are deep.
#![recursion_limit = "256"]

mod command;
mod device;
mod patience;
mod storage;
mod verification;
mod verifications;

use std::error::Error;
use std::io::{self, BufRead as _, Write as _};

use serde_json::{Value, json};

use crate::command::{Answer, text};
use crate::device::Device;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut device = None;
    // The next line comes only after the answer; meanwhile the runtime is free for the sync.
    while let Some(line) = tokio::task::spawn_blocking(next_line).await?? {
        let command: Value = serde_json::from_str(&line)?;
        let answer = match obey(&mut device, &command).await {
            Ok(value) => json!({ "ok": value }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        writeln!(io::stdout(), "{answer}")?;
    }
    Ok(())
}

fn next_line() -> io::Result<Option<String>> {
    io::stdin().lock().lines().next().transpose()
}

async fn obey(device: &mut Option<Device>, command: &Value) -> Answer {
    let name = text(command, "do")?;
    if name == "log_in" {
        let (logged_in, who) = Device::log_in(command).await?;
        *device = Some(logged_in);
        return Ok(who);
    }
    let device = device.as_mut().ok_or("not logged in")?;
    match name {
        "set_up" => device.set_up(command).await,
        "change_key" => device.change_key(command).await,
        "unlock" => device.unlock(command).await,
        "recover" => device.recover(command).await,
        "get" => device.get(command).await,
        "put" => device.put(command).await,
        "held" => device.held().await,
        "await_held" => device.await_held(command).await,
        "backup" => device.backup().await,
        "await_device" => device.await_device(command).await,
        "request_verification" => device.request_verification(command).await,
        "accept_verification" => device.accept_verification().await,
        "start_sas" => device.start_sas().await,
        "compare" => device.compare().await,
        "confirm" => device.confirm().await,
        "mismatch" => device.mismatch().await,
        "log_out" => device.log_out().await,
        other => Err(format!("no command {other}").into()),
    }
}
