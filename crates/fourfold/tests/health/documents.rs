//! The page of all conditions is made from the table.

use std::fs;
use std::path::PathBuf;

use fourfold::health::{CONDITIONS, Condition};

#[test]
fn the_page_of_conditions_says_what_the_table_says() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/conditions.md");
    let explained: Vec<_> = CONDITIONS.iter().map(Condition::explain).collect();
    let expected = format!("{INTRODUCTION}\n{}", explained.join("\n"));
    if std::env::var_os("FOURFOLD_WRITE_DOCUMENTS").is_some() {
        fs::write(&page, &expected).unwrap();
    }
    assert_eq!(
        fs::read_to_string(page).unwrap(),
        expected,
        "run with FOURFOLD_WRITE_DOCUMENTS=1"
    );
}

const INTRODUCTION: &str = "\
# Conditions of an account

Every condition that `fourfold::health::examine` finds, in the order in which they are checked. The codes are stable.
This page is generated from the table of conditions in `crates/fourfold/src/health/checks/`; to write it again, run
the test `health` with `FOURFOLD_WRITE_DOCUMENTS=1`.
";
