//! Questions that do not stop the exchange with the other device.

use std::io::BufRead as _;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::error::{Error, Result};
use crate::options::Global;
use crate::terminal::{output, prompt};

/// A question to the person at the terminal; or, with `--json`, to the program that reads and writes.
pub(super) struct Question {
    pub(super) about: About,
    answer: oneshot::Receiver<Result<bool>>,
}

/// What is asked about, each with the ID of the verification.
pub(super) enum About {
    Comparison(String),
    Request(String),
}

impl Question {
    /// Asks, and does not wait for the answer: the other side may end it meanwhile.
    pub(super) fn ask(
        global: &Global,
        about: About,
        data: &serde_json::Value,
        text: String,
    ) -> Result<Self> {
        let is_for_program = global.json;
        if is_for_program {
            output::json_line(data)?;
        }
        let (sender, answer) = oneshot::channel();
        std::thread::spawn(move || {
            let answer = if is_for_program {
                line_of_input()
            } else {
                prompt::visible(&text)
            };
            // Nobody may wait for it any more.
            let _ = sender.send(answer.map(|answer| prompt::is_yes(&answer)));
        });
        Ok(Self { about, answer })
    }

    /// Waits for the answer so long; `None` when there is none yet.
    pub(super) async fn wait(&mut self, limit: Duration) -> Option<Result<bool>> {
        let answer = timeout(limit, &mut self.answer).await.ok()?;
        Some(answer.unwrap_or_else(|_| Err(Error::refused("no answer will come"))))
    }

    pub(super) fn is_about(&self, verification: &str) -> bool {
        let (About::Comparison(id) | About::Request(id)) = &self.about;
        id == verification
    }
}

fn line_of_input() -> Result<String> {
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer)
}
