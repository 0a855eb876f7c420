//! What the system reports about a running process.

use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::files;

/// The folder of a process below /proc.
pub(crate) fn folder(id: u32) -> PathBuf {
    Path::new("/proc").join(id.to_string())
}

/// One figure of a `status` file; sizes are in KiB.
pub(crate) fn figure(status: &Path, name: &str) -> Result<u64, Failure> {
    let text = files::read_text(status)?;
    read(&text, name)
        .ok_or_else(|| Failure::Check(format!("{} does not tell {name}", status.display())))
}

fn read(status: &str, name: &str) -> Option<u64> {
    let of_name = |line: &&str| line.split_once(':').is_some_and(|(key, _)| key == name);
    let line = status.lines().find(of_name)?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_figure_by_its_whole_name() {
        let status =
            "VmRSS:\t   1234 kB\nnonvoluntary_ctxt_switches:\t9\nvoluntary_ctxt_switches:\t7\n";
        assert_eq!(read(status, "VmRSS"), Some(1234));
        assert_eq!(read(status, "voluntary_ctxt_switches"), Some(7));
        assert_eq!(read(status, "VmHWM"), None);
    }
}
