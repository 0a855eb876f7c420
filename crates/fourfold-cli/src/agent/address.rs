//! Where an agent listens: a socket in a folder that nobody else can enter.

use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use fourfold_client::LocalState;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Exit, Result};

/// The socket of the agent of one account of one state folder.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    folder: PathBuf,
    socket: PathBuf,
}

impl Address {
    /// In `XDG_RUNTIME_DIR`, or where there is none, in the state folder.
    ///
    /// # Errors
    ///
    /// A runtime folder that others can enter, and a path that is too long for a socket.
    pub(crate) fn of(state_folder: &Path, user_id: &str) -> Result<Self> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|value| !value.is_empty());
        Self::within(runtime.map(PathBuf::from).as_deref(), state_folder, user_id)
    }

    fn within(runtime: Option<&Path>, state_folder: &Path, user_id: &str) -> Result<Self> {
        let state_folder = state_folder
            .canonicalize()
            .unwrap_or_else(|_| state_folder.to_owned());
        let file = LocalState::file_of(&state_folder, user_id)?;
        let folder = match runtime {
            Some(runtime) => {
                check_folder(runtime)?;
                runtime.join("fourfold")
            }
            None => state_folder.join("agent"),
        };
        let digest = Sha256::digest(file.as_os_str().as_encoded_bytes());
        let name: String = digest
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let socket = folder.join(name + ".socket");
        if socket.as_os_str().len() >= MAX_PATH {
            return Err(Error::usage(format!(
                "{} is too long for the path of a socket",
                socket.display()
            ))
            .hint("set XDG_RUNTIME_DIR to a folder with a shorter path"));
        }
        Ok(Self { folder, socket })
    }

    /// The path of the socket.
    pub(crate) fn path(&self) -> &Path {
        &self.socket
    }

    /// Whether something is there to connect to, after it was checked that it is the user's own.
    pub(crate) fn exists(&self) -> Result<bool> {
        match fs::symlink_metadata(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            _ => check_folder(&self.folder)?,
        }
        match fs::symlink_metadata(&self.socket) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::file(&self.socket, error)),
            Ok(metadata) => {
                let is_own = metadata.uid() == own_uid() && metadata.mode() & 0o077 == 0;
                if metadata.file_type().is_socket() && is_own {
                    Ok(true)
                } else {
                    Err(insecure(
                        &self.socket,
                        "is not a socket that only this user can access",
                    ))
                }
            }
        }
    }

    /// Listens there. A socket that an agent left behind when it was killed is taken away; whoever
    /// calls this holds the lock of the state, so that no two agents do it at a time.
    pub(crate) fn listen(&self) -> Result<std::os::unix::net::UnixListener> {
        match DirBuilder::new().mode(0o700).create(&self.folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(Error::file(&self.folder, error));
            }
            _ => check_folder(&self.folder)?,
        }
        if self.exists()? {
            match UnixStream::connect(&self.socket) {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    fs::remove_file(&self.socket)
                        .map_err(|error| Error::file(&self.socket, error))?;
                }
                Err(error) => return Err(Error::file(&self.socket, error)),
                Ok(_) => {
                    return Err(Error::new(
                        Exit::Conflict,
                        "another process listens on the socket of the agent",
                    )
                    .hint("stop it first: fourfold agent stop"));
                }
            }
        }
        let listener = std::os::unix::net::UnixListener::bind(&self.socket)
            .map_err(|error| Error::file(&self.socket, error))?;
        fs::set_permissions(&self.socket, Permissions::from_mode(0o600))
            .and_then(|()| listener.set_nonblocking(true))
            .map_err(|error| Error::file(&self.socket, error))?;
        Ok(listener)
    }

    /// Takes the socket away, at the end of the agent that listens there.
    pub(crate) fn remove(&self) {
        let _ = fs::remove_file(&self.socket);
    }
}

/// The user of this process.
pub(crate) fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The size of a socket path in the kernel, with the final zero byte. 104 on systems other than
/// Linux.
const MAX_PATH: usize = if cfg!(target_os = "linux") { 108 } else { 104 };

/// A folder of the user that nobody else can enter; not a link to one.
fn check_folder(folder: &Path) -> Result<()> {
    let metadata = fs::symlink_metadata(folder).map_err(|error| Error::file(folder, error))?;
    if !metadata.is_dir() {
        return Err(insecure(folder, "is not a folder"));
    }
    if metadata.uid() != own_uid() {
        return Err(insecure(folder, "belongs to another user"));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(insecure(folder, "is accessible to other users").hint("run chmod go= on it"));
    }
    Ok(())
}

fn insecure(path: &Path, why: &str) -> Error {
    Error::new(
        Exit::Policy,
        format!("{} {why}: no agent is reached through it", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const USER: &str = "@alice:localhost";

    /// A runtime folder and a state folder, both private.
    fn folders() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let [runtime, state] = ["run", "state"].map(|name| {
            let path = folder.path().join(name);
            DirBuilder::new().mode(0o700).create(&path).unwrap();
            path
        });
        (folder, runtime, state)
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn every_account_of_every_state_folder_has_its_own() {
        let (folder, runtime, state) = folders();
        let one = Address::within(Some(&runtime), &state, USER).unwrap();
        let other_user = Address::within(Some(&runtime), &state, "@bob:localhost").unwrap();
        let other_state = Address::within(Some(&runtime), folder.path(), USER).unwrap();
        assert!(one.path() != other_user.path() && one.path() != other_state.path());
        let link = folder.path().join("link");
        symlink(&state, &link).unwrap();
        let linked = Address::within(Some(&runtime), &link, USER).unwrap();
        assert_eq!(one.path(), linked.path());
        let without = Address::within(None, &state, USER).unwrap();
        assert!(without.path().starts_with(state.canonicalize().unwrap()));
        let long = folder.path().join("x".repeat(100));
        let error = Address::within(None, &long, USER).unwrap_err();
        assert!(error.message.contains("too long"), "{}", error.message);
    }

    // shows: AGT-01
    #[test]
    fn the_socket_is_private_and_goes_at_the_end() {
        let (_folder, runtime, state) = folders();
        let address = Address::within(Some(&runtime), &state, USER).unwrap();
        assert!(!address.exists().unwrap());
        let _listener = address.listen().unwrap();
        assert!(address.exists().unwrap());
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(address.path()), 0o600);
        assert_eq!(mode(&runtime.join("fourfold")), 0o700);
        address.remove();
        assert!(!address.exists().unwrap());
    }

    // shows: AGT-01
    #[test]
    fn a_socket_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
        let (_folder, runtime, state) = folders();
        let address = Address::within(Some(&runtime), &state, USER).unwrap();
        drop(address.listen().unwrap());
        assert!(
            address.exists().unwrap(),
            "a killed agent leaves its socket"
        );
        let listener = address.listen().unwrap();
        let error = address.listen().unwrap_err();
        assert_eq!(error.exit, Exit::Conflict);
        drop(UnixStream::connect(address.path()).unwrap());
        assert!(listener.accept().is_ok());
    }

    // shows: AGT-01, AG-01
    #[test]
    fn refuses_what_others_could_have_put_there() {
        let (folder, runtime, state) = folders();
        let address = Address::within(Some(&runtime), &state, USER).unwrap();
        let inner = runtime.join("fourfold");
        let refuses = |address: &Address| {
            for result in [address.exists().map(|_| ()), address.listen().map(|_| ())] {
                assert_eq!(result.unwrap_err().exit, Exit::Policy);
            }
        };
        // A link where the folder should be.
        let elsewhere = folder.path().join("elsewhere");
        DirBuilder::new().mode(0o700).create(&elsewhere).unwrap();
        symlink(&elsewhere, &inner).unwrap();
        refuses(&address);
        fs::remove_file(&inner).unwrap();
        // A folder that others can enter.
        fs::create_dir(&inner).unwrap();
        chmod(&inner, 0o777);
        refuses(&address);
        chmod(&inner, 0o700);
        // A file, a link, and an open socket where the socket should be.
        fs::write(address.path(), "").unwrap();
        refuses(&address);
        fs::remove_file(address.path()).unwrap();
        let target = elsewhere.join("socket");
        let _other = std::os::unix::net::UnixListener::bind(&target).unwrap();
        symlink(&target, address.path()).unwrap();
        refuses(&address);
        fs::remove_file(address.path()).unwrap();
        drop(address.listen().unwrap());
        chmod(address.path(), 0o666);
        refuses(&address);
        // The runtime folder itself.
        chmod(&runtime, 0o755);
        let error = Address::within(Some(&runtime), &state, USER).unwrap_err();
        assert_eq!(error.exit, Exit::Policy);
    }

    // shows: AGT-01, AG-01
    #[test]
    fn refuses_what_belongs_to_another_user() {
        if own_uid() != 0 {
            // Only root can give a folder away.
            return;
        }
        let (_folder, runtime, state) = folders();
        std::os::unix::fs::chown(&runtime, Some(12345), None).unwrap();
        let error = Address::within(Some(&runtime), &state, USER).unwrap_err();
        assert!(error.message.contains("another user"), "{}", error.message);
        std::os::unix::fs::chown(&runtime, Some(0), None).unwrap();
        let address = Address::within(Some(&runtime), &state, USER).unwrap();
        drop(address.listen().unwrap());
        std::os::unix::fs::chown(address.path(), Some(12345), None).unwrap();
        assert_eq!(address.exists().unwrap_err().exit, Exit::Policy);
        assert_eq!(address.listen().unwrap_err().exit, Exit::Policy);
    }
}
