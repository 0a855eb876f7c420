//! Filters: stored ones, and the part of them that a server without rooms can apply.

use ruma::api::client::filter::FilterDefinition;
use serde_json::json;

use crate::answer;
use crate::call::Call;
use crate::error::MatrixError;
use crate::routes::Handled;

/// `POST /user/{userId}/filter`.
pub(crate) async fn create(call: Call) -> Handled {
    // Parsed, so that a bad filter fails here and not in every sync; stored as it came.
    call.body::<FilterDefinition>()?;
    // A number in text: it never begins with `{`, which would make it an inline filter.
    let filter = call
        .app
        .store
        .put_filter(call.user()?, call.body.clone())
        .await?;
    answer::json(&json!({ "filter_id": filter.to_string() }))
}

/// `GET /user/{userId}/filter/{filterId}`.
pub(crate) async fn show(call: Call) -> Handled {
    let Ok(filter) = call.parameter("filterId")?.parse() else {
        return Err(NO_SUCH_FILTER);
    };
    let definition = call.app.store.filter(call.user()?, filter).await?;
    definition.map(answer::raw).ok_or(NO_SUCH_FILTER)
}

/// Which types of account data a sync shows.
///
/// A `limit` is not applied: each type appears once with its latest content, and one that was cut
/// off would never come again.
#[derive(Debug, Default)]
pub(crate) struct TypeFilter {
    types: Option<Vec<String>>,
    not_types: Vec<String>,
}

impl TypeFilter {
    /// The filter that a sync names: an ID, or the definition itself.
    pub(crate) async fn named(call: &Call, name: Option<&str>) -> Result<Self, MatrixError> {
        let Some(name) = name else {
            return Ok(Self::default());
        };
        if name.starts_with('{') {
            return Self::parse(name.as_bytes());
        }
        let unknown = MatrixError::InvalidParam("the filter is unknown");
        let Ok(filter) = name.parse() else {
            return Err(unknown);
        };
        match call.app.store.filter(call.user()?, filter).await? {
            Some(definition) => Self::parse(&definition),
            None => Err(unknown),
        }
    }

    /// Whether events of this type are shown.
    pub(crate) fn shows(&self, event_type: &str) -> bool {
        let matches = |pattern: &String| matches(pattern, event_type);
        self.types
            .as_ref()
            .is_none_or(|types| types.iter().any(matches))
            && !self.not_types.iter().any(matches)
    }

    fn parse(definition: &[u8]) -> Result<Self, MatrixError> {
        let definition: FilterDefinition = serde_json::from_slice(definition)
            .map_err(|_| MatrixError::InvalidParam("the filter is malformed"))?;
        let account_data = definition.account_data;
        Ok(Self {
            types: account_data.types,
            not_types: account_data.not_types,
        })
    }
}

/// Whether text matches a pattern in which each `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        // The first match leaves the most for the others.
        let Some(at) = text.find(part) else {
            return false;
        };
        text = text.get(at + part.len()..).unwrap_or_default();
    }
    true
}

const NO_SUCH_FILTER: MatrixError = MatrixError::NotFound("no such filter");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        for (pattern, text, expected) in [
            ("m.direct", "m.direct", true),
            ("m.direct", "m.directs", false),
            ("m.*", "m.direct", true),
            ("m.*", "m.", true),
            ("*", "", true),
            ("*.key.*", "m.secret_storage.key.abc", true),
            ("*.key.*", "m.key", false),
            ("m.*.a*b", "m.x.ab", true),
            ("m.*a", "m.a.b", false),
            ("a*a", "a", false),
            ("**", "x", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn exclusion_wins() {
        let filter =
            TypeFilter::parse(br#"{"account_data":{"types":["m.*"],"not_types":["m.a*"]}}"#);
        let filter = filter.unwrap();
        assert!(filter.shows("m.b") && !filter.shows("m.ab") && !filter.shows("x"));
    }

    #[test]
    fn no_types_are_none_and_absent_ones_are_all() {
        assert!(
            !TypeFilter::parse(br#"{"account_data":{"types":[]}}"#)
                .unwrap()
                .shows("m.a")
        );
        assert!(TypeFilter::parse(b"{}").unwrap().shows("m.a"));
    }
}
