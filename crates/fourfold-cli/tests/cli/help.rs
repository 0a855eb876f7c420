//! What the program says about itself.

use crate::invocation::{Folder, fourfold};

/// Every command that help lists, with the commands under it.
pub(crate) fn commands() -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut next = 0;
    while let Some(command) = commands.get(next).cloned() {
        next += 1;
        let help = help(&command);
        let Some(listed) = help.split("\nCommands:\n").nth(1) else {
            continue;
        };
        // A name stands two columns in; what follows further in is the rest of a description.
        for line in listed.lines().take_while(|line| !line.is_empty()) {
            let Some(name) = line
                .strip_prefix("  ")
                .filter(|line| !line.starts_with(' '))
            else {
                continue;
            };
            let mut sub = command.clone();
            sub.push(name.split(' ').next().unwrap().to_owned());
            commands.push(sub);
        }
    }
    commands
}

fn help(command: &[String]) -> String {
    fourfold(command).arguments(["--help"]).run().succeeds()
}

#[test]
fn help_says_what_every_command_does() {
    let commands = commands();
    assert!(commands.len() >= 25, "{commands:?}");
    for command in commands {
        let name = ["fourfold"]
            .into_iter()
            .chain(command.iter().map(String::as_str));
        let name = name.collect::<Vec<_>>().join("-");
        let help = help(&command);
        let about = help.lines().next().unwrap();
        assert!(
            about.len() > 8 && !about.starts_with("Usage"),
            "{name} says nothing"
        );
        assert!(
            !about.ends_with('.') || command.is_empty(),
            "{name}: {about}"
        );
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "{name}: {line}");
        }
        insta::assert_snapshot!(name, help);
    }
}

// shows: CLI-01
#[test]
fn no_option_takes_a_secret() {
    for command in commands() {
        let text = help(&command);
        let words =
            text.split(|character: char| !character.is_ascii_alphanumeric() && character != '-');
        for option in words.filter(|word| word.starts_with("--")) {
            let secret = ["recovery-key", "passphrase", "password", "token", "secret"];
            let names_one = secret.iter().any(|secret| option.contains(secret));
            // A file, a descriptor, or a switch.
            let is_harmless = ["-file", "-fd", "-out"]
                .iter()
                .any(|end| option.ends_with(end))
                || [
                    "--new-passphrase",
                    "--generate-passphrase",
                    "--allow-weak-passphrase",
                    "--keep-passphrase",
                    "--no-passphrase",
                ]
                .contains(&option);
            assert!(!names_one || is_harmless, "{command:?}: {option}");
        }
    }
}

#[test]
fn the_environment_is_not_shown() {
    let folder = Folder::new();
    let outcome = fourfold(["status", "--help"])
        .environment("FOURFOLD_STATE", folder.path())
        .run();
    assert!(outcome.succeeds().contains("FOURFOLD_STATE"));
    outcome.is_silent_about(folder.path().to_str().unwrap());
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = fourfold(["completions", shell]).run().succeeds();
        assert!(script.contains("recovery-key-file"), "{shell}");
    }
    fourfold(["completions", "tcsh"])
        .run()
        .fails(2)
        .says("invalid value 'tcsh'");
}

#[test]
fn a_man_page_for_every_command() {
    let folder = Folder::new();
    fourfold(["man", &folder.name_of("man1")]).run().succeeds();
    for command in commands() {
        let name = ["fourfold"]
            .into_iter()
            .chain(command.iter().map(String::as_str));
        let name = name.collect::<Vec<_>>().join("-");
        let page = folder.read(&format!("man1/{name}.1"));
        assert!(page.contains(".SH SYNOPSIS"), "{name}");
        assert!(
            page.contains(r"\-\-account"),
            "{name} does not explain the global options"
        );
    }
    fourfold(["man", "/dev/null/x"])
        .run()
        .fails(2)
        .says("/dev/null/x");
}

#[test]
fn an_unknown_option_is_named_and_the_usage_is_shown() {
    let outcome = fourfold(["get", "--recovery-key-fil", "x", "name"]).run();
    outcome
        .fails(2)
        .says("fourfold: error: unexpected argument '--recovery-key-fil' found")
        .says("--recovery-key-file");
    let outcome = fourfold(["gte", "name"]).run();
    outcome
        .fails(2)
        .says("fourfold: error: unrecognized subcommand 'gte'");
    fourfold(["get"]).run().fails(2).says("<NAME>");
}

#[test]
fn the_version_is_that_of_the_workspace() {
    let version = fourfold(["--version"]).run().succeeds();
    assert_eq!(
        version,
        concat!("fourfold ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

// shows: AGT-16
#[test]
fn the_unit_for_systemd_gives_the_agent_no_more_than_it_needs() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/fourfold-agent.service"
    );
    let unit = std::fs::read_to_string(path).unwrap();
    for line in [
        "LimitCORE=0",
        "MemoryDenyWriteExecute=yes",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "SystemCallFilter=@system-service",
        "UMask=0077",
    ] {
        assert!(unit.lines().any(|one| one == line), "{line}");
    }
    // What it starts is a command that there is.
    let started = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart=/usr/bin/fourfold "))
        .unwrap();
    let words: Vec<_> = started.split(' ').collect();
    let help = help(&[words[0].to_owned()]);
    for option in &words[1..] {
        assert!(help.contains(option), "{option}");
    }
}
