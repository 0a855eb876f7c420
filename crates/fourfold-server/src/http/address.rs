//! Where a request comes from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::request::Parts;

/// The address that a connection comes from; the socket puts it into the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerAddress(pub(crate) IpAddr);

/// The address of the client: of the connection, or the one that the proxy in front wrote when that is
/// trusted.
pub(crate) fn of(parts: &Parts, trust_forwarded_for: bool) -> IpAddr {
    let peer = parts.extensions.get::<PeerAddress>();
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
    if !trust_forwarded_for {
        return peer;
    }
    // The last entry is the one that the proxy next to us wrote.
    let forwarded = parts.headers.get_all("x-forwarded-for").iter().next_back();
    forwarded
        .and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok())
        .unwrap_or(peer)
}

/// The network under which an address is limited. Those of IPv6 are handed out as /64.
pub(crate) fn address_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}
