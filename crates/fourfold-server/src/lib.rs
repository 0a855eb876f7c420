//! The Client-Server endpoints that Matrix secret storage needs, on an embedded database.
//!
//! One process, one folder, one SQLite file. There are accounts, devices, account data and `/sync`;
//! there are no rooms and there is no federation. A write that was answered is on the disk and is
//! seen by every later read and sync.
//!
//! This crate links no cryptography of secret storage: its manifest shows that it cannot decrypt
//! what it stores.
//!
//! # Starting one
//!
//! ```
//! # async fn example() -> Result<(), fourfold_server::StartError> {
//! let mut config = fourfold_server::Config::new("localhost", "/var/lib/fourfold");
//! config.network.bind = ([127, 0, 0, 1], 0).into();
//! let server = fourfold_server::Server::bind(config).await?;
//! let address = server.local_addr();
//! # let _ = address;
//! let stop = tokio::sync::oneshot::channel::<()>();
//! server.run(async { drop(stop.1.await) }).await;
//! # Ok(())
//! # }
//! ```

mod app;
mod auth;
mod bounded;
mod call;
mod clock;
mod config;
mod data_folder;
mod default_rules;
mod endpoints;
mod homeserver;
mod http;
mod router;
mod routes;
mod server;
mod start_error;
pub mod store;

pub use self::clock::Clock;
pub use self::config::{
    AccountConfig, BodyLimits, Config, Limits, LoginRates, MemoryLimits, NetworkConfig,
    PasswordCost, Rate, RateLimits, StorageConfig, StrangerRates,
};
pub use self::homeserver::{AccountError, Homeserver};
pub use self::routes::{Access, PREFIXES, RouteDescription, routes};
pub use self::server::Server;
pub use self::start_error::StartError;
