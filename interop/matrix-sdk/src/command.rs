//! The members of a command, and its answer.

use std::error::Error;

use serde_json::Value;

/// The answer to a command: a value, or an error in words.
pub(crate) type Answer<T = Value> = Result<T, Box<dyn Error>>;

/// A member of a command that must be there.
pub(crate) fn text<'a>(command: &'a Value, name: &str) -> Answer<&'a str> {
    optional(command, name).ok_or_else(|| format!("the command has no {name}").into())
}

/// A member of a command that may be missing.
pub(crate) fn optional<'a>(command: &'a Value, name: &str) -> Option<&'a str> {
    command.get(name).and_then(Value::as_str)
}
