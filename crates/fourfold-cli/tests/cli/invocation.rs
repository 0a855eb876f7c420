//! Running the binary without a terminal: what goes in, and what comes out.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use tempfile::TempDir;

/// The binary under test.
pub(crate) const FOURFOLD: &str = env!("CARGO_BIN_EXE_fourfold");

/// One call of the binary, with an empty environment and no terminal.
pub(crate) struct Invocation {
    arguments: Vec<String>,
    stdin: Vec<u8>,
    descriptor_3: Option<PathBuf>,
    environment: Vec<(String, PathBuf)>,
    stdout: Option<File>,
    preparation: Option<String>,
}

/// `fourfold ARGUMENTS…`
pub(crate) fn fourfold<I: AsRef<str>>(arguments: impl IntoIterator<Item = I>) -> Invocation {
    Invocation {
        arguments: arguments
            .into_iter()
            .map(|argument| argument.as_ref().to_owned())
            .collect(),
        stdin: Vec::new(),
        descriptor_3: None,
        environment: Vec::new(),
        stdout: None,
        preparation: None,
    }
}

impl Invocation {
    pub(crate) fn arguments<'a>(mut self, more: impl IntoIterator<Item = &'a str>) -> Self {
        self.arguments.extend(more.into_iter().map(str::to_owned));
        self
    }

    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Opens a file as the descriptor 3 of the process.
    pub(crate) fn descriptor_3(mut self, path: &Path) -> Self {
        self.descriptor_3 = Some(path.to_owned());
        self
    }

    pub(crate) fn environment(mut self, name: &str, value: &Path) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn stdout(mut self, file: File) -> Self {
        self.stdout = Some(file);
        self
    }

    /// A shell does this first, to the process that the binary is to run in.
    pub(crate) fn after(mut self, preparation: &str) -> Self {
        self.preparation = Some(preparation.to_owned());
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Outcome {
        let input = std::mem::take(&mut self.stdin);
        let mut child = self.spawn();
        let seen_from_outside = seen_from_outside(&mut child);
        let mut stdin = child.stdin.take().unwrap();
        // What does not read its input to the end has other things to say.
        let writing = std::thread::spawn(move || {
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().unwrap();
        writing.join().unwrap();
        Outcome {
            status: output.status,
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
            seen_from_outside,
        }
    }

    /// Starts it and leaves it running.
    pub(crate) fn spawn(self) -> Child {
        let mut words = Vec::new();
        // Where the tests have a terminal, the binary must not find it.
        if File::open("/dev/tty").is_ok() {
            words.push("setsid".to_owned());
        }
        let redirection = self.descriptor_3.as_ref().map(|_| r#"3<"$DESCRIPTOR_3""#);
        if redirection.is_some() || self.preparation.is_some() {
            let preparation = self.preparation.as_deref().unwrap_or(":");
            let redirection = redirection.unwrap_or_default();
            let script = format!(r#"{preparation}; exec "$0" "$@" {redirection}"#);
            words.extend(["/bin/sh".to_owned(), "-c".to_owned(), script]);
        }
        words.push(FOURFOLD.to_owned());
        let mut command = Command::new(words.remove(0));
        if let Some(path) = self.descriptor_3 {
            command.env("DESCRIPTOR_3", path);
        }
        command
            .args(words)
            .args(self.arguments)
            .env_remove("FOURFOLD_STATE")
            .env("HOME", "/nonexistent")
            .env_remove("XDG_RUNTIME_DIR")
            .env_remove("XDG_STATE_HOME")
            .envs(self.environment)
            .stdin(Stdio::piped())
            .stdout(self.stdout.map_or_else(Stdio::piped, Stdio::from))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

/// What came of a call.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    /// The arguments and the environment, as other processes see them.
    pub(crate) seen_from_outside: Vec<u8>,
}

impl Outcome {
    /// It went well; standard output.
    #[track_caller]
    pub(crate) fn succeeds(&self) -> String {
        assert_eq!(self.code(), 0, "{}", self.stderr);
        self.text()
    }

    /// It ended with this exit code, an error, and no data.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32) -> &Self {
        assert_eq!(self.code(), code, "{}", self.stderr);
        assert!(
            self.stderr.contains("fourfold: error: ") || self.stderr.starts_with('{'),
            "{}",
            self.stderr
        );
        assert_eq!(self.text(), "");
        self
    }

    /// Standard error contains this.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) -> &Self {
        assert!(
            self.stderr.contains(text),
            "{text:?} is missing:\n{}",
            self.stderr
        );
        self
    }

    /// Neither output contains this.
    #[track_caller]
    pub(crate) fn is_silent_about(&self, text: &str) -> &Self {
        assert!(!self.stderr.contains(text), "{}", self.stderr);
        assert!(!self.text().contains(text), "{}", self.text());
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.succeeds()).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }

    fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| panic!("ended by signal {:?}", self.status.signal()))
    }
}

/// A folder for one test.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The name of a file in it, as an argument.
    pub(crate) fn name_of(&self, name: &str) -> String {
        self.join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file and gives its name, as an argument.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.join(name), content).unwrap();
        self.name_of(name)
    }

    /// Reads a file as text.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.join(name)).unwrap()
    }
}

/// Says that a test does nothing on this machine, and why.
#[expect(clippy::disallowed_methods, reason = "it is said by the test")]
pub(crate) fn skipped(why: &str) {
    let test = std::thread::current();
    let test = test.name().unwrap_or_default();
    // Not captured, unlike what is printed.
    let _ = writeln!(std::io::stderr(), "skipped {test}: {why}");
}

/// As [`skipped`], for what must be there where every change is tested.
pub(crate) fn missing(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what} is missing");
    skipped(&format!("{what} is missing"));
}

fn seen_from_outside(child: &mut Child) -> Vec<u8> {
    let mut of = |file: &str| {
        let path = format!("/proc/{}/{file}", child.id());
        // Right after the start there is nothing yet, and after the end there is nothing any more.
        loop {
            let seen = match std::fs::read(&path) {
                // A process closes itself to the others of its user.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => return Vec::new(),
                seen => seen.unwrap_or_default(),
            };
            if !seen.is_empty() || !matches!(child.try_wait(), Ok(None)) {
                return seen;
            }
            std::thread::yield_now();
        }
    };
    let mut seen = of("cmdline");
    seen.extend(of("environ"));
    seen
}
