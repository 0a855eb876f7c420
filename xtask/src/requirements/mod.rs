//! What Fourfold is held to, and the tests that show it.
//!
//! docs/requirements.toml says what must hold. A line `// shows: ID, ID` above the attribute of a test
//! says what the test shows. The lane `requirements` compares both with the tests that really run,
//! and docs/requirements.md is made of them.

mod document;
mod lies;
mod listed;
mod marks;
mod shown;
mod table;

use std::collections::BTreeSet;

use self::listed::Listed;
use self::shown::Shown;
use self::table::{Priority, Table};
use crate::failure::Failure;
use crate::workspace::Workspace;
use crate::{files, report};

/// The document that is generated from it and from the marks.
const DOCUMENT: &str = "docs/requirements.md";

/// `cargo xtask requirements --write`: writes the document anew.
pub(crate) fn write(workspace: &Workspace) -> Result<(), Failure> {
    let (table, shown) = read(workspace)?;
    files::write(
        &workspace.root.join(DOCUMENT),
        &document::make(&table, &shown),
    )?;
    report::line(format_args!("{DOCUMENT}: written"));
    Ok(())
}

/// The lane: every mark is of a test that runs, every requirement that must be shown is, and the
/// document says so.
pub(crate) fn run(workspace: &Workspace, lanes: &[&str]) -> Result<(), Failure> {
    let (table, shown) = read(workspace)?;
    let mut findings = table.unknown_lanes(lanes);
    findings.extend(not_shown(&table, &shown));
    findings.extend(lies(workspace, &table)?);
    let listed = Listed::ask(workspace)?;
    findings.extend(
        shown
            .marks
            .iter()
            .filter(|mark| !listed.runs(mark))
            .map(|mark| {
                format!(
                    "{}: the marked test {} is in no list of tests that run",
                    mark.place, mark.test
                )
            }),
    );
    let document = files::read_text(&workspace.root.join(DOCUMENT)).unwrap_or_default();
    if document != document::make(&table, &shown) {
        findings.push(format!(
            "{DOCUMENT}: is not what the marks say; run `cargo xtask requirements --write`"
        ));
    }
    Failure::from_findings(findings)?;
    let marked: BTreeSet<_> = shown.marks.iter().map(|mark| &mark.test).collect();
    report::note(format_args!(
        "{} requirements, {} marked tests",
        table.requirements.len(),
        marked.len()
    ));
    Ok(())
}

/// What is wrong with the table of lies.
fn lies(workspace: &Workspace, table: &Table) -> Result<Vec<String>, Failure> {
    let (mut source, mut tests) = (String::new(), Vec::new());
    for file in workspace.files()? {
        let mut folders = file.iter();
        if file.starts_with(lies::SOURCE) {
            source.extend(workspace.text(&file)?);
        } else if file.starts_with("crates") && folders.any(|folder| folder == "tests") {
            tests.extend(workspace.text(&file)?);
        }
    }
    Ok(lies::check(&source, table, &tests))
}

/// The table and the marks, which name nothing that the table does not have.
fn read(workspace: &Workspace) -> Result<(Table, Shown), Failure> {
    let table = Table::parse(&files::read_text(&workspace.root.join(table::FILE))?)?;
    let mut shown = Shown::default();
    let mut findings = Vec::new();
    for file in workspace.files()? {
        if !(file.starts_with("crates") || file.starts_with("xtask"))
            || file.extension().is_none_or(|extension| extension != "rs")
        {
            continue;
        }
        let Some(text) = workspace.text(&file)? else {
            continue;
        };
        let (marks, wrong) = marks::scan(&file, &text);
        findings.extend(wrong);
        shown.marks.extend(marks);
    }
    findings.extend(unknown(&table, &shown));
    Failure::from_findings(findings)?;
    Ok((table, shown))
}

fn unknown(table: &Table, shown: &Shown) -> Vec<String> {
    shown
        .marks
        .iter()
        .flat_map(|mark| {
            mark.ids
                .iter()
                .filter(|id| !table.knows(id))
                .map(|id| format!("{}: there is no requirement {id}", mark.place))
        })
        .collect()
}

/// One finding for each requirement that must be shown and is not, and for each that is said to come
/// later although something shows it.
fn not_shown(table: &Table, shown: &Shown) -> Vec<String> {
    let mut findings = Vec::new();
    for (id, requirement) in &table.requirements {
        let tests = shown.of(id).count();
        let reason = table.later(id);
        if tests > 0 && reason.is_some() {
            findings.push(format!("{id}: comes later, but a test shows it already"));
        }
        if requirement.priority != Priority::P0 || reason.is_some() {
            continue;
        }
        if tests == 0 && requirement.lanes.is_empty() {
            findings.push(format!("{id}: no test shows it"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::marks::Mark;
    use super::*;

    const TABLE: &str = r#"
        rows = { KD = 2 }
        later = { WEB = "no page" }
        LIB-01 = { priority = "P0", says = "One." }
        LIB-02 = { priority = "P1", says = "Two." }
        LIB-03 = { priority = "P0", says = "Three.", lane = ["clippy"] }
        WEB-01 = { priority = "P0", says = "Four." }
    "#;

    fn shown(ids: &[&str]) -> Shown {
        Shown {
            marks: vec![Mark::for_test(ids)],
        }
    }

    #[test]
    fn asks_for_a_test_of_each_requirement_of_the_first_release() {
        let table = Table::parse(TABLE).unwrap();
        assert_eq!(
            not_shown(&table, &Shown::default()),
            ["LIB-01: no test shows it"]
        );
        assert!(not_shown(&table, &shown(&["LIB-01"])).is_empty());
    }

    #[test]
    fn notices_that_later_is_now() {
        let table = Table::parse(TABLE).unwrap();
        let findings = not_shown(&table, &shown(&["LIB-01", "WEB-01"]));
        assert_eq!(
            findings,
            ["WEB-01: comes later, but a test shows it already"]
        );
    }

    #[test]
    fn refuses_a_mark_that_names_nothing() {
        let table = Table::parse(TABLE).unwrap();
        assert!(unknown(&table, &shown(&["LIB-01", "KD-02"])).is_empty());
        for id in ["LIB-04", "KD-03", "KD-00", "XX-01"] {
            assert_eq!(unknown(&table, &shown(&[id])).len(), 1, "{id}");
        }
    }

    #[test]
    fn refuses_a_lane_that_does_not_exist() {
        let table = Table::parse(TABLE).unwrap();
        assert!(table.unknown_lanes(&["clippy"]).is_empty());
        assert_eq!(table.unknown_lanes(&["format"]).len(), 1);
    }
}
