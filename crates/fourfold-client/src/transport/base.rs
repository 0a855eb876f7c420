//! The address of a homeserver.

use reqwest::Url;

use crate::error::{Error, ErrorKind};
use crate::{Options, escape_untrusted};

/// The address of a homeserver, checked.
pub(super) struct Base {
    pub(super) text: String,
    pub(super) is_https: bool,
    pub(super) is_loopback: bool,
}

impl Base {
    pub(super) fn read(input: &str, options: &Options) -> Result<Self, Error> {
        let invalid = || {
            Error::from(ErrorKind::InvalidUrl {
                input: escape_untrusted(input),
            })
        };
        let url = Url::parse(input).map_err(|_| invalid())?;
        let host = url.host_str().ok_or_else(invalid)?;
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let is_https = url.scheme() == "https";
        if !is_plain || !(is_https || url.scheme() == "http") {
            return Err(invalid());
        }
        let is_loopback = is_loopback(host);
        if !is_https && !is_loopback && !options.allow_http {
            return Err(ErrorKind::InsecureUrl.into());
        }
        Ok(Self {
            text: url.as_str().trim_end_matches('/').to_owned(),
            is_https,
            is_loopback,
        })
    }
}

/// Returns `true` if a host, as it stands in a URL, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
