//! A homeserver for one test, `fourfold serve` on a free port, and the people on it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout};
use std::thread::JoinHandle;

use fourfold::Snapshot;
use fourfold_client::{Account, LoginName, Options, Password};

use crate::invocation::{Folder, Invocation, fourfold};
use crate::peer;
use crate::proxy::Proxy;

/// The password of everybody.
pub(crate) const PASSWORD: &str = "a login password, which opens no secret";

/// A server that ends with its value.
pub(crate) struct Homeserver {
    child: Child,
    // A pipe that nobody holds would be a broken one.
    _stdout: BufReader<ChildStdout>,
    pub(crate) address: String,
    log: Option<JoinHandle<String>>,
    folder: Option<Folder>,
}

impl Homeserver {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(options: &[&str]) -> Self {
        let folder = Folder::new();
        let mut child = fourfold([
            "serve",
            "--bind",
            "127.0.0.1:0",
            "--no-rate-limits",
            "--data",
        ])
        .arguments([folder.name_of("data").as_str()])
        .arguments(options.iter().copied())
        .spawn();
        // Read all the time: a full pipe would stop the server.
        let mut stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).unwrap();
            log
        });
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap();
        Self {
            child,
            address: address.to_owned(),
            _stdout: stdout,
            log: Some(log),
            folder: Some(folder),
        }
    }

    /// Stops it as an administrator would: its folder, and what it logged.
    pub(crate) fn stop(mut self) -> (Folder, String) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
        let log = self.log.take().unwrap().join().unwrap();
        assert!(log.ends_with("stopped\n"), "{log}");
        (self.folder.take().unwrap(), log)
    }

    /// Registers a user. Nobody is logged in after that.
    pub(crate) fn register(&self, name: &str) {
        let account = self.with_client(async |homeserver| {
            let password = Password::new(PASSWORD);
            let session = homeserver.register(&name_of(name), &password, None).await;
            homeserver.account(session.unwrap()).unwrap()
        });
        wait(account.log_out()).unwrap();
    }

    /// A user who is registered and logged in, on a machine of their own.
    pub(crate) fn person(&self, name: &str) -> Person {
        self.person_at(&self.address, name)
    }

    /// The same, and all that their machine sends goes through the proxy.
    pub(crate) fn person_through(&self, proxy: &Proxy, name: &str) -> Person {
        self.person_at(&proxy.address, name)
    }

    fn person_at(&self, address: &str, name: &str) -> Person {
        self.register(name);
        let person = Person::at(address, name);
        person.log_in().run().succeeds();
        person
    }

    /// Another client of a user.
    pub(crate) fn other_client(&self, name: &str) -> OtherClient {
        OtherClient(self.with_client(async |homeserver| {
            let password = Password::new(PASSWORD);
            let name = name_of(name);
            let log_in = homeserver.log_in(name.as_str(), &password);
            let session = log_in.session().await;
            homeserver.account(session.unwrap()).unwrap()
        }))
    }

    fn with_client<T>(&self, work: impl AsyncFnOnce(fourfold_client::Homeserver) -> T) -> T {
        let client = fourfold_client::Homeserver::new(&self.address, &Options::default()).unwrap();
        wait(work(client))
    }
}

impl Drop for Homeserver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody at a machine of their own, with files of their own.
pub(crate) struct Person {
    pub(crate) user_id: String,
    pub(crate) address: String,
    pub(crate) folder: Folder,
}

impl Person {
    pub(crate) fn at(address: &str, name: &str) -> Self {
        Self {
            user_id: format!("@{name}:localhost"),
            address: address.to_owned(),
            folder: Folder::new(),
        }
    }

    pub(crate) fn log_in(&self) -> Invocation {
        self.call(&[
            "login",
            &self.user_id,
            "--homeserver",
            &self.address,
            "--password-file",
            "-",
        ])
        .stdin(PASSWORD)
    }

    /// `fourfold ARGUMENTS… --state …`
    pub(crate) fn call(&self, arguments: &[&str]) -> Invocation {
        fourfold(arguments).arguments(["--state", self.state().to_str().unwrap()])
    }

    /// Sets up secret storage, with the recovery key in a file of this name.
    pub(crate) fn set_up(&self, recovery_key: &str) {
        let file = self.folder.name_of(recovery_key);
        self.call(&[
            "setup",
            "--storage-only",
            "--yes",
            "--recovery-key-out",
            &file,
        ])
        .run()
        .succeeds();
    }

    /// Makes another key, with its recovery key in a file of this name. Returns its ID.
    pub(crate) fn new_key(&self, recovery_key: &str) -> String {
        let file = self.folder.name_of(recovery_key);
        let made = self
            .call(&["key", "new", "--yes", "--json", "--recovery-key-out", &file])
            .run()
            .json();
        made["key_id"].as_str().unwrap().to_owned()
    }

    /// `put NAME -` with the recovery key in a file of this name.
    pub(crate) fn put(&self, name: &str, secret: &str, recovery_key: &str) -> Invocation {
        self.change(&["put", name, "-"], &[recovery_key])
            .stdin(secret)
    }

    /// `get NAME` with the recovery key in a file of this name.
    pub(crate) fn get(&self, name: &str, recovery_key: &str) -> Invocation {
        let file = self.folder.name_of(recovery_key);
        self.call(&["get", name, "--recovery-key-file", &file])
    }

    /// A change that is not asked about, with the recovery keys in files of these names.
    pub(crate) fn change(&self, arguments: &[&str], recovery_keys: &[&str]) -> Invocation {
        let mut call = self.call(arguments).arguments(["--yes"]);
        for name in recovery_keys {
            let file = self.folder.name_of(name);
            call = call.arguments(["--recovery-key-file", &file]);
        }
        call
    }

    pub(crate) fn status(&self) -> serde_json::Value {
        self.call(&["status", "--json"]).run().json()
    }

    pub(crate) fn default_key(&self) -> String {
        self.status()["default_key"].as_str().unwrap().to_owned()
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// The file in it that holds the local state.
    pub(crate) fn state_file(&self) -> PathBuf {
        let files = std::fs::read_dir(self.state()).unwrap();
        let mut files = files.map(|file| file.unwrap().path());
        let found = files.find(|path| path.extension().is_some_and(|one| one == "sqlite"));
        found.unwrap().canonicalize().unwrap()
    }
}

/// Another client of the user, which does as it likes.
pub(crate) struct OtherClient(Account);

impl OtherClient {
    /// Writes over whatever is there, as a careless client does.
    pub(crate) fn put(&self, event_type: &str, json: &str) {
        let encoded = |name: &str| -> String {
            let bytes = name.bytes();
            bytes.map(|byte| format!("%{byte:02X}")).collect()
        };
        let (user, event_type) = (encoded(self.0.user_id()), encoded(event_type));
        let path = format!("user/{user}/account_data/{event_type}");
        let server = self.0.homeserver().base_url();
        let server = server.strip_prefix("http://").unwrap();
        let server = server.trim_end_matches('/');
        let token = self.access_token();
        peer::call(server, &token, "PUT", &path, json.to_owned());
    }

    pub(crate) fn content(&self, event_type: &str) -> Option<String> {
        wait(self.0.account_data(event_type)).unwrap()
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        wait(self.0.snapshot()).unwrap()
    }

    /// Everything of the account, to see whether something changed.
    pub(crate) fn everything(&self) -> String {
        self.snapshot().account_data.to_json()
    }

    /// What the server publishes of the user's keys.
    pub(crate) fn keys_query(&self) -> serde_json::Value {
        let body = wait(self.0.keys_query(self.0.user_id())).unwrap();
        serde_json::from_str(&body).unwrap()
    }

    /// The current version of the key backup.
    pub(crate) fn key_backup(&self) -> fourfold::BackupVersion {
        wait(self.0.key_backup()).unwrap().unwrap()
    }

    pub(crate) fn log_out(&self) {
        wait(self.0.log_out()).unwrap();
    }

    pub(crate) fn device_id(&self) -> String {
        self.0.device_id().unwrap().to_owned()
    }

    /// How many devices the user has.
    pub(crate) fn devices(&self) -> usize {
        wait(self.0.devices()).unwrap().len()
    }

    pub(crate) fn access_token(&self) -> String {
        self.0.session().access_token().expose_secret().to_owned()
    }
}

fn name_of(name: &str) -> LoginName {
    LoginName::new(&format!("@{name}:localhost")).unwrap()
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}
