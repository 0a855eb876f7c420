//! `fourfold login`, `logout` and `whoami`.

use std::path::PathBuf;

use clap::Args;
use fourfold::Snapshot;
use fourfold_client::{
    AccessToken, ErrorKind, Homeserver, LocalState, LoginName, Password, Session, escape_untrusted,
};
use serde_json::json;

use crate::account::LoggedIn;
use crate::error::{Error, Exit, Result};
use crate::keys::login_password;
use crate::options::{AcceptOptions, Global};
use crate::storage::judged::Compared;
use crate::terminal::input::Source;
use crate::terminal::{messages, output, prompt};
use crate::{runtime, state};

/// Options of `login`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The user to log in as
    #[arg(value_name = "@USER:SERVER")]
    user: String,
    /// The URL of the homeserver [default: discovered from the server name in the user ID]
    #[arg(long, value_name = "URL")]
    homeserver: Option<String>,
    /// Read the password from FILE ("-": standard input)
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Read the password from the open file descriptor N
    #[arg(long, value_name = "N")]
    password_fd: Option<u32>,
    /// Use an existing access token, read from FILE ("-": standard input)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["password_file", "password_fd"])]
    access_token_file: Option<PathBuf>,
    /// Use an existing access token, read from the open file descriptor N
    #[arg(long, value_name = "N", conflicts_with_all = ["password_file", "password_fd"])]
    access_token_fd: Option<u32>,
    /// Log in as this device
    #[arg(long, value_name = "ID")]
    device_id: Option<String>,
    /// The name of the device, shown to the user's other devices
    #[arg(long, value_name = "NAME", default_value = "Fourfold")]
    device_name: String,
}

/// Options of `logout`.
#[derive(Args, Clone, Debug)]
pub(crate) struct LogoutOptions {
    /// Forget the session even if the homeserver cannot be reached
    #[arg(long)]
    force: bool,
}

/// Logs in and keeps the session.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let name = LoginName::new(&options.user)
        .map_err(|error| Error::usage(format!("{error}, or give a name and --homeserver URL")))?;
    let folder = state::folder(global)?;
    // Better now than after a device was made that nobody can use.
    LocalState::accounts(&folder)?;
    let runtime = runtime::new()?;
    let client_options = fourfold_client::Options::default();
    if options.homeserver.is_none() && name.server_name().is_none() {
        return Err(
            Error::usage(format!("the homeserver of {name} is not known"))
                .hint("write the whole ID, like @alice:example.org, or add --homeserver URL"),
        );
    }
    let homeserver = {
        let _busy = messages::busy("looking for the homeserver");
        runtime.block_on(async {
            match &options.homeserver {
                Some(url) => Homeserver::new(url, &client_options),
                None => Homeserver::discover_with(name.as_str(), &client_options).await,
            }
        })
    };
    let homeserver = match homeserver {
        Err(error) if options.homeserver.is_none() => {
            return Err(Error::from(error).hint("give its address: --homeserver URL"));
        }
        homeserver => homeserver?,
    };
    if let Some(from) = homeserver.discovered_from() {
        messages::say(format_args!(
            "{from} says that its homeserver is {}",
            homeserver.base_url()
        ));
    }
    // Before the password is asked for, which goes to nobody but the homeserver of the account.
    LocalState::check_log_in(&folder, &name, &homeserver)?;
    let (session, is_new) = match access_token(options)? {
        Some(token) => (runtime.block_on(homeserver.session_of(&name, token)), false),
        None => {
            let password = password(options)?;
            let device_id = options.device_id.as_deref();
            let log_in = homeserver
                .log_in(name.as_str(), &password)
                .device_id(device_id)
                .device_name(options.device_name.as_str());
            (runtime.block_on(log_in.session()), true)
        }
    };
    let session = session.map_err(|error| login_failed(&name, error))?;
    let account = homeserver.account(session.clone())?;
    let kept = LocalState::take_over(&folder, &session);
    if kept.is_err() && is_new {
        // Nobody could use it.
        let _ = runtime.block_on(account.log_out());
    }
    let (mut state, earlier) = kept?;
    let snapshot = runtime.block_on(account.snapshot());
    let works = snapshot.is_ok();
    remember(global, &mut state, snapshot)?;
    if let Some(earlier) = earlier {
        let ended = works && runtime.block_on(homeserver.end_replaced(&earlier)).is_ok();
        if !ended {
            warn_of_unended(&earlier);
        }
    }
    report(global, account.session())
}

/// Ends the session on the homeserver and forgets it here. What this machine has seen stays, so
/// that a rollback is noticed after the next login.
pub(crate) fn log_out(global: &Global, options: &LogoutOptions) -> Result<()> {
    let mut logged_in = LoggedIn::open(global)?;
    if let Err(error) = logged_in.wait(logged_in.account.log_out())
        && !error.is_logged_out()
    {
        if !options.force {
            return Err(Error::from(error).hint("--force forgets the session here only"));
        }
        warn_of_unended(logged_in.account.session());
    }
    logged_in.state.forget_session()?;
    if global.json {
        return output::json(&json!({"user_id": logged_in.account.user_id()}));
    }
    messages::say(format_args!("logged out {}", logged_in.account.user_id()));
    Ok(())
}

fn warn_of_unended(session: &Session) {
    let device = escape_untrusted(session.device_id.as_deref().unwrap_or_default());
    messages::warn(format_args!(
        "the earlier session of this machine could not be ended: its device {device} is still logged \
         in at {}",
        session.homeserver
    ));
}

/// Shows who is logged in, as the homeserver sees it.
pub(crate) fn who_am_i(global: &Global) -> Result<()> {
    let logged_in = LoggedIn::open(global)?;
    logged_in.wait(logged_in.account.whoami())?;
    report(global, logged_in.account.session())
}

/// What is there is followed, as by every other command.
fn remember(
    global: &Global,
    state: &mut LocalState,
    snapshot: std::result::Result<Snapshot, fourfold_client::Error>,
) -> Result<()> {
    match snapshot {
        Ok(snapshot) => {
            let compared = Compared::follow(state, &snapshot, AcceptOptions::default())?;
            compared.report(global.json);
            if compared.is_suspicious() {
                messages::say("fourfold status shows what is there now");
            }
            Ok(())
        }
        // The session is there and useful; anyone who reads next learns what is wrong.
        Err(_) => Ok(()),
    }
}

fn report(global: &Global, session: &Session) -> Result<()> {
    if global.json {
        return output::json(&json!({
            "user_id": session.user_id,
            "device_id": session.device_id,
            "homeserver": session.homeserver,
        }));
    }
    let device = escape_untrusted(session.device_id.as_deref().unwrap_or("no device"));
    output::line(format_args!(
        "{} ({device}) on {}",
        session.user_id, session.homeserver
    ))
}

fn access_token(options: &Options) -> Result<Option<AccessToken>> {
    let file = options.access_token_file.as_deref();
    let source = Source::given(file, options.access_token_fd);
    let text = source.map(|source| source.line()).transpose()?;
    Ok(text.map(|text| AccessToken::new(text.trim())))
}

fn password(options: &Options) -> Result<Password> {
    let text = match Source::given(options.password_file.as_deref(), options.password_fd) {
        Some(source) => source.line()?,
        None => prompt::hidden("Password", "use --password-file or --access-token-file")?,
    };
    login_password::remember(&text)?;
    Ok(Password::new(text.as_str()))
}

fn login_failed(name: &LoginName, error: fourfold_client::Error) -> Error {
    match error.kind() {
        ErrorKind::Matrix { errcode, .. } if errcode == "M_FORBIDDEN" => Error::new(
            Exit::Refused,
            "the homeserver refuses the user name or the password",
        ),
        // A token may belong to somebody else than the user thinks, and a server may lie.
        ErrorKind::OtherUser { user_id } => {
            let hint = match name.server_name() {
                Some(_) => "check the address of the homeserver",
                None => "if you mean that user, write the whole ID",
            };
            Error::refused(format!("this session belongs to {user_id}, not to {name}")).hint(hint)
        }
        _ => error.into(),
    }
}
