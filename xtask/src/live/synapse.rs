//! Synapse, the reference homeserver, in a virtual environment of its own.

use std::fs::File;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::http::Client;
use crate::live::child::Server;
use crate::live::python;
use crate::workspace::Workspace;
use crate::{command, files};

/// The version that the figures in docs/performance.md were taken with.
const VERSION: &str = "1.163.2";

/// How often a start is tried.
const TRIES: u32 = 3;

/// Installs Synapse if it is not there and starts it on a free port, with an empty SQLite database.
pub(crate) fn start(workspace: &Workspace) -> Result<Server, Failure> {
    let home = workspace.target.join("synapse");
    let python = python::install(&home, "matrix-synapse", VERSION)?.join("python");
    let mut tried = 1;
    loop {
        // Another program may take the port between our check and Synapse's.
        match start_on(&home, &python, free_port()?) {
            Err(Failure::Check(_)) if tried < TRIES => tried += 1,
            outcome => return outcome,
        }
    }
}

fn start_on(home: &Path, python: &Path, port: u16) -> Result<Server, Failure> {
    let folder = home.join(format!("run-{}-{port}", std::process::id()));
    let configuration = folder.join("homeserver.json");
    files::write(&folder.join("log.json"), &log_settings().to_string())?;
    files::write(&configuration, &settings(home, &folder, port)?.to_string())?;
    let synapse = || {
        let mut program = Command::new(python);
        program
            .args(["-m", "synapse.app.homeserver", "--config-path"])
            .arg(&configuration);
        program
    };
    if !home.join("signing.key").is_file() {
        command::output(synapse().arg("--generate-keys"))?;
    }
    let base = format!("http://{}:{port}", Ipv4Addr::LOCALHOST);
    let client = Client::new(&base);
    Server::start("Synapse", folder, &mut synapse(), |_| {
        let answer = client.send("GET", "/_matrix/client/versions", None).ok()?;
        (answer.status == 200).then(|| base.clone())
    })
}

/// The configuration, as JSON, which is YAML too.
fn settings(home: &Path, folder: &Path, port: u16) -> Result<Value, Failure> {
    let open = json!({ "per_second": 1_000_000, "burst_count": 1_000_000 });
    let mut settings = json!({
        "server_name": "localhost",
        "pid_file": folder.join("pid"),
        "listeners": [{
            "type": "http",
            "port": port,
            "bind_addresses": [Ipv4Addr::LOCALHOST],
            "resources": [{ "names": ["client"], "compress": false }],
        }],
        "database": { "name": "sqlite3", "args": { "database": folder.join("homeserver.db") } },
        "log_config": folder.join("log.json"),
        "media_store_path": folder.join("media"),
        "signing_key_path": home.join("signing.key"),
        "macaroon_secret_key": random_hex()?,
        "form_secret": random_hex()?,
        "report_stats": false,
        "enable_metrics": false,
        "enable_registration": true,
        "enable_registration_without_verification": true,
        // Logins are not measured.
        "bcrypt_rounds": 4,
        "presence": { "enabled": false },
        // No federation: no other server is known, and none is asked for keys.
        "federation_domain_whitelist": [],
        "trusted_key_servers": [],
        "suppress_key_server_warning": true,
        "rc_login": { "address": open, "account": open, "failed_attempts": open },
    });
    if let Some(members) = settings.as_object_mut() {
        for limit in ["rc_key_requests", "rc_message", "rc_registration"] {
            members.insert(limit.to_owned(), open.clone());
        }
    }
    Ok(settings)
}

fn log_settings() -> Value {
    json!({
        "version": 1,
        "disable_existing_loggers": false,
        "formatters": { "plain": { "format": "%(asctime)s %(levelname)s %(name)s %(message)s" } },
        "handlers": { "out": { "class": "logging.StreamHandler", "formatter": "plain" } },
        "root": { "level": "WARNING", "handlers": ["out"] },
    })
}

fn free_port() -> Result<u16, Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| Failure::Check(format!("finding a free port: {error}")))
}

fn random_hex() -> Result<String, Failure> {
    let mut bytes = [0_u8; 32];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(|error| Failure::Check(format!("reading /dev/urandom: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
