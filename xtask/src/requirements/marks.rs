//! The marks in the sources: lines `// shows: ID, ID` above the attribute of a test.

use std::path::{Path, PathBuf};

/// How a mark begins.
const BEGIN: &str = "// shows:";

/// How many lines may stand between the attribute of a test and its name.
const FAR: usize = 16;

/// One test that is marked.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) ids: Vec<String>,
    /// The file, relative to the workspace.
    pub(super) file: PathBuf,
    /// The file and the line, for findings.
    pub(super) place: String,
    /// The name of the test with the modules of this file that it is in.
    pub(super) test: String,
}

/// The marks of one file, and what is wrong with the others.
pub(super) fn scan(file: &Path, text: &str) -> (Vec<Mark>, Vec<String>) {
    let mut marks = Vec::new();
    let mut findings = Vec::new();
    let mut modules = Modules::default();
    let mut ids: Vec<String> = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        modules.pass(line);
        let place = format!("{}:{}", file.display(), at + 1);
        if let Some(named) = line.trim_start().strip_prefix(BEGIN) {
            for id in named.split(',').map(str::trim) {
                if is_id(id) {
                    ids.push(id.to_owned());
                } else {
                    findings.push(format!("{place}: {id:?} is no ID of a requirement"));
                }
            }
            continue;
        }
        if ids.is_empty() {
            continue;
        }
        let ids = std::mem::take(&mut ids);
        match is_attribute_of_a_test(line).then(|| name_below(&lines, at)) {
            Some(Some(name)) => marks.push(Mark {
                ids,
                file: file.to_path_buf(),
                place,
                test: modules.path(name),
            }),
            _ => findings.push(format!(
                "{place}: the mark above is not directly above the attribute of a test"
            )),
        }
    }
    (marks, findings)
}

impl Mark {
    /// The path of the test in a target whose root file is this one; nothing when the file can be
    /// no module of that target.
    pub(super) fn path_in(&self, root: &Path) -> Option<String> {
        if self.file == root {
            return Some(self.test.clone());
        }
        let inside = self.file.strip_prefix(root.parent()?).ok()?;
        let mut modules: Vec<String> = inside
            .with_extension("")
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        if modules.last().is_some_and(|last| last == "mod") {
            modules.pop();
        }
        modules.push(self.test.clone());
        Some(modules.join("::"))
    }

    #[cfg(test)]
    pub(super) fn for_test(ids: &[&str]) -> Self {
        Self {
            ids: ids.iter().map(|&id| id.to_owned()).collect(),
            file: PathBuf::from("crates/fourfold/tests/sharing/trust.rs"),
            place: "trust.rs:1".to_owned(),
            test: "refuses".to_owned(),
        }
    }
}

/// The inline modules that a line is in, as rustfmt indents them.
#[derive(Debug, Default)]
struct Modules {
    open: Vec<(usize, String)>,
}

impl Modules {
    fn pass(&mut self, line: &str) {
        let word = line.trim_start();
        let indent = line.len() - word.len();
        if word == "}" && self.open.last().is_some_and(|(at, _)| *at == indent) {
            self.open.pop();
        } else if let Some(name) = module(word) {
            self.open.push((indent, name.to_owned()));
        }
    }

    fn path(&self, test: &str) -> String {
        let mut path: Vec<&str> = self.open.iter().map(|(_, name)| name.as_str()).collect();
        path.push(test);
        path.join("::")
    }
}

/// The name in `mod NAME {`, with any visibility before it.
fn module(line: &str) -> Option<&str> {
    let (before, name) = line.strip_suffix(" {")?.rsplit_once("mod ")?;
    (before.is_empty() || before.starts_with("pub")).then_some(name)
}

/// `LIB-01`: an area in capitals and a number of two digits.
fn is_id(text: &str) -> bool {
    text.split_once('-').is_some_and(|(area, number)| {
        !area.is_empty()
            && area.bytes().all(|byte| byte.is_ascii_uppercase())
            && number.len() == 2
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn is_attribute_of_a_test(line: &str) -> bool {
    let line = line.trim();
    line == "#[test]" || line.starts_with("#[tokio::test")
}

/// The name of the function whose attributes begin here.
fn name_below<'a>(lines: &[&'a str], at: usize) -> Option<&'a str> {
    let (_, name) = lines
        .iter()
        .skip(at)
        .take(FAR)
        .find_map(|line| line.split_once("fn "))?;
    let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
    name.get(..end).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(text: &str) -> (Vec<Mark>, Vec<String>) {
        scan(Path::new("crates/fourfold/src/plan/mod.rs"), text)
    }

    #[test]
    fn finds_the_test_below_a_mark() {
        let lines = [
            "mod tests {",
            "    mod inner {",
            "    }",
            "    /// Why.",
            "    // shows: LIB-01, KD-02",
            "    // shows: LIB-02",
            "    #[tokio::test]",
            "    #[expect(",
            "        a,",
            "    )]",
            "    async fn refuses() {",
            "    }",
            "}",
        ];
        let (marks, findings) = scanned(&lines.join("\n"));
        assert!(findings.is_empty(), "{findings:?}");
        let [mark] = marks.as_slice() else {
            panic!("{marks:?}");
        };
        assert_eq!(mark.ids, ["LIB-01", "KD-02", "LIB-02"]);
        assert_eq!(mark.test, "tests::refuses");
    }

    #[test]
    fn refuses_a_mark_above_anything_else() {
        for below in [
            "fn refuses() {",
            "#[cfg(any())]\n#[test]\nfn refuses() {",
            "/// Why.\n#[test]\nfn refuses() {",
            "\n#[test]\nfn refuses() {",
        ] {
            let (marks, findings) = scanned(&format!("// shows: LIB-01\n{below}\n"));
            assert!(marks.is_empty(), "{below}");
            assert_eq!(findings.len(), 1, "{below}");
        }
    }

    #[test]
    fn refuses_what_is_no_id() {
        for id in ["", "LIB", "LIB-1", "lib-01", "LIB-001", "LIB-01 KEY-01"] {
            let (_, findings) = scanned(&format!("// shows: {id}\n#[test]\nfn a() {{\n"));
            assert_eq!(findings.len(), 1, "{id:?}");
        }
    }

    #[test]
    fn names_a_test_as_its_target_does() {
        let mark = Mark::for_test(&[]);
        let path = |root: &str| mark.path_in(Path::new(root));
        assert_eq!(
            path("crates/fourfold/tests/sharing/main.rs").as_deref(),
            Some("trust::refuses")
        );
        assert_eq!(
            path("crates/fourfold/tests/sharing/trust.rs").as_deref(),
            Some("refuses")
        );
        assert_eq!(path("crates/fourfold/src/lib.rs"), None);
    }
}
