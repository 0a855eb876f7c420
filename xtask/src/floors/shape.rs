//! How large a source file may be, and what a module must not be called.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Lines that a source file may have.
const MOST_LINES: usize = 600;

/// Endings of source files.
const SOURCES: &[&str] = &["js", "py", "rs", "ts"];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &[
    "common",
    "helper",
    "helpers",
    "misc",
    "prelude",
    "util",
    "utilities",
    "utils",
];

/// Fails on a file or folder of Rust source with a name that says nothing.
pub(super) fn check_name(file: &Path) -> Option<String> {
    if !is_source(file) {
        return None;
    }
    let stem = file.file_stem().into_iter();
    let folders = file.parent().into_iter().flat_map(|parent| parent.iter());
    let empty = stem
        .chain(folders)
        .find(|name| EMPTY_NAMES.iter().any(|empty| name == empty))?;
    Some(format!(
        "{}: `{}` says nothing; name the module by its idea",
        file.display(),
        empty.to_string_lossy()
    ))
}

/// Fails on a source file that is too long, and on an inline module with an empty name.
pub(super) fn check_text(file: &Path, text: &str) -> Vec<String> {
    if !is_source(file) {
        return Vec::new();
    }
    let lines = text.lines().count();
    let mut findings = Vec::new();
    if lines > MOST_LINES {
        findings.push(format!(
            "{}: {lines} lines; {MOST_LINES} is the most, split it by idea",
            file.display()
        ));
    }
    for line in text.lines() {
        if let Some(name) = inline_module(line).filter(|name| EMPTY_NAMES.contains(name)) {
            findings.push(format!(
                "{}: `mod {name}` says nothing; name the module by its idea",
                file.display()
            ));
        }
    }
    findings
}

/// Fails on a module in `name.rs` whose children lie in the folder `name/`: its place is
/// `name/mod.rs`.
pub(super) fn check_modules(files: &[PathBuf]) -> Vec<String> {
    let rust = |file: &&PathBuf| file.extension().is_some_and(|extension| extension == "rs");
    let folders: BTreeSet<&Path> = files
        .iter()
        .filter(rust)
        .flat_map(|file| file.ancestors().skip(1))
        .collect();
    files
        .iter()
        .filter(rust)
        .map(|file| (file, file.with_extension("")))
        .filter(|(_, folder)| folders.contains(folder.as_path()))
        .map(|(file, folder)| {
            format!(
                "{}: a module with children is {}",
                file.display(),
                folder.join("mod.rs").display()
            )
        })
        .collect()
}

fn is_source(file: &Path) -> bool {
    file.extension()
        .is_some_and(|extension| SOURCES.iter().any(|source| extension == *source))
}

/// The name in `mod NAME {`, with any visibility before it.
fn inline_module(line: &str) -> Option<&str> {
    let line = line.trim().strip_suffix('{')?.trim_end();
    let (before, name) = line.rsplit_once("mod ")?;
    (before.is_empty() || before.starts_with("pub")).then(|| name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_names_that_say_nothing() {
        assert!(check_name(Path::new("crates/fourfold/src/utils.rs")).is_some());
        assert!(check_name(Path::new("crates/fourfold/tests/common/mod.rs")).is_some());
        assert_eq!(
            check_text(Path::new("a.rs"), "pub(crate) mod helpers {\n}\n").len(),
            1
        );
    }

    #[test]
    fn accepts_names_that_say_something() {
        assert!(check_name(Path::new("crates/fourfold/src/recovery_key.rs")).is_none());
        assert!(check_name(Path::new("docs/common/README.md")).is_none());
        assert!(check_text(Path::new("a.rs"), "mod tests {\n    use super::*;\n}\n").is_empty());
    }

    #[test]
    fn keeps_a_module_with_children_in_its_folder() {
        let files = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        let beside = files(&["src/room.rs", "src/room/door.rs"]);
        assert!(matches!(check_modules(&beside).as_slice(), [one] if one.contains("room/mod.rs")));
        for fine in [
            files(&["src/room/mod.rs", "src/room/door.rs"]),
            files(&["src/room.rs", "src/hall/mod.rs"]),
            files(&["tests/vectors.rs", "tests/vectors/a.json"]),
        ] {
            assert!(check_modules(&fine).is_empty(), "{fine:?}");
        }
    }

    #[test]
    fn refuses_the_line_after_the_last_allowed_one() {
        let file = Path::new("crates/fourfold/src/long.rs");
        assert!(check_text(file, &"//\n".repeat(MOST_LINES)).is_empty());
        assert_eq!(check_text(file, &"//\n".repeat(MOST_LINES + 1)).len(), 1);
        assert!(check_text(Path::new("long.md"), &"-\n".repeat(MOST_LINES + 1)).is_empty());
    }
}
