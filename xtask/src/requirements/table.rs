//! The table of requirements as people write it.

use std::collections::BTreeMap;

use toml::{Table as Toml, Value};

use crate::failure::Failure;

/// The table that people edit.
pub(super) const FILE: &str = "docs/requirements.toml";

/// What must hold.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) requirements: BTreeMap<String, Requirement>,
    /// Kinds of bad input that tests may name as well, with how many there are of each.
    rows: BTreeMap<String, i64>,
    /// Areas that come later, with the reason.
    later: BTreeMap<String, String>,
}

/// One requirement.
#[derive(Debug)]
pub(super) struct Requirement {
    pub(super) priority: Priority,
    pub(super) says: String,
    pub(super) lanes: Vec<String>,
    pub(super) note: Option<String>,
    later: Option<String>,
}

/// When a requirement must hold.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Priority {
    /// Before the first release.
    P0,
    /// Before 1.0.
    P1,
    /// It is wanted.
    P2,
}

impl Table {
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |what: String| Failure::Check(format!("{}: {what}", FILE));
        let mut whole: Toml = text.parse().map_err(|error| wrong(format!("{error}")))?;
        let mut table = Self {
            requirements: BTreeMap::new(),
            rows: BTreeMap::new(),
            later: BTreeMap::new(),
        };
        for (kind, count) in take_table(&mut whole, "rows").map_err(wrong)? {
            let count = count
                .as_integer()
                .ok_or_else(|| wrong(format!("rows.{kind} is not a number")))?;
            table.rows.insert(kind, count);
        }
        for (area, reason) in take_table(&mut whole, "later").map_err(wrong)? {
            let reason =
                text_of(reason).ok_or_else(|| wrong(format!("later.{area} is not text")))?;
            table.later.insert(area, reason);
        }
        for (id, value) in whole {
            let requirement =
                Requirement::read(value).map_err(|what| wrong(format!("{id}: {what}")))?;
            table.requirements.insert(id, requirement);
        }
        Ok(table)
    }

    /// Returns `true` if a test may name this.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.requirements.contains_key(id) || self.is_row(id)
    }

    /// Returns `true` if this is a bad input and not a requirement.
    pub(super) fn is_row(&self, id: &str) -> bool {
        id.split_once('-').is_some_and(|(kind, number)| {
            let last = self.rows.get(kind).copied().unwrap_or_default();
            number
                .parse()
                .is_ok_and(|number: i64| (1..=last).contains(&number))
        })
    }

    /// Why nothing shows a requirement yet, where that is accepted.
    pub(super) fn later(&self, id: &str) -> Option<&str> {
        let own = self.requirements.get(id).and_then(|r| r.later.as_ref());
        own.or_else(|| self.later.get(area(id))).map(String::as_str)
    }

    /// One finding for each lane that is named and does not exist.
    pub(super) fn unknown_lanes(&self, lanes: &[&str]) -> Vec<String> {
        let mut findings = Vec::new();
        for (id, requirement) in &self.requirements {
            for lane in &requirement.lanes {
                if !lanes.contains(&lane.as_str()) {
                    findings.push(format!("{}: {id}: there is no lane {lane}", FILE));
                }
            }
        }
        findings
    }
}

impl Requirement {
    fn read(value: Value) -> Result<Self, String> {
        let Value::Table(mut value) = value else {
            return Err("is no table".to_owned());
        };
        let mut text = |name: &str| value.remove(name).and_then(text_of);
        let priority = match text("priority").as_deref() {
            Some("P0") => Priority::P0,
            Some("P1") => Priority::P1,
            Some("P2") => Priority::P2,
            _ => return Err("its priority is none of P0, P1 and P2".to_owned()),
        };
        let says = text("says").ok_or_else(|| "says nothing".to_owned())?;
        let (note, later) = (text("note"), text("later"));
        let lanes = match value.remove("lane") {
            None => Vec::new(),
            Some(Value::Array(lanes)) => lanes.into_iter().filter_map(text_of).collect(),
            Some(_) => return Err("its lanes are no list".to_owned()),
        };
        match value.keys().next() {
            None => Ok(Self {
                priority,
                says,
                lanes,
                note,
                later,
            }),
            Some(other) => Err(format!("the member {other:?} has no meaning")),
        }
    }
}

impl Priority {
    pub(super) const ALL: [Self; 3] = [Self::P0, Self::P1, Self::P2];
}

/// The area of an ID: what stands before its number.
pub(super) fn area(id: &str) -> &str {
    id.split_once('-').map_or(id, |(area, _)| area)
}

fn take_table(whole: &mut Toml, name: &str) -> Result<Toml, String> {
    match whole.remove(name) {
        None => Ok(Toml::new()),
        Some(Value::Table(table)) => Ok(table),
        Some(_) => Err(format!("{name} is no table")),
    }
}

fn text_of(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_has_no_meaning() {
        for wrong in [
            r#"LIB-01 = { priority = "P3", says = "One." }"#,
            r#"LIB-01 = { priority = "P0" }"#,
            r#"LIB-01 = { priority = "P0", says = "One.", lanes = ["clippy"] }"#,
            r#"LIB-01 = { priority = "P0", says = "One.", lane = "clippy" }"#,
            r#"LIB-01 = "P0""#,
            r#"rows = 3"#,
        ] {
            assert!(Table::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn gives_the_reason_of_the_requirement_before_that_of_its_area() {
        let table = Table::parse(
            r#"
            later = { WEB = "no page" }
            WEB-01 = { priority = "P0", says = "One.", later = "itself" }
            WEB-02 = { priority = "P0", says = "Two." }
            LIB-01 = { priority = "P0", says = "Three." }
            "#,
        )
        .unwrap();
        assert_eq!(table.later("WEB-01"), Some("itself"));
        assert_eq!(table.later("WEB-02"), Some("no page"));
        assert_eq!(table.later("LIB-01"), None);
    }
}
