//! TLS: certificates as the operating system trusts them.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::error::{Error, ErrorKind};

/// The configuration for a server. For one that is reached over plain HTTP nothing is trusted, so
/// that a machine without any certificates can still talk to itself.
pub(super) fn configuration(is_https: bool) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions();
    let configuration = builder.and_then(|builder| {
        if is_https {
            builder.with_platform_verifier()
        } else {
            Ok(builder.with_root_certificates(RootCertStore::empty()))
        }
    });
    let mut configuration = configuration
        .map_err(|error| Error::from(ErrorKind::Tls).because(error))?
        .with_no_client_auth();
    configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(configuration)
}

/// Returns `true` if an error comes from TLS: then another attempt changes nothing.
pub(super) fn is_to_blame(error: &(dyn std::error::Error + 'static)) -> bool {
    if error.is::<rustls::Error>() {
        return true;
    }
    // An I/O error does not name the error inside of it as its source, but the source of that.
    let inner = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref);
    inner.is_some_and(|inner| is_to_blame(inner)) || error.source().is_some_and(is_to_blame)
}
