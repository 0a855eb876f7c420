//! The document that people read.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::marks::Mark;
use super::shown::Shown;
use super::table::{Priority, Requirement, Table, area};

/// The areas in the order of the document.
const AREAS: &[(&str, &str)] = &[
    ("LIB", "The core: primitives and parsing"),
    ("KEY", "Keys and passphrases"),
    ("STO", "Storage"),
    ("SHR", "Sharing between devices"),
    ("AGT", "The agent"),
    ("CLI", "The command line"),
    ("SRV", "The server"),
    ("WEB", "The page in a browser"),
    ("SUP", "Supply and build"),
];

const HEAD: &str = "\
# Requirements, and the tests that show them

Made by `cargo xtask requirements --write` from [requirements.toml](requirements.toml) and from the
marks `// shows: …` above tests. Do not edit: the lane `requirements` compares.

P0 holds before the first release, P1 before 1.0, P2 is wanted.

";

pub(super) fn make(table: &Table, shown: &Shown) -> String {
    let mut text = HEAD.to_owned();
    write_counts(&mut text, table, shown);
    for (area, title) in AREAS {
        let _ = write!(text, "\n## {title} ({area})\n");
        for (id, requirement) in table
            .requirements
            .iter()
            .filter(|(id, _)| self::area(id) == *area)
        {
            write_requirement(&mut text, table, shown, id, requirement);
        }
    }
    write_rows(&mut text, table, shown);
    text
}

fn write_counts(text: &mut String, table: &Table, shown: &Shown) {
    text.push_str("| | shown | not shown yet | later |\n|---|---|---|---|\n");
    for priority in Priority::ALL {
        let (mut yes, mut not_yet, mut later) = (0, 0, 0);
        for (id, requirement) in &table.requirements {
            if requirement.priority != priority {
                continue;
            }
            if table.later(id).is_some() {
                later += 1;
            } else if shown.of(id).next().is_some() || !requirement.lanes.is_empty() {
                yes += 1;
            } else {
                not_yet += 1;
            }
        }
        let _ = writeln!(text, "| {priority:?} | {yes} | {not_yet} | {later} |");
    }
}

fn write_requirement(
    text: &mut String,
    table: &Table,
    shown: &Shown,
    id: &str,
    requirement: &Requirement,
) {
    let _ = write!(
        text,
        "\n### {id} ({:?})\n\n{}\n",
        requirement.priority, requirement.says
    );
    if let Some(note) = &requirement.note {
        let _ = writeln!(text, "*{note}*");
    }
    text.push('\n');
    if let Some(reason) = table.later(id) {
        let _ = writeln!(text, "- Later: {reason}");
        return;
    }
    for lane in &requirement.lanes {
        let _ = writeln!(text, "- the lane `{lane}`");
    }
    let tests = links(shown.of(id));
    if tests.is_empty() && requirement.lanes.is_empty() {
        text.push_str("- Nothing shows it yet.\n");
    }
    for test in tests {
        let _ = writeln!(text, "- {test}");
    }
}

fn write_rows(text: &mut String, table: &Table, shown: &Shown) {
    let ids = shown.ids();
    let mut rows = ids.iter().filter(|id| table.is_row(id)).peekable();
    if rows.peek().is_none() {
        return;
    }
    text.push_str("\n## Bad inputs and faults that tests name\n\n");
    for id in rows {
        let tests = links(shown.of(id));
        let tests: Vec<&str> = tests.iter().map(String::as_str).collect();
        let _ = writeln!(text, "- {id}: {}", tests.join(", "));
    }
}

/// The tests, each with a link to its file.
fn links<'a>(marks: impl Iterator<Item = &'a Mark>) -> BTreeSet<String> {
    marks
        .map(|mark| {
            let name = mark.test.rsplit("::").next().unwrap_or_default();
            format!("[{name}](../{})", mark.file.display())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_a_place_for_every_area() {
        let table = Table::parse(include_str!("../../../docs/requirements.toml")).unwrap();
        let made = make(&table, &Shown::default());
        for id in table.requirements.keys() {
            assert!(made.contains(&format!("\n### {id} (")), "{id}");
        }
    }

    #[test]
    fn tells_what_is_shown_from_what_is_not() {
        let table = Table::parse(
            r#"
            rows = { KD = 1 }
            LIB-01 = { priority = "P0", says = "One." }
            LIB-02 = { priority = "P0", says = "Two.", lane = ["clippy"] }
            LIB-03 = { priority = "P0", says = "Three.", later = "not now" }
            LIB-04 = { priority = "P0", says = "Four." }
            "#,
        )
        .unwrap();
        let shown = Shown {
            marks: vec![Mark::for_test(&["LIB-01", "KD-01"])],
        };
        let made = make(&table, &shown);
        assert!(made.contains("| P0 | 2 | 1 | 1 |"), "{made}");
        let link = "[refuses](../crates/fourfold/tests/sharing/trust.rs)";
        assert!(made.contains(&format!("One.\n\n- {link}\n")), "{made}");
        assert!(made.contains("Two.\n\n- the lane `clippy`\n"), "{made}");
        assert!(made.contains("Three.\n\n- Later: not now\n"), "{made}");
        assert!(
            made.contains("Four.\n\n- Nothing shows it yet.\n"),
            "{made}"
        );
        assert!(made.contains(&format!("- KD-01: {link}\n")), "{made}");
    }
}
