//! The one table of everything that is served.
//!
//! The router is made from it and so is the authorisation test: a route that is not here does not
//! exist, and a route that is here is tested. Who may call is a column, enforced before a handler
//! runs, so that no handler can forget it.

use std::future::Future;
use std::pin::Pin;

use axum::routing::MethodFilter;

use crate::call::Call;
use crate::endpoints::{
    account_data, account_data_history, devices, discovery, filter, idle, key_backup, keys, login,
    push_rules, registration, session, sync, to_device,
};
use crate::http::answer::Handled;

/// The access to a route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Access {
    /// Anyone.
    Public,
    /// Users with a session.
    Session,
    /// Users with a session whose ID the path names as `{userId}`. Anyone else gets the
    /// same 403, whether that user exists or not.
    Owner,
}

/// One route as the table has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RouteDescription {
    /// `GET`, `PUT`, `POST` or `DELETE`.
    pub method: &'static str,
    /// The path under [`PREFIXES`], or the whole path when `prefixed` is false; parameters are in
    /// braces.
    pub path: &'static str,
    /// Whether the path stands under each of [`PREFIXES`].
    pub prefixed: bool,
    /// The access.
    pub access: Access,
}

/// Every route.
pub fn routes() -> impl Iterator<Item = RouteDescription> {
    ROUTES.iter().map(|route| RouteDescription {
        method: route.method.name(),
        path: route.path,
        prefixed: route.prefixed,
        access: route.access,
    })
}

/// Where the Client-Server API stands: today's prefix, and the one that clients of 2019 ask for.
pub const PREFIXES: [&str; 2] = ["/_matrix/client/v3", "/_matrix/client/r0"];

pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) prefixed: bool,
    pub(crate) access: Access,
    pub(crate) body: BodyLimit,
    pub(crate) handler: Handler,
}

#[derive(Clone, Copy)]
pub(crate) enum Method {
    Get,
    Put,
    Post,
    Delete,
}

impl Method {
    pub(crate) fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Put => MethodFilter::PUT,
            Self::Post => MethodFilter::POST,
            Self::Delete => MethodFilter::DELETE,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// The limit on the body of a route.
#[derive(Clone, Copy)]
pub(crate) enum BodyLimit {
    /// None: what comes is ignored, and the connection may close after the answer.
    None,
    /// [`BodyLimits::other`](crate::BodyLimits::other).
    Ordinary,
    /// [`BodyLimits::of_stranger`](crate::BodyLimits::of_stranger).
    Stranger,
    /// [`BodyLimits::account_data`](crate::BodyLimits::account_data).
    AccountData,
    /// [`BodyLimits::key_backup`](crate::BodyLimits::key_backup).
    KeyBackup,
}

pub(crate) type Handler = fn(Call) -> Pin<Box<dyn Future<Output = Handled> + Send>>;

/// `METHOD "path", who may call, handler` for a path under the prefixes; `at` for a whole path;
/// `reads` names the limit of a body that is read.
macro_rules! route {
    ($method:ident at $path:literal, $access:ident, $handler:path) => {
        route!($method at $path, $access, $handler, reads None)
    };
    ($method:ident at $path:literal, $access:ident, $handler:path, reads $body:ident) => {
        Route {
            method: Method::$method,
            path: $path,
            prefixed: false,
            access: Access::$access,
            body: BodyLimit::$body,
            handler: |call| Box::pin($handler(call)),
        }
    };
    ($method:ident $path:literal, $access:ident, $handler:path) => {
        route!($method $path, $access, $handler, reads None)
    };
    ($method:ident $path:literal, $access:ident, $handler:path, reads $body:ident) => {
        Route {
            method: Method::$method,
            path: $path,
            prefixed: true,
            access: Access::$access,
            body: BodyLimit::$body,
            handler: |call| Box::pin($handler(call)),
        }
    };
}

pub(crate) static ROUTES: &[Route] = &[
    // Discovery
    route!(Get at "/_matrix/client/versions", Public, discovery::versions),
    route!(Get at "/.well-known/matrix/client", Public, discovery::well_known),
    route!(Get "/capabilities", Session, discovery::capabilities),
    // Accounts and sessions
    route!(Post "/register", Public, registration::register, reads Stranger),
    route!(Get "/register/available", Public, registration::available),
    route!(Get "/login", Public, login::flows),
    route!(Post "/login", Public, login::login, reads Stranger),
    route!(Post "/refresh", Public, session::refresh, reads Stranger),
    route!(Post "/logout", Session, session::logout, reads Ordinary),
    route!(Post "/logout/all", Session, session::logout_all, reads Ordinary),
    route!(Get "/account/whoami", Session, session::whoami),
    // Devices
    route!(Get "/devices", Session, devices::list),
    route!(Get "/devices/{deviceId}", Session, devices::show),
    route!(Put "/devices/{deviceId}", Session, devices::rename, reads Ordinary),
    route!(Delete "/devices/{deviceId}", Session, devices::delete, reads Ordinary),
    route!(Post "/delete_devices", Session, devices::delete_many, reads Ordinary),
    // Keys
    route!(Post "/keys/upload", Session, keys::upload, reads Ordinary),
    route!(Post "/keys/query", Session, keys::query, reads Ordinary),
    route!(Post "/keys/claim", Session, keys::claim, reads Ordinary),
    route!(Get "/keys/changes", Session, keys::changes),
    route!(Post "/keys/device_signing/upload", Session, keys::upload_cross_signing,
        reads Ordinary),
    route!(Post at "/_matrix/client/unstable/keys/device_signing/upload", Session,
        keys::upload_cross_signing, reads Ordinary),
    route!(Post "/keys/signatures/upload", Session, keys::upload_signatures, reads Ordinary),
    route!(Post at "/_matrix/client/unstable/keys/signatures/upload", Session,
        keys::upload_signatures, reads Ordinary),
    // Account data
    route!(Get "/user/{userId}/account_data/{type}", Owner, account_data::show),
    route!(Put "/user/{userId}/account_data/{type}", Owner, account_data::replace,
        reads AccountData),
    route!(Get "/user/{userId}/rooms/{roomId}/account_data/{type}", Owner, account_data::show),
    route!(Put "/user/{userId}/rooms/{roomId}/account_data/{type}", Owner, account_data::replace,
        reads AccountData),
    route!(Get at "/_matrix/client/unstable/org.fourfold/account_data_history", Session,
        account_data_history::show),
    route!(Delete at "/_matrix/client/unstable/org.fourfold/account_data_history", Session,
        account_data_history::forget, reads Ordinary),
    // Key backup
    route!(Post "/room_keys/version", Session, key_backup::create, reads Ordinary),
    route!(Get "/room_keys/version", Session, key_backup::current),
    route!(Get "/room_keys/version/{version}", Session, key_backup::show),
    route!(Put "/room_keys/version/{version}", Session, key_backup::replace, reads Ordinary),
    route!(Delete "/room_keys/version/{version}", Session, key_backup::delete),
    route!(Get "/room_keys/keys", Session, key_backup::all_keys),
    route!(Put "/room_keys/keys", Session, key_backup::put_all_keys, reads KeyBackup),
    route!(Delete "/room_keys/keys", Session, key_backup::delete_keys),
    route!(Get "/room_keys/keys/{roomId}", Session, key_backup::room_keys),
    route!(Put "/room_keys/keys/{roomId}", Session, key_backup::put_room_keys, reads KeyBackup),
    route!(Delete "/room_keys/keys/{roomId}", Session, key_backup::delete_keys),
    route!(Get "/room_keys/keys/{roomId}/{sessionId}", Session, key_backup::key),
    route!(Put "/room_keys/keys/{roomId}/{sessionId}", Session, key_backup::put_key,
        reads KeyBackup),
    route!(Delete "/room_keys/keys/{roomId}/{sessionId}", Session, key_backup::delete_keys),
    // Sync
    route!(Post "/user/{userId}/filter", Owner, filter::create, reads Ordinary),
    route!(Get "/user/{userId}/filter/{filterId}", Owner, filter::show),
    route!(Put "/sendToDevice/{eventType}/{txnId}", Session, to_device::send, reads Ordinary),
    route!(Get "/sync", Session, sync::sync),
    route!(Get "/pushrules/", Session, push_rules::all),
    route!(Get "/pushrules/global/", Session, push_rules::global),
    // What clients ask for when they start, and what this server has nothing of
    route!(Get "/voip/turnServer", Session, idle::empty),
    route!(Get "/thirdparty/protocols", Session, idle::empty),
    route!(Get "/joined_rooms", Session, idle::joined_rooms),
    route!(Get "/pushers", Session, idle::pushers),
    route!(Get "/notifications", Session, idle::notifications),
    route!(Get "/account/3pid", Session, idle::third_party_ids),
    route!(Get "/profile/{userId}", Session, idle::profile),
    route!(Get "/profile/{userId}/displayname", Session, idle::profile),
    route!(Get "/profile/{userId}/avatar_url", Session, idle::profile),
    route!(Get at "/_matrix/client/v1/media/config", Session, idle::media_config),
    route!(Get at "/_matrix/media/v3/config", Session, idle::media_config),
];

#[cfg(test)]
mod tests {
    use super::*;

    // shows: SRV-10
    #[test]
    fn strangers_send_little() {
        for route in ROUTES.iter().filter(|it| it.access == Access::Public) {
            let is_little = matches!(route.body, BodyLimit::None | BodyLimit::Stranger);
            assert!(is_little, "{}", route.path);
        }
    }

    // shows: SRV-02
    #[test]
    fn whoever_is_named_in_the_path_owns_it() {
        for route in ROUTES
            .iter()
            .filter(|route| route.path.starts_with("/user/{userId}"))
        {
            assert_eq!(route.access, Access::Owner, "{}", route.path);
        }
        for route in ROUTES.iter().filter(|route| route.access == Access::Owner) {
            assert!(route.path.contains("{userId}"), "{}", route.path);
        }
    }
}
