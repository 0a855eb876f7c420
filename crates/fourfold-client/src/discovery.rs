//! Finding the homeserver of a user or of a server name
//! ([Server discovery](https://spec.matrix.org/v1.19/client-server-api/#server-discovery)).

use serde::Deserialize;
use tracing::{debug, instrument};

use crate::{
    Homeserver, Options,
    error::{Error, ErrorKind},
    escape_untrusted,
    path::Path,
    transport::{Request, is_loopback},
};

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
    #[instrument(level = "debug", skip_all)]
    pub async fn discover(input: &str, options: &Options) -> Result<Self, Error> {
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
        let answer = self.transport.send(&Request::get(path)).await?;
        let status = answer.status();
        match answer.json::<Versions>("/versions") {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::from(ErrorKind::NotAHomeserver { status }).at(self.base_url())),
        }
    }

    /// Follows `/.well-known/matrix/client`; `None` when there is nothing usable.
    async fn look_up(&self, options: &Options) -> Option<Result<Self, Error>> {
        let path = Path::fixed("/.well-known/matrix/client");
        let answer = self.transport.send(&Request::get(path)).await;
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
