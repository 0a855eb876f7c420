//! The commands, one module each.

pub(crate) mod agent;
pub(crate) mod device;
pub(crate) mod generate;
pub(crate) mod get;
pub(crate) mod key;
pub(crate) mod kit;
pub(crate) mod lock;
pub(crate) mod login;
pub(crate) mod ls;
pub(crate) mod put;
pub(crate) mod quickstart;
pub(crate) mod request;
pub(crate) mod resume;
pub(crate) mod rm;
pub(crate) mod serve;
pub(crate) mod setup;
pub(crate) mod status;
pub(crate) mod unlock;
