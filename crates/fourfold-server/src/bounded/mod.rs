//! Collections whose memory has a bound, whatever strangers put into them.

pub(crate) mod fingerprint;
pub(crate) mod generations;
