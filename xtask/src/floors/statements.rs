//! Database statements are literals and never assembled: values are bound, so that no input becomes
//! part of a statement.

use std::path::Path;

/// Methods that take a statement as their first argument.
const ASKING: &[&str] = &[
    ".execute(",
    ".execute_batch(",
    ".prepare(",
    ".prepare_cached(",
    ".query_one(",
    ".query_row(",
];

/// Words with which a statement begins.
const STATEMENTS: &[&str] = &[
    "ALTER ",
    "ATTACH ",
    "BEGIN",
    "CREATE ",
    "DELETE FROM ",
    "DROP ",
    "INSERT ",
    "PRAGMA ",
    "REPLACE ",
    "SELECT ",
    "UPDATE ",
    "VACUUM",
    "WITH ",
];

/// What assembles text.
const BUILDING: &[&str] = &[
    "format!(",
    "format_args!(",
    "write!(",
    "push_str(",
    "concat(",
    "join(",
];

/// Fails on shipped code that builds a statement, or that uses one which is neither a literal nor a
/// name.
pub(super) fn check(file: &Path, text: &str) -> Vec<String> {
    let is_shipped =
        file.starts_with("crates") && file.components().any(|it| it.as_os_str() == "src");
    if !is_shipped || file.extension().is_none_or(|it| it != "rs") || !text.contains("rusqlite") {
        return Vec::new();
    }
    let (code, _tests) = text
        .split_once("#[cfg(test)]\nmod tests {")
        .unwrap_or((text, ""));
    if code.starts_with("#![cfg(test)]") || is_test_module(file) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for building in BUILDING {
        for argument in arguments(code, building) {
            let text = argument
                .trim_start_matches(['&', '"', '#', 'r'])
                .trim_start();
            if argument.contains('"') && STATEMENTS.iter().any(|word| text.starts_with(word)) {
                findings.push(finding(file, building, argument));
            }
        }
    }
    for asking in ASKING {
        for argument in arguments(code, asking).filter(|argument| !is_written(argument)) {
            findings.push(finding(file, asking, argument));
        }
    }
    findings
}

fn finding(file: &Path, call: &str, argument: &str) -> String {
    let argument = argument.lines().next().unwrap_or_default();
    format!(
        "{}: {call}{argument}: a statement is a literal or a constant, and values are bound",
        file.display()
    )
}

/// Modules that their parent includes in tests only.
fn is_test_module(file: &Path) -> bool {
    file.file_stem()
        .is_some_and(|stem| stem == "faults" || stem == "tests")
        || file.components().any(|it| it.as_os_str() == "tests")
}

/// What stands behind each opening bracket.
fn arguments<'a>(code: &'a str, call: &'a str) -> impl Iterator<Item = &'a str> {
    code.split(call).skip(1).map(str::trim_start)
}

/// Returns `true` if it begins with a literal, or is a name alone: of a constant, or of a literal
/// in a loop. A call without a statement (of one that was prepared) begins with its values.
fn is_written(argument: &str) -> bool {
    let values = [
        "[",
        "(",
        "params!",
        "&[",
        "values",
        "inbox,",
        "named_params!",
    ];
    if argument.starts_with(['"', 'r']) && argument.trim_start_matches(['r', '#']).starts_with('"')
        || values.iter().any(|value| argument.starts_with(value))
    {
        return true;
    }
    let name = argument.split([',', ')']).next().unwrap_or_default();
    name.chars()
        .all(|c| c.is_alphanumeric() || c == '_' || c == ':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(code: &str) -> usize {
        let code = format!("use rusqlite::Connection;\n{code}");
        check(Path::new("crates/a/src/store.rs"), &code).len()
    }

    // shows: SRV-08
    #[test]
    fn sees_statements_that_are_put_together() {
        for code in [
            r#"c.prepare_cached(&format!("SELECT {column} FROM t"))"#,
            r#"c.execute_batch(&sql(name))"#,
            r#"c.query_row(&text, [], |row| row.get(0))"#,
            r#"let sql = format!("DELETE FROM {table}");"#,
            r#"let sql = format!(
                "INSERT INTO t VALUES ('{name}')"
            );"#,
            r#"sql.push_str("UPDATE t SET a = 1");"#,
            r#"c.prepare(text.as_str())"#,
        ] {
            assert_ne!(findings(code), 0, "{code}");
        }
    }

    // shows: SRV-08
    #[test]
    fn leaves_literals_constants_and_other_text_alone() {
        for code in [
            r#"c.prepare_cached("SELECT a FROM t WHERE b = ?1")?.query_row([b], read)"#,
            "c.prepare_cached(\n    \"SELECT 1\",\n)?",
            "c.execute_batch(SCHEMA)",
            "for statement in [\"A\"] { c.prepare_cached(statement)? }",
            r#"statement.query_row(params![user], read)"#,
            r#"format!("too many {what}")"#,
        ] {
            assert_eq!(findings(code), 0, "{code}");
        }
        assert!(check(Path::new("crates/a/tests/x.rs"), "rusqlite c.prepare(&x)").is_empty());
    }
}
