//! The terminal and the streams: messages, data, questions, secrets that come in, signals.

pub(crate) mod duration;
pub(crate) mod input;
pub(crate) mod messages;
pub(crate) mod output;
pub(crate) mod prompt;
pub(crate) mod shown;
pub(crate) mod signals;
