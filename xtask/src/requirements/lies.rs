//! The table of lies of the hostile homeserver: each attacks something that is known, and some test
//! plays it.

use std::collections::BTreeSet;

use super::table::Table;

/// The table as source, a file for each subject: nothing here links its crate.
pub(super) const SOURCE: &str = "crates/fourfold-hostile/src/lies";

/// The call with which a test plays a lie.
const PLAY: &str = ".play(";

/// A lie, as far as the lane looks at it.
#[derive(Debug, Default)]
struct Lie {
    name: String,
    attacks: Vec<String>,
}

/// What is wrong with the table, given the text of every test that could play one of them.
pub(super) fn check(source: &str, table: &Table, tests: &[String]) -> Vec<String> {
    let lies = read(source);
    let mut findings = Vec::new();
    if lies.is_empty() {
        findings.push(format!("{SOURCE}: there is no lie"));
    }
    let mut unplayed: BTreeSet<&str> = lies.iter().map(|lie| lie.name.as_str()).collect();
    for text in tests.iter().filter(|text| text.contains(PLAY)) {
        unplayed.retain(|name| !text.contains(&format!("\"{name}\"")));
    }
    for name in unplayed {
        findings.push(format!("{SOURCE}: no test plays the lie {name}"));
    }
    for lie in &lies {
        if lie.attacks.is_empty() {
            findings.push(format!("{SOURCE}: the lie {} attacks nothing", lie.name));
        }
        for id in lie.attacks.iter().filter(|id| !table.knows(id)) {
            findings.push(format!(
                "{SOURCE}: the lie {} attacks {id}, which does not exist",
                lie.name
            ));
        }
    }
    findings
}

/// The entries, as rustfmt writes them: a member a line.
fn read(source: &str) -> Vec<Lie> {
    let mut lies: Vec<Lie> = Vec::new();
    for line in source.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("name: \"") {
            lies.push(Lie {
                name: name.trim_end_matches("\",").to_owned(),
                attacks: Vec::new(),
            });
        } else if let (Some(ids), Some(lie)) = (line.strip_prefix("attacks: &["), lies.last_mut()) {
            let ids = ids.split('"').skip(1).step_by(2);
            lie.attacks = ids.map(str::to_owned).collect();
        }
    }
    lies
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"
        LIB-01 = { priority = "P0", says = "One." }
    "#;

    const LIES: &str = r#"
    Lie {
        name: "one-lie",
        does: "lies",
        attacks: &["LIB-01"],
    },
    Lie {
        name: "another-lie",
        does: "lies",
        attacks: &["LIB-01", "LIB-02"],
    },
    "#;

    fn findings(test: &str) -> Vec<String> {
        let table = Table::parse(TABLE).unwrap();
        check(LIES, &table, &[test.to_owned()])
    }

    #[test]
    fn asks_for_a_test_that_plays_each_lie() {
        let unknown = 1;
        let both = r#"proxy.play("one-lie"); proxy.play("another-lie");"#;
        assert_eq!(findings(both).len(), unknown, "{:?}", findings(both));
        assert_eq!(findings(r#"proxy.play("one-lie");"#).len(), unknown + 1);
        // Named, and played by no test.
        assert_eq!(findings(r#"["one-lie", "another-lie"]"#).len(), unknown + 2);
    }

    #[test]
    fn reads_the_table_of_the_house() {
        let lies = read(include_str!(
            "../../../crates/fourfold-hostile/src/lies/answers.rs"
        ));
        assert!(lies.len() > 8, "{}", lies.len());
        assert!(lies.iter().all(|lie| !lie.attacks.is_empty()));
    }
}
