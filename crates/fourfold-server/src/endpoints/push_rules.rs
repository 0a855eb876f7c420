//! `/pushrules/`: the default rules.

use crate::call::Call;
use crate::default_rules::ruleset;
use crate::http::answer::{self, Handled};

/// `GET /pushrules/`.
pub(crate) async fn all(call: Call) -> Handled {
    Ok(answer::raw(call.app.default_rules.content(call.user()?)?))
}

/// `GET /pushrules/global/`.
pub(crate) async fn global(call: Call) -> Handled {
    answer::json(&ruleset(call.user()?)?)
}
