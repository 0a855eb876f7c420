//! A homeserver: its address and the way to it.

use crate::transport::Transport;
use crate::{Error, Options};

/// A homeserver: a base URL, and the HTTP client that talks to it and to nobody else. Cheap to
/// clone.
///
/// ```
/// use fourfold_client::{Homeserver, Options};
/// let homeserver = Homeserver::new("http://localhost:8008/", &Options::default())?;
/// assert_eq!(homeserver.base_url(), "http://localhost:8008");
/// assert!(Homeserver::new("http://example.org", &Options::default()).is_err());
/// # Ok::<(), fourfold_client::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Homeserver {
    pub(crate) transport: Transport,
    pub(crate) discovered_from: Option<String>,
}

impl Homeserver {
    /// Takes the address of the Client-Server API. Nothing is sent.
    ///
    /// A proxy that the environment names (`HTTPS_PROXY`, `NO_PROXY` …) is used, except on the way
    /// to this machine.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`](crate::ErrorKind::InvalidUrl),
    /// [`InsecureUrl`](crate::ErrorKind::InsecureUrl) for plain HTTP to another machine, or
    /// [`Tls`](crate::ErrorKind::Tls) when this machine has no certificates to trust.
    pub fn new(base_url: &str, options: &Options) -> Result<Self, Error> {
        Ok(Self {
            transport: Transport::new(base_url, options)?,
            discovered_from: None,
        })
    }

    /// The address, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.transport.base_url()
    }

    /// The address whose `/.well-known/matrix/client` led here, when it is of another origin.
    #[must_use]
    pub fn discovered_from(&self) -> Option<&str> {
        self.discovered_from.as_deref()
    }

    /// Returns `true` if a server has this name for all that its addresses say: where it is, or
    /// whose well-known file led there.
    pub(crate) fn is_called(&self, server_name: &str) -> bool {
        let addresses = [Some(self.base_url()), self.discovered_from()];
        addresses
            .into_iter()
            .flatten()
            .any(|address| is_at(server_name, address))
    }
}

/// Returns `true` if a server name is the authority of an address, with or without the port that
/// goes without saying.
fn is_at(server_name: &str, address: &str) -> bool {
    let Some((scheme, rest)) = address.split_once("://") else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let default_port = if scheme == "https" { ":443" } else { ":80" };
    !authority.is_empty()
        && (server_name == authority || server_name.strip_suffix(default_port) == Some(authority))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccessToken, ErrorKind, Session};

    fn kind(base_url: &str) -> ErrorKind {
        Homeserver::new(base_url, &Options::default())
            .unwrap_err()
            .kind()
            .clone()
    }

    // shows: LIB-23
    #[test]
    fn plain_http_stays_on_this_machine() {
        for base_url in [
            "http://example.org",
            "http://localhost.example.org",
            "http://127.0.0.1.example.org",
            "http://10.0.0.1:8008",
            "http://[2001:db8::1]",
        ] {
            assert_eq!(kind(base_url), ErrorKind::InsecureUrl, "{base_url}");
            let options = Options {
                allow_http: true,
                ..Options::default()
            };
            Homeserver::new(base_url, &options).unwrap();
        }
        for base_url in [
            "http://localhost",
            "http://LOCALHOST:8008/",
            "http://a.localhost:1",
            "http://127.0.0.2:8008",
            "http://[::1]:8008",
        ] {
            Homeserver::new(base_url, &Options::default()).unwrap();
        }
    }

    #[test]
    fn only_addresses_of_servers_are_accepted() {
        for base_url in [
            "",
            "example.org",
            "ftp://example.org",
            "file:///etc/passwd",
            "https://user@example.org",
            "https://user:pass@example.org",
            "https://example.org/?a",
            "https://example.org/#a",
            "https://",
        ] {
            assert!(
                matches!(kind(base_url), ErrorKind::InvalidUrl { .. }),
                "{base_url}"
            );
        }
    }

    // shows: LIB-23
    #[test]
    fn the_token_of_a_session_stays_with_its_homeserver() {
        let homeserver = Homeserver::new("http://localhost:1", &Options::default()).unwrap();
        let session = |address: &str| Session::new(address, "@a:h", None, AccessToken::new("t"));
        homeserver.account(session("http://localhost:1/")).unwrap();
        for address in [
            "http://localhost:2",
            "https://localhost:1",
            "http://127.0.0.1:1",
        ] {
            let error = homeserver.account(session(address)).unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::OtherHomeserver, "{address}");
        }
    }
}
