//! Signals: whenever one ends the process, the terminal is left as it was; or the process ends in its
//! own time.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Result;
use crate::runtime;
use crate::terminal::messages;

/// From now on SIGINT, SIGTERM and SIGHUP put the terminal back before they end the process.
///
/// Not for commands that stop on their own terms, such as the server.
pub(crate) fn watch() {
    let Ok(runtime) = runtime::new() else {
        return;
    };
    // The handlers are in place when this returns, so that no signal slips through.
    let signals = {
        let _entered = runtime.enter();
        (
            signal(SignalKind::interrupt()),
            signal(SignalKind::terminate()),
            signal(SignalKind::hangup()),
        )
    };
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = signals else {
        return;
    };
    std::thread::spawn(move || {
        loop {
            let signal = runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => 2,
                    _ = terminate.recv() => 15,
                    _ = hangup.recv() => 1,
                }
            });
            let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(kept) = kept.as_ref() {
                kept.put_back();
                // The prompt stands there still.
                messages::say("");
            }
            if !IS_HANDED_OVER.load(Ordering::SeqCst) {
                // As shells have it.
                end(128 + signal);
            }
        }
    });
}

/// From now on a signal puts the terminal back and ends nothing: the caller does that, in its own
/// time.
pub(crate) fn hand_over() {
    IS_HANDED_OVER.store(true, Ordering::SeqCst);
}

static IS_HANDED_OVER: AtomicBool = AtomicBool::new(false);

/// The signals that ask the process to stop. From now on they do not end it.
pub(crate) struct Stop {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    pub(crate) fn listen() -> Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Resolves when the process is asked to stop.
    pub(crate) async fn wait(mut self) {
        tokio::select! {
            _ = self.hangup.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Remembers how the terminal is set, until the value is dropped.
pub(crate) fn keep_terminal() -> Keeping {
    let kept = File::open("/dev/tty").ok().and_then(|terminal| {
        let settings = tcgetattr(&terminal).ok()?;
        Some(Kept { terminal, settings })
    });
    set(kept);
    Keeping
}

/// As [`keep_terminal`], and what is typed is not shown from now on: not even what somebody types
/// before the question stands there. Each key arrives as a character, Ctrl-C too.
pub(crate) fn hide_typing() -> Keeping {
    let keeping = keep_terminal();
    if let Some(kept) = &*KEPT.lock().unwrap_or_else(PoisonError::into_inner) {
        let mut silent = kept.settings.clone();
        silent
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        let _ = tcsetattr(&kept.terminal, OptionalActions::Now, &silent);
    }
    keeping
}

/// As long as it lives, a signal puts the terminal back; its end does so too.
pub(crate) struct Keeping;

impl Drop for Keeping {
    fn drop(&mut self) {
        let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(kept) = kept {
            kept.put_back();
        }
    }
}

struct Kept {
    terminal: File,
    settings: Termios,
}

impl Kept {
    fn put_back(&self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.settings);
    }
}

static KEPT: Mutex<Option<Kept>> = Mutex::new(None);

fn set(kept: Option<Kept>) {
    *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = kept;
}

#[expect(
    clippy::exit,
    reason = "the only way out for a thread that is not the main one"
)]
fn end(exit_code: i32) {
    std::process::exit(exit_code);
}
