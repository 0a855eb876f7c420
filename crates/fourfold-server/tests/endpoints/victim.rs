//! A server in a process of its own, to be killed.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fourfold_server::Server;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const FOLDER: &str = "FOURFOLD_TEST_SERVE_FOLDER";
const REPORT: &str = "FOURFOLD_TEST_SERVE_REPORT";

/// Not a test: what the child process runs. It tells its address and serves until
/// it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the tests that kill it"]
async fn serves_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let mut config = fourfold_server::Config::new("localhost", folder);
    config.bind.set_port(0);
    config.password_cost = fourfold_server::PasswordCost::minimal();
    config.rate_limits = fourfold_server::RateLimits::disabled();
    let server = Server::bind(config).await.unwrap();
    let mut report = TcpStream::connect(std::env::var(REPORT).unwrap())
        .await
        .unwrap();
    report
        .write_all(server.local_addr().to_string().as_bytes())
        .await
        .unwrap();
    drop(report);
    server.run(std::future::pending()).await;
}

/// A server in a process of its own.
pub(crate) struct Victim {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Victim {
    pub(crate) async fn start(folder: &TempDir) -> Self {
        let reports = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "victim::serves_until_it_is_killed"])
            .env(FOLDER, folder.path().join("data"))
            .env(REPORT, reports.local_addr().unwrap().to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (mut report, _) = timeout(Duration::from_secs(60), reports.accept())
            .await
            .unwrap()
            .unwrap();
        let mut address = String::new();
        report.read_to_string(&mut address).await.unwrap();
        let address = address.parse().unwrap();
        Self { child, address }
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
