//! Filters: stored ones, and the part of them that a server without rooms can apply.

use serde_json::json;

use crate::call::Call;
use crate::http::answer::{self, Handled};
use crate::http::error::MatrixError;
use crate::store::TypeFilter;

/// `POST /user/{userId}/filter`.
pub(crate) async fn create(call: Call) -> Handled {
    if call.body.len() > MAX_DEFINITION {
        return Err(MatrixError::TooLarge(
            "the filter is larger than 32 KiB".into(),
        ));
    }
    // Checked so that a bad filter fails here and not in every sync; stored as it was received.
    TypeFilter::of(&call.body()?).map_err(MatrixError::InvalidParam)?;
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
    let definition = definition.map(|stored| answer::raw(stored.definition().clone()));
    definition.ok_or(NO_SUCH_FILTER)
}

/// The filter that a sync names: an ID, or the definition itself.
pub(crate) async fn named(call: &Call, name: Option<&str>) -> Result<TypeFilter, MatrixError> {
    let Some(name) = name else {
        return Ok(TypeFilter::default());
    };
    if name.starts_with('{') {
        return TypeFilter::prepare(name.as_bytes()).map_err(MatrixError::InvalidParam);
    }
    let unknown = MatrixError::InvalidParam("the filter is unknown");
    let Ok(filter) = name.parse() else {
        return Err(unknown);
    };
    match call.app.store.filter(call.user()?, filter).await? {
        Some(stored) => stored.types().map_err(MatrixError::InvalidParam),
        None => Err(unknown),
    }
}

/// Bytes of a stored filter: anyone who keeps as many as there may be keeps them all in memory.
const MAX_DEFINITION: usize = 32 * 1024;

const NO_SUCH_FILTER: MatrixError = MatrixError::NotFound("no such filter");
