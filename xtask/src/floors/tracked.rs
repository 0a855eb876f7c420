//! What must not be committed: paths of one machine, and large files.

use std::path::Path;

/// Bytes that a committed file may have.
const MOST_BYTES: u64 = 1024 * 1024;

/// First segments of absolute paths that exist on somebody's machine only.
const MACHINE_ROOTS: &[&str] = &["home", "root", "work"];

/// Fails on a file that belongs in a release or a download, not in the history.
pub(super) fn check_size(file: &Path, bytes: u64) -> Option<String> {
    (bytes > MOST_BYTES).then(|| {
        format!(
            "{}: {bytes} bytes; {MOST_BYTES} is the most",
            file.display()
        )
    })
}

/// Fails on an absolute path of a machine in a text file.
pub(super) fn check_paths(file: &Path, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if MACHINE_ROOTS
            .iter()
            .any(|root| starts_path(line, &format!("/{root}/")))
        {
            findings.push(format!(
                "{}:{}: path of a machine",
                file.display(),
                number + 1
            ));
        }
    }
    findings
}

/// Returns `true` if `root` occurs where a path begins, and not inside a URL or a longer path.
fn starts_path(line: &str, root: &str) -> bool {
    line.match_indices(root).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || "_./-~%}".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(line: &str) -> usize {
        check_paths(Path::new("README.md"), line).len()
    }

    #[test]
    fn refuses_paths_of_a_machine() {
        for root in MACHINE_ROOTS {
            assert_eq!(
                findings(&format!("see /{root}/somebody/notes")),
                1,
                "{root}"
            );
            assert_eq!(findings(&format!("(\"/{root}/x\")")), 1, "{root}");
        }
    }

    #[test]
    fn accepts_urls_and_relative_paths() {
        assert_eq!(
            findings("https://example.org/home/page and target/work/file"),
            0
        );
        assert_eq!(findings("the home of the root user does no work"), 0);
    }

    #[test]
    fn refuses_the_first_byte_over_the_limit() {
        let file = Path::new("vectors/huge.json");
        assert!(check_size(file, MOST_BYTES).is_none());
        assert!(check_size(file, MOST_BYTES + 1).is_some());
    }
}
