//! No circle of imports inside a crate: a file stands above everything that it takes names from.
//!
//! An arrow runs from a file to the file that defines a name it uses, by `use` or by a path in the
//! code. A file that only declares modules and passes their names on is no end of an arrow, because
//! it defines nothing. Tests are left out.

pub(crate) mod attributes;
mod cycles;
mod paths;
mod resolve;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use self::resolve::Arrows;
use self::source::Tree;

/// Files that use each other's names in a loop.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Circle {
    files: BTreeSet<PathBuf>,
    arrows: Arrows,
}

/// Fails on every circle.
pub(super) fn check(files: &[PathBuf], read: impl Fn(&Path) -> Option<String>) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, circles) in in_crates(files, read) {
        let name = name.display();
        findings.extend(circles.iter().map(|circle| format!("{name}: {circle}")));
    }
    findings
}

/// The circles of every crate, by the folder of the crate.
pub(crate) fn in_crates(
    files: &[PathBuf],
    read: impl Fn(&Path) -> Option<String>,
) -> Vec<(PathBuf, Vec<Circle>)> {
    let mut found: BTreeMap<PathBuf, Vec<Circle>> = BTreeMap::new();
    for root in files {
        let named = root.ends_with("src/lib.rs") || root.ends_with("src/main.rs");
        let Some(folder) = root.parent().and_then(Path::parent).filter(|_| named) else {
            continue;
        };
        let tree = Tree::read(root, &read);
        found
            .entry(folder.to_path_buf())
            .or_default()
            .extend(circles(&resolve::arrows(&tree)));
    }
    found.into_iter().collect()
}

/// The files of a crate that are not for tests only, found from its root file on.
pub(crate) fn shipped_files(
    root: &Path,
    read: impl Fn(&Path) -> Option<String>,
) -> BTreeSet<PathBuf> {
    let modules = Tree::read(root, &read).modules.into_iter();
    modules.map(|module| module.file).collect()
}

fn circles(arrows: &Arrows) -> Vec<Circle> {
    cycles::find(arrows.keys())
        .into_iter()
        .map(|files| Circle {
            arrows: arrows
                .iter()
                .filter(|((from, to), _)| files.contains(from) && files.contains(to))
                .map(|(ends, names)| (ends.clone(), names.clone()))
                .collect(),
            files,
        })
        .collect()
}

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{} files import each other in a circle", self.files.len());
        for ((from, to), names) in &self.arrows {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            write!(
                text,
                "\n    {} -> {}: {}",
                from.display(),
                to.display(),
                names.join(", ")
            )?;
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arrows inside circles of a crate with these files, as `a.rs -> b.rs: Name`.
    fn arrows(files: &[(&str, &str)]) -> Vec<String> {
        let paths: Vec<PathBuf> = files
            .iter()
            .map(|(path, _)| Path::new("c/src").join(path))
            .collect();
        let read = |path: &Path| {
            let path = path.strip_prefix("c/src").ok()?.to_str()?;
            files
                .iter()
                .find(|(file, _)| *file == path)
                .map(|(_, text)| (*text).to_owned())
        };
        let shown = |path: &Path| path.strip_prefix("c/src").unwrap().display().to_string();
        in_crates(&paths, read)
            .into_iter()
            .flat_map(|(_, circles)| circles)
            .flat_map(|circle| circle.arrows)
            .map(|((from, to), names)| {
                let names: Vec<String> = names.into_iter().collect();
                format!("{} -> {}: {}", shown(&from), shown(&to), names.join(", "))
            })
            .collect()
    }

    #[test]
    fn finds_two_files_that_import_each_other() {
        assert_eq!(
            arrows(&[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "use crate::b::{B, make}; pub struct A(B);"),
                (
                    "b.rs",
                    "use super::a::A; pub struct B; pub fn make(a: A) {}"
                ),
            ]),
            ["a.rs -> b.rs: B, make", "b.rs -> a.rs: A"]
        );
    }

    #[test]
    fn finds_a_longer_way_back() {
        assert_eq!(
            arrows(&[
                ("main.rs", "mod a; mod b; mod c; fn main() { a::one(); }"),
                ("a.rs", "pub fn one() { crate::b::two() }"),
                ("b.rs", "use crate::c; pub fn two() { c::three() }"),
                (
                    "c.rs",
                    "pub fn three() { println!(\"{}\", crate::a::one()) }"
                ),
            ]),
            [
                "a.rs -> b.rs: two",
                "b.rs -> c.rs: three",
                "c.rs -> a.rs: one"
            ]
        );
    }

    #[test]
    fn accepts_arrows_that_go_down_only() {
        assert!(
            arrows(&[
                ("lib.rs", "mod a; mod b; pub use a::A; pub use b::B;"),
                ("a.rs", "use crate::B; pub struct A(B);"),
                ("b.rs", "pub struct B;"),
            ])
            .is_empty()
        );
    }

    #[test]
    fn follows_re_exports_to_the_file_that_defines_the_name() {
        // `room/mod.rs` passes names on: it is no member of the circle.
        assert_eq!(
            arrows(&[
                (
                    "lib.rs",
                    "mod room; mod hall; pub use room::*; pub use hall::Hall as Entrance;"
                ),
                ("room/mod.rs", "mod door; pub use self::door::Door;"),
                (
                    "room/door.rs",
                    "use crate::Entrance; pub struct Door(Entrance);"
                ),
                ("hall.rs", "pub struct Hall(Box<crate::Door>);"),
            ]),
            [
                "hall.rs -> room/door.rs: Door",
                "room/door.rs -> hall.rs: Hall"
            ]
        );
    }

    #[test]
    fn a_parent_that_defines_a_name_and_uses_its_child_is_in_a_circle() {
        let child = ("room/door.rs", "use super::Wood; pub fn open(_: Wood) {}");
        let uses = "mod door; pub struct Wood; pub fn enter() { door::open(Wood) }";
        assert_eq!(
            arrows(&[("lib.rs", "mod room;"), ("room/mod.rs", uses), child]),
            [
                "room/door.rs -> room/mod.rs: Wood",
                "room/mod.rs -> room/door.rs: open"
            ]
        );
        // To pass the child's name on is not to use it.
        let passes_on = "mod door; pub struct Wood; pub use door::open;";
        assert!(arrows(&[("lib.rs", "mod room;"), ("room/mod.rs", passes_on), child]).is_empty());
        let uses_what_it_passes_on =
            "mod door; pub struct Wood; pub use door::open; fn enter() { open(Wood) }";
        let files = [
            ("lib.rs", "mod room;"),
            ("room/mod.rs", uses_what_it_passes_on),
            child,
        ];
        assert_eq!(arrows(&files).len(), 2);
    }

    #[test]
    fn leaves_tests_out() {
        let b = ("b.rs", "use crate::a::A; pub struct B(A);");
        for a in [
            "pub struct A; #[cfg(test)] mod tests { use crate::b::B; }",
            "pub struct A; #[cfg(test)] mod shown;",
            "pub struct A; impl A { #[cfg(test)] fn b() -> crate::b::B { crate::b::B } }",
            "#[cfg(test)] use crate::b::B; pub struct A;",
        ] {
            let shown = ("a/shown.rs", "use crate::b::B;");
            assert!(
                arrows(&[("lib.rs", "mod a; mod b;"), ("a.rs", a), b, shown]).is_empty(),
                "{a}"
            );
        }
    }

    #[test]
    fn sees_paths_in_types_patterns_and_macros() {
        let b = (
            "b.rs",
            "use crate::a::A; pub enum B { One(A), Two } pub fn new() {}",
        );
        for a in [
            "pub struct A { b: Option<Box<crate::b::B>> }",
            "pub struct A; fn f(x: u8) { match x { crate::b::B::Two => {} _ => {} } }",
            "pub struct A; fn f() { assert!(matches!(x, Some(crate::b::B::Two))) }",
            "pub struct A; impl From<super::b::B> for A {}",
            "use crate::b; pub struct A; fn f() { vec![b::new()]; }",
            "use crate::b as other; pub struct A; fn f() { other::new(); }",
            "pub struct A; fn f() { use crate::b::*; new(); }",
        ] {
            let files = [("lib.rs", "mod a; mod b;"), ("a.rs", a), b];
            assert_eq!(arrows(&files).len(), 2, "{a}");
        }
    }

    #[test]
    fn a_local_variable_is_no_use_of_a_name_that_is_passed_on() {
        assert!(
            arrows(&[
                ("lib.rs", "mod room;"),
                (
                    "room/mod.rs",
                    "mod door; pub use door::key; pub struct A; fn f(key: u8) -> u8 { key }"
                ),
                ("room/door.rs", "use super::A; pub fn key(_: A) {}"),
            ])
            .is_empty()
        );
    }

    #[test]
    fn a_circle_is_a_finding() {
        let files = ["lib.rs", "a.rs", "b.rs"].map(|file| Path::new("crates/house/src").join(file));
        let read = |path: &Path| {
            let text = match path.file_name()?.to_str()? {
                "lib.rs" => "mod a; mod b;",
                "a.rs" => "use crate::b::B; pub struct A(B);",
                _ => "use crate::a::A; pub struct B(A);",
            };
            Some(text.to_owned())
        };
        let findings = check(&files, read);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(
            findings
                .iter()
                .all(|one| one.starts_with("crates/house: 2 files"))
        );
    }
}
