//! How far a step is.

/// The state of a step, compared with the server.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "every state of a step is listed")]
pub enum StepState {
    /// Something else is there than was expected: somebody changed it in the meantime. Stop.
    Conflict,
    /// What the step would do is done already.
    Done,
    /// What the step expects is there: go on.
    Due,
}
