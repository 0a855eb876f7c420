//! How every command is called.

use super::NAME;

/// How every command is called, in an order in which one does not take away what the next needs.
/// `KEY`, `NEW`, `SEAL`, `PASSWORD`, `FILE`, `EXPORTED`, `FILEKEY` are files, and `ID` and `DEVICE` are of the user.
pub(super) const COMMANDS: &[(&str, Call)] = &[
    ("whoami", Call::With(&[])),
    ("status", Call::With(&[])),
    (
        "doctor",
        Call::With(&["--store-key-file", "SEAL", "--recovery-key-file", "KEY"]),
    ),
    ("ls", Call::With(&["-l"])),
    ("get", Call::With(&[NAME, "--recovery-key-file", "KEY"])),
    ("key ls", Call::With(&[])),
    ("key check", Call::With(&["--recovery-key-file", "KEY"])),
    ("kit", Call::With(&["--recovery-key-file", "KEY"])),
    ("device ls", Call::With(&["--store-key-file", "SEAL"])),
    (
        "device verify",
        Call::With(&["--store-key-file", "SEAL", "--recovery-key-file", "KEY"]),
    ),
    (
        "device sign",
        Call::With(&[
            "DEVICE",
            "--fingerprint",
            "xmiq5L4pYm1QJqXq7Q0rY3o0l9cW3vX6bX9n2g5p8kA",
            "--store-key-file",
            "SEAL",
            "--recovery-key-file",
            "KEY",
            "--yes",
        ]),
    ),
    (
        "request",
        Call::With(&[NAME, "--timeout", "1s", "--store-key-file", "SEAL"]),
    ),
    (
        "recover",
        Call::With(&[
            "--no-request",
            "--store-key-file",
            "SEAL",
            "--recovery-key-out",
            "NEW",
            "--yes",
        ]),
    ),
    (
        "put",
        Call::With(&[NAME, "-", "--recovery-key-file", "KEY", "--yes"]),
    ),
    (
        "setup",
        Call::With(&[
            "--yes",
            "--store-key-file",
            "SEAL",
            "--recovery-key-file",
            "KEY",
            "--password-file",
            "PASSWORD",
        ]),
    ),
    (
        "key new",
        Call::With(&["--yes", "--recovery-key-out", "NEW"]),
    ),
    (
        "key default",
        Call::With(&["ID", "--recovery-key-file", "KEY", "--yes"]),
    ),
    (
        "key grant",
        Call::With(&["ID", NAME, "--recovery-key-file", "KEY", "--yes"]),
    ),
    (
        "key revoke",
        Call::With(&["ID", NAME, "--recovery-key-file", "KEY", "--yes"]),
    ),
    (
        "key rm",
        Call::With(&["ID", "--recovery-key-file", "KEY", "--yes"]),
    ),
    (
        "key migrate",
        Call::With(&[
            "--recovery-key-file",
            "KEY",
            "--recovery-key-out",
            "NEW",
            "--yes",
        ]),
    ),
    (
        "key rotate",
        Call::With(&[
            "--recovery-key-file",
            "KEY",
            "--recovery-key-out",
            "NEW",
            "--yes",
        ]),
    ),
    ("backup status", Call::With(&["--recovery-key-file", "KEY"])),
    ("backup check", Call::With(&["--recovery-key-file", "KEY"])),
    (
        "backup restore-key",
        Call::With(&["--recovery-key-file", "KEY", "--yes"]),
    ),
    (
        "backup new",
        Call::With(&["--recovery-key-file", "KEY", "--yes"]),
    ),
    (
        "backup rm",
        Call::With(&["1", "--recovery-key-file", "KEY", "--yes"]),
    ),
    (
        "export",
        Call::With(&[
            "FILE",
            "--recovery-key-file",
            "KEY",
            "--recovery-key-out",
            "NEW",
        ]),
    ),
    (
        "import",
        Call::With(&[
            "EXPORTED",
            "--recovery-key-file",
            "FILEKEY",
            "--recovery-key-file",
            "KEY",
            "--yes",
        ]),
    ),
    ("resume", Call::With(&["--password-file", "PASSWORD"])),
    (
        "rm",
        Call::With(&[NAME, "--recovery-key-file", "KEY", "--yes"]),
    ),
    (
        "device rm",
        Call::With(&[
            "DEVICE",
            "--password-file",
            "PASSWORD",
            "--store-key-file",
            "SEAL",
            "--yes",
        ]),
    ),
    ("agent log", Call::With(&[])),
    ("logout", Call::With(&[])),
    (
        "login",
        Call::With(&[
            "USER",
            "--homeserver",
            "SERVER",
            "--password-file",
            "PASSWORD",
        ]),
    ),
    ("agent", Call::OfAgent(&[])),
    ("agent status", Call::OfAgent(&[])),
    ("agent questions", Call::OfAgent(&[])),
    ("agent answer", Call::OfAgent(&["0", "no"])),
    ("unlock", Call::OfAgent(&["--recovery-key-file", "KEY"])),
    ("lock", Call::OfAgent(&[])),
    ("agent stop", Call::OfAgent(&[])),
    // These read nothing that a homeserver said.
    ("completions", Call::Alone),
    ("quickstart", Call::Alone),
    ("serve", Call::Alone),
];

pub(super) enum Call {
    /// With these arguments.
    With(&'static [&'static str]),
    /// The same, when an agent is running.
    OfAgent(&'static [&'static str]),
    /// Not at all.
    Alone,
}
