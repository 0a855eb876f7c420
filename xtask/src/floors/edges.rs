//! Which of our crates may link which.

use serde_json::Value;

/// Every crate of the workspace with the crates that it may link. Imports go down only.
const FLOORS: &[(&str, &[&str])] = &[
    ("fourfold", &[]),
    (
        "fourfold-cli",
        &["fourfold", "fourfold-client", "fourfold-server"],
    ),
    ("fourfold-client", &["fourfold"]),
    ("fourfold-hostile", &[]),
    ("fourfold-python", &["fourfold"]),
    ("fourfold-server", &[]),
    ("fourfold-wasm", &["fourfold"]),
    ("xtask", &[]),
];

/// Fails on an edge that goes up or sideways. Dev-dependencies may go anywhere.
pub(super) fn check(metadata: &Value) -> Vec<String> {
    let packages = packages(metadata);
    let ours: Vec<&str> = packages
        .iter()
        .filter_map(|package| name(package))
        .collect();
    let mut findings = Vec::new();
    for package in packages {
        let Some(from) = name(package) else {
            continue;
        };
        let Some((_, allowed)) = FLOORS.iter().find(|(listed, _)| *listed == from) else {
            findings.push(format!(
                "{from}: this crate has no floor; give it one in xtask/src/floors/edges.rs"
            ));
            continue;
        };
        for to in linked(package) {
            if ours.contains(&to) && !allowed.contains(&to) {
                findings.push(format!(
                    "{from}: must not depend on {to}: imports go down only"
                ));
            }
        }
    }
    findings
}

/// The packages of the workspace.
pub(super) fn packages(metadata: &Value) -> &[Value] {
    metadata
        .get("packages")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The name of a package or of a dependency.
pub(super) fn name(package: &Value) -> Option<&str> {
    package.get("name").and_then(Value::as_str)
}

/// The normal and build dependencies of a package.
pub(super) fn linked(package: &Value) -> impl Iterator<Item = &str> {
    package
        .get("dependencies")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|dependency| dependency.get("kind").and_then(Value::as_str) != Some("dev"))
        .filter_map(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn house(from: &str, to: &str, kind: Option<&str>) -> Value {
        json!({ "packages": [
            { "name": from, "dependencies": [{ "name": to, "kind": kind }] },
            { "name": to, "dependencies": [] },
        ]})
    }

    #[test]
    fn accepts_an_edge_that_goes_down() {
        assert!(check(&house("fourfold-cli", "fourfold-server", None)).is_empty());
        assert!(check(&house("fourfold-client", "fourfold", Some("build"))).is_empty());
    }

    #[test]
    fn refuses_an_edge_that_goes_up_or_sideways() {
        for (from, to) in [
            ("fourfold", "fourfold-client"),
            ("fourfold-client", "fourfold-server"),
            ("fourfold-server", "fourfold"),
            ("fourfold-client", "fourfold-cli"),
        ] {
            assert_eq!(check(&house(from, to, None)).len(), 1, "{from} -> {to}");
            assert_eq!(
                check(&house(from, to, Some("build"))).len(),
                1,
                "{from} -> {to}"
            );
        }
    }

    #[test]
    fn lets_tests_link_anything() {
        assert!(check(&house("fourfold-server", "fourfold-client", Some("dev"))).is_empty());
    }

    #[test]
    fn asks_for_the_floor_of_a_new_crate() {
        let findings = check(&json!({ "packages": [{ "name": "fourfold-attic" }] }));
        assert!(matches!(findings.as_slice(), [one] if one.contains("has no floor")));
    }
}
