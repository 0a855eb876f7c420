//! Protection of the memory of the process.

use std::any::Any;
use std::hint::black_box;
use std::panic::{self, Location};

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::terminal::messages;

/// Closes the memory of this process to the user's other processes, and leaves no copy of it on disk,
/// however it ends. What could not be had is said aloud.
pub(crate) fn close() {
    #[cfg(target_os = "linux")]
    if rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .is_err()
    {
        messages::warn(
            "the memory of this process cannot be protected from the user's other \
             processes",
        );
    }
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if setrlimit(Resource::Core, none).is_err() {
        messages::warn("core dumps cannot be disabled: they would contain secrets");
    }
}

/// Keeps the memory of this process, as far as the limits of the system allow, out of swap: for one
/// that lives long. What could not be had is said aloud.
pub(crate) fn keep_out_of_swap() {
    if !lock_in_memory() {
        messages::warn(
            "the memory of the agent may be written to swap: encrypt the swap, or raise the limit \
             of locked memory (ulimit -l unlimited)",
        );
    }
}

/// Makes a panic the end of the process, in whichever thread or task it was: nothing goes on with
/// half of a state. It says where it was, and never what it was about: that may hold anything.
pub(crate) fn end_at_panics() {
    panic::set_hook(Box::new(|panic| {
        messages::say(redacted(panic.location(), panic.payload()));
        std::process::abort();
    }));
}

fn redacted(location: Option<&Location<'_>>, payload: &dyn Any) -> String {
    let place = location.map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    // A literal of the source code. Everything that was formatted is a `String`.
    let literal = payload.downcast_ref::<&'static str>();
    let literal = literal.map(|text| format!(": {text}")).unwrap_or_default();
    format!("fourfold: error: this is a bug in fourfold: panicked at {place}{literal}")
}

/// Does something with a key and then overwrites what that left on the stack: a value that was moved
/// is wiped where it went, not where it came from.
pub(crate) fn leaving_nothing<T>(work: impl FnOnce() -> T) -> T {
    let result = apart(work);
    scrub_stack();
    result
}

/// Deeper in the stack than its caller, whatever the optimiser thinks.
#[inline(never)]
fn apart<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn scrub_stack() {
    let mut stack = [0_u8; 128 * 1024];
    black_box(&mut stack);
}

/// Only where there is no limit: with one, a later allocation would fail and end the process.
fn lock_in_memory() -> bool {
    let limit = getrlimit(Resource::Memlock);
    let unlimited = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    limit.maximum.is_none()
        && (limit.current.is_none() || setrlimit(Resource::Memlock, unlimited).is_ok())
        && mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | on_fault()).is_ok()
}

/// Pages are locked when they are first touched, where the system can do that.
fn on_fault() -> MlockAllFlags {
    #[cfg(target_os = "linux")]
    return MlockAllFlags::ONFAULT;
    #[cfg(not(target_os = "linux"))]
    MlockAllFlags::empty()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    // shows: AGT-14
    #[test]
    fn a_panic_tells_where_it_was_and_nothing_that_was_formatted() {
        let secret = "four folds of paper";
        let here = Location::caller();
        let text = redacted(Some(here), &format!("no {secret}"));
        assert!(
            text.contains("memory.rs:") && !text.contains(secret),
            "{text}"
        );
        assert!(redacted(None, &"index out of bounds").ends_with(": index out of bounds"));
    }

    /// Where this very test is the process that breaks down.
    const BREAKS_DOWN: &str = "FOURFOLD_TEST_BREAKS_DOWN";

    // shows: AGT-14, AG-10
    #[test]
    fn a_panic_in_a_task_ends_the_whole_process_and_tells_nothing() {
        if std::env::var_os(BREAKS_DOWN).is_some() {
            close();
            end_at_panics();
            let runtime = crate::runtime::new().unwrap();
            let secret = "four folds of paper".to_owned();
            let task = runtime.spawn(async move { panic!("no {secret}") });
            let _ = runtime.block_on(task);
            return;
        }
        let this = std::env::current_exe().unwrap();
        let name = "memory::tests::a_panic_in_a_task_ends_the_whole_process_and_tells_nothing";
        let output = std::process::Command::new(this)
            .args(["--exact", "--nocapture", name])
            .env(BREAKS_DOWN, "yes")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(6), "{said}");
        assert!(!output.status.core_dumped());
        assert!(
            said.contains("panicked at ") && said.contains("memory.rs:"),
            "{said}"
        );
        assert!(!said.contains("paper"), "{said}");
    }

    // shows: AGT-03, LIB-21
    #[test]
    fn a_closed_process_is_neither_inspected_nor_dumped() {
        close();
        #[cfg(target_os = "linux")]
        assert_eq!(
            rustix::process::dumpable_behavior().unwrap(),
            rustix::process::DumpableBehavior::NotDumpable
        );
        let core = getrlimit(Resource::Core);
        assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
    }

    #[test]
    fn work_gives_its_result() {
        assert_eq!(leaving_nothing(|| 7), 7);
    }
}
