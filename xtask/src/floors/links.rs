//! Links to the Matrix specification name the version that we follow.

use std::path::Path;

/// The host of the specification. The version is the first segment of the path.
const HOST: &str = "spec.matrix.org";

/// The version that the code and the documents were written against.
const PINNED: &str = "v1.19";

/// Fails on a link to another version, which would say something else one day.
pub(super) fn check(file: &Path, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for after in line.split(HOST).skip(1) {
            let Some(path) = after.strip_prefix('/') else {
                continue;
            };
            let end = path.find(|c: char| !c.is_ascii_alphanumeric() && c != '.');
            let version = end.and_then(|end| path.get(..end)).unwrap_or(path);
            if version != PINNED {
                findings.push(format!(
                    "{}:{}: link to the specification at {version:?}, not {PINNED:?}",
                    file.display(),
                    number + 1
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(version: &str) -> usize {
        let text = format!("see <https://{HOST}/{version}/client-server-api/#secrets>");
        check(Path::new("README.md"), &text).len()
    }

    #[test]
    fn accepts_the_pinned_version_only() {
        assert_eq!(findings(PINNED), 0);
        for other in ["v1.18", "v1.190", "latest", "unstable", ""] {
            assert_eq!(findings(other), 1, "{other}");
        }
    }

    #[test]
    fn sees_every_link_of_a_line() {
        let text =
            format!("https://{HOST}/latest/ https://{HOST}/{PINNED} https://{HOST}/unstable/");
        assert_eq!(check(Path::new("a.rs"), &text).len(), 2);
    }
}
