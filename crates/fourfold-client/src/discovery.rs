//! Finding the homeserver of a user or of a server name
//! ([Server discovery](https://spec.matrix.org/v1.19/client-server-api/#server-discovery)).

use serde::Deserialize;
use tracing::{debug, instrument};

use crate::error::{Error, ErrorKind};
use crate::path::Path;
use crate::transport::{Request, is_loopback};
use crate::{Homeserver, Options, escape_untrusted};

impl Homeserver {
    /// Finds a homeserver by its address (`https://matrix.example.org`), by the name of the server
    /// (`example.org`) or by a user ID (`@alice:example.org`), and asks it whether it is one.
    ///
    /// A server name is looked up in `/.well-known/matrix/client`, and taken for an address when
    /// nothing is found there; so is a host in an address that is no homeserver itself. The name of
    /// this machine (`localhost:8008`) means plain HTTP. Redirects are not followed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidUrl`] when the input is none of these, [`ErrorKind::InsecureUrl`], and
    /// whatever [`Error`] the last address gave.
    pub async fn discover(input: &str) -> Result<Self, Error> {
        Self::discover_with(input, &Options::default()).await
    }

    /// As [`discover`](Self::discover), with other options than the defaults.
    ///
    /// # Errors
    ///
    /// As [`discover`](Self::discover).
    #[instrument(level = "debug", skip_all)]
    pub async fn discover_with(input: &str, options: &Options) -> Result<Self, Error> {
        let input = input.trim();
        if input.contains("://") {
            let direct = Self::new(input, options)?;
            let Err(error) = direct.probe().await else {
                return Ok(direct);
            };
            if !matches!(
                error.kind(),
                ErrorKind::NotAHomeserver { .. } | ErrorKind::Malformed { .. }
            ) {
                return Err(error);
            }
            return match direct.look_up(options).await {
                Some(found) => found,
                None => Err(error),
            };
        }
        let invalid = || ErrorKind::InvalidUrl {
            input: escape_untrusted(input),
        };
        let server_name = match input.strip_prefix('@') {
            Some(user) => user.split_once(':').ok_or_else(invalid)?.1,
            None => input,
        };
        let host = host_of(server_name).ok_or_else(invalid)?;
        if is_loopback(host) {
            let homeserver = Self::new(&format!("http://{server_name}"), options)?;
            homeserver.probe().await?;
            return Ok(homeserver);
        }
        let well_known = Self::new(&format!("https://{host}"), options)?;
        if let Some(found) = well_known.look_up(options).await {
            return found;
        }
        let homeserver = Self::new(&format!("https://{server_name}"), options)?;
        homeserver.probe().await?;
        Ok(homeserver)
    }

    /// Asks whether it is a homeserver.
    async fn probe(&self) -> Result<(), Error> {
        #[derive(Deserialize)]
        struct Versions {
            #[expect(dead_code, reason = "only its presence counts")]
            versions: Vec<String>,
        }
        let path = Path::fixed("/_matrix/client/versions");
        let request = Request::get(path).with_attempts(ATTEMPTS);
        let answer = self.transport.send(&request).await?;
        let status = answer.status();
        match answer.json::<Versions>("/versions") {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::from(ErrorKind::NotAHomeserver { status }).at(self.base_url())),
        }
    }

    /// Follows `/.well-known/matrix/client`; `None` when there is nothing usable.
    async fn look_up(&self, options: &Options) -> Option<Result<Self, Error>> {
        let path = Path::fixed("/.well-known/matrix/client");
        let request = Request::get(path).with_attempts(ATTEMPTS);
        let answer = self.transport.send(&request).await;
        let well_known: WellKnown = match answer.and_then(|answer| answer.json("/.well-known")) {
            Ok(well_known) => well_known,
            Err(error) => {
                debug!(kind = ?error.kind(), "no well-known file");
                return None;
            }
        };
        Some(self.follow(&well_known, options).await)
    }

    async fn follow(&self, well_known: &WellKnown, options: &Options) -> Result<Self, Error> {
        let mut found = Self::new(&well_known.homeserver.base_url, options)
            .map_err(|error| error.at(self.base_url()))?;
        found.probe().await?;
        if found.base_url() != self.base_url() {
            found.discovered_from = Some(self.base_url().to_owned());
        }
        Ok(found)
    }
}

/// A user who mistyped a name should not wait long for the error.
const ATTEMPTS: u32 = 2;

#[derive(Deserialize)]
struct WellKnown {
    #[serde(rename = "m.homeserver")]
    homeserver: WellKnownHomeserver,
}

#[derive(Deserialize)]
struct WellKnownHomeserver {
    base_url: String,
}

/// The host of a server name, without the port.
fn host_of(server_name: &str) -> Option<&str> {
    let host = match server_name.strip_prefix('[') {
        Some(address) => server_name.get(..address.find(']')? + 2)?,
        None => server_name.split(':').next()?,
    };
    let port = server_name.get(host.len()..)?;
    let is_port = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|port| port.parse::<u16>().is_ok());
    let is_host = !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte));
    (is_host && is_port).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Reply, Server, once};

    fn homeserver() -> Reply {
        Reply::json(200, r#"{"versions": ["v1.11"], "unstable_features": {}}"#)
    }

    /// A host that is no homeserver, with this as its well-known file.
    async fn host(well_known: impl Into<String>) -> Server {
        let well_known = well_known.into();
        Server::start(move |request| match request.target.as_str() {
            "/.well-known/matrix/client" => Reply::json(200, &well_known),
            _ => Reply::html(404),
        })
        .await
    }

    fn pointing_to(base_url: &str) -> String {
        format!(r#"{{"m.homeserver": {{"base_url": "{base_url}"}}, "org.example": null}}"#)
    }

    #[test]
    fn hosts_are_told_from_ports() {
        for (server_name, host) in [
            ("example.org", Some("example.org")),
            ("example.org:8448", Some("example.org")),
            ("[::1]:8008", Some("[::1]")),
            ("[2001:db8::1]", Some("[2001:db8::1]")),
            ("127.0.0.1:8008", Some("127.0.0.1")),
            ("", None),
            (":8008", None),
            ("example.org:", None),
            ("example.org:99999", None),
            ("example.org/path", None),
            ("user@example.org", None),
            ("[::1", None),
            ("exa mple.org", None),
            ("example.org:8448:8448", None),
        ] {
            assert_eq!(host_of(server_name), host, "{server_name}");
        }
    }

    #[tokio::test]
    async fn finds_this_machine_by_every_form_of_its_name() {
        let server = Server::start(|_| homeserver()).await;
        let name = server.server_name();
        for input in [
            name.to_owned(),
            format!(" {name}\n"),
            format!("@alice:{name}"),
            format!("http://{name}"),
            format!("http://{name}/"),
        ] {
            let found = Homeserver::discover_with(&input, &once()).await.unwrap();
            assert_eq!(found.base_url(), server.base_url, "{input}");
            assert_eq!(found.discovered_from(), None);
        }
        let targets: Vec<_> = server.received().into_iter().map(|it| it.target).collect();
        assert_eq!(targets, ["/_matrix/client/versions"; 5]);
    }

    #[tokio::test]
    async fn follows_the_well_known_file_and_says_so() {
        let server = Server::start(|_| homeserver()).await;
        let host = host(pointing_to(&format!("{}/", server.base_url))).await;
        let found = Homeserver::discover_with(&host.base_url, &once())
            .await
            .unwrap();
        assert_eq!(found.base_url(), server.base_url);
        assert_eq!(found.discovered_from(), Some(host.base_url.as_str()));
    }

    #[tokio::test]
    async fn a_useless_well_known_file_leaves_the_first_error() {
        for well_known in [
            "<html>",
            "{}",
            r#"{"m.homeserver": {}}"#,
            r#"{"m.homeserver": 7}"#,
        ] {
            let host = host(well_known).await;
            let error = Homeserver::discover_with(&host.base_url, &once())
                .await
                .unwrap_err();
            assert_eq!(
                error.kind(),
                &ErrorKind::NotAHomeserver { status: 404 },
                "{well_known}"
            );
        }
    }

    // shows: LIB-23
    #[tokio::test]
    async fn the_well_known_file_cannot_lead_to_plain_http() {
        for (base_url, kind) in [
            ("http://example.org", ErrorKind::InsecureUrl),
            (
                "file:///etc/passwd",
                ErrorKind::InvalidUrl {
                    input: "file:///etc/passwd".into(),
                },
            ),
            (
                "",
                ErrorKind::InvalidUrl {
                    input: String::new(),
                },
            ),
        ] {
            let host = host(pointing_to(base_url)).await;
            let error = Homeserver::discover_with(&host.base_url, &once())
                .await
                .unwrap_err();
            assert_eq!(error.kind(), &kind);
        }
    }

    #[tokio::test]
    async fn the_well_known_file_is_not_looked_for_behind_redirects() {
        let server = Server::start(|_| homeserver()).await;
        let location = server.base_url.clone();
        let host = Server::start(move |request| match request.target.as_str() {
            "/.well-known/matrix/client" => {
                Reply::Http(308, vec![("location", location.clone())], String::new())
            }
            _ => Reply::html(404),
        })
        .await;
        assert!(
            Homeserver::discover_with(&host.base_url, &once())
                .await
                .is_err()
        );
        assert!(server.received().is_empty());
    }

    #[tokio::test]
    async fn what_the_file_points_to_must_be_a_homeserver() {
        let server = Server::start(|_| Reply::json(200, r#"{"versions": 7}"#)).await;
        let host = host(pointing_to(&server.base_url)).await;
        let error = Homeserver::discover_with(&host.base_url, &once())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::NotAHomeserver { status: 200 });
        assert_eq!(error.server(), Some(server.base_url.as_str()));
    }

    #[tokio::test]
    async fn other_inputs_are_refused_before_anything_is_sent() {
        for input in [
            "",
            "@alice",
            "exam ple.org",
            "example.org/path",
            "ftp://example.org",
        ] {
            let error = Homeserver::discover_with(input, &once()).await.unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::InvalidUrl { .. }),
                "{input}"
            );
        }
        let error = Homeserver::discover_with("http://example.org", &once())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::InsecureUrl);
    }
}
