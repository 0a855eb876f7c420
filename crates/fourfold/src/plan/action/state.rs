//! How far a step is.

/// The state of a step, compared with the server.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "every state of a step is listed")]
pub enum StepState {
    /// Something else is there than was expected: somebody changed it in the meantime. Stop.
    Conflict,
    /// The step is already done.
    Done,
    /// The expected state is there: the step can be applied.
    Due,
}
