//! A server in a process of its own: to be killed, and to be given a disk that fails.

use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use fourfold_server::Server;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const FOLDER: &str = "FOURFOLD_TEST_SERVE_FOLDER";
const REPORT: &str = "FOURFOLD_TEST_SERVE_REPORT";
const AS_SHIPPED: &str = "FOURFOLD_TEST_SERVE_AS_SHIPPED";

/// Not a test: what the child process runs, which is this program again with a folder to serve. It
/// tells its process and its address, or why it has none, and serves until it is killed, or until
/// nobody listens to it any more: it does not outlive the test that started it. Where no folder is
/// given there is nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serves_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let mut config = fourfold_server::Config::new("localhost", folder);
    config.network.bind.set_port(0);
    if std::env::var_os(AS_SHIPPED).is_none() {
        config.accounts.password_cost = fourfold_server::PasswordCost::minimal();
        config.rate_limits = fourfold_server::RateLimits::disabled();
    }
    let started = Server::bind(config).await;
    let told = match &started {
        Ok(server) => format!("{} {}", std::process::id(), server.local_addr()),
        Err(error) => chain(error),
    };
    let address = std::env::var(REPORT).unwrap();
    let mut report = TcpStream::connect(address).await.unwrap();
    report
        .write_all(format!("{told}\n").as_bytes())
        .await
        .unwrap();
    if let Ok(server) = started {
        let abandoned = async move { drop(report.read(&mut [0]).await) };
        server.run(abandoned).await;
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let causes: Vec<_> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}

/// A server in a process of its own.
pub(crate) struct Victim {
    child: Child,
    log: JoinHandle<String>,
    process: String,
    pub(crate) address: SocketAddr,
    /// The server ends when this is closed.
    _report: BufReader<TcpStream>,
}

impl Victim {
    pub(crate) async fn start(folder: &TempDir) -> Self {
        Self::start_under(&[], folder).await.unwrap()
    }

    /// Starts a server with every limit and cost that a server has by default.
    pub(crate) async fn start_as_shipped(folder: &TempDir) -> Self {
        let settings = [(AS_SHIPPED, "1")];
        Self::start_with(&[], &settings, folder).await.unwrap()
    }

    /// Starts a command that runs the server as its last arguments say; an error when the server
    /// does not start, in its own words.
    pub(crate) async fn start_under(wrapper: &[&str], folder: &TempDir) -> Result<Self, String> {
        Self::start_with(wrapper, &[], folder).await
    }

    async fn start_with(
        wrapper: &[&str],
        settings: &[(&str, &str)],
        folder: &TempDir,
    ) -> Result<Self, String> {
        let reports = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = std::env::current_exe().unwrap();
        let mut command = match wrapper {
            [] => Command::new(server),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(server);
                command
            }
        };
        let mut child = command
            .args(["--exact", "--nocapture"])
            .arg("victim::serves_until_it_is_killed")
            .env(FOLDER, folder.path().join("data"))
            .env(REPORT, reports.local_addr().unwrap().to_string())
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            pipe.read_to_string(&mut log).unwrap();
            log
        });
        let accepted = timeout(Duration::from_secs(60), reports.accept()).await;
        let mut report = BufReader::new(accepted.unwrap().unwrap().0);
        let mut told = String::new();
        report.read_line(&mut told).await.unwrap();
        let told = told.trim_end().to_owned();
        let server = told.split_once(' ').and_then(|(process, address)| {
            Some((process.parse::<u32>().ok()?, address.parse().ok()?))
        });
        let Some((process, address)) = server else {
            child.wait().unwrap();
            return Err(told);
        };
        Ok(Self {
            child,
            log,
            process: process.to_string(),
            address,
            _report: report,
        })
    }

    /// How much memory the server takes, in MiB.
    #[cfg(target_os = "linux")]
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process)).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: u64 = resident
            .unwrap()
            .trim_end_matches("kB")
            .trim()
            .parse()
            .unwrap();
        kib / 1024
    }

    /// How large the files of the server may become; anything beyond cannot be written.
    #[cfg(target_os = "linux")]
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        let bytes = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        let mut command = Command::new("prlimit");
        command.args(["--pid", &self.process, &format!("--fsize={bytes}:")]);
        assert!(command.status().unwrap().success());
    }

    /// Kills the server, whatever it runs under, and returns what it logged.
    pub(crate) fn kill(mut self) -> String {
        let kill = ["-c", "kill -9 \"$0\"", &self.process];
        let killed = Command::new("sh").args(kill).status();
        assert!(killed.unwrap().success());
        self.child.wait().unwrap();
        self.log.join().unwrap()
    }
}

/// Whether the tests that need a program can run. In CI they must.
#[cfg(target_os = "linux")]
pub(crate) fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    assert!(
        found || std::env::var_os("CI").is_none(),
        "install {program}"
    );
    if !found {
        skipped(program);
    }
    found
}

#[cfg(target_os = "linux")]
#[expect(clippy::print_stderr, reason = "a test that does nothing says so")]
fn skipped(program: &str) {
    eprintln!("skipped: {program} is not installed");
}
