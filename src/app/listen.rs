//! The sockets of a service, bound before anything is served.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context as _;

use crate::config::Listener;
#[cfg(unix)]
pub(super) use unix::{SocketFile, listen_unix};

/// Connections that may wait to be accepted, where the system lets them (`net.core.somaxconn`).
#[cfg(unix)]
const BACKLOG: i32 = 4096;

/// Binds the address that the key `key` names.
pub(super) fn listen(listener: &Listener, key: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let host = listener.host.text();
    let socket = TcpListener::bind((host.as_str(), listener.port)).with_context(|| {
        format!(
            "{key}: expected {host}:{} to be free to listen on; stop what listens there, or choose another port",
            listener.port
        )
    })?;
    socket.set_nonblocking(true)?;
    // The standard library's 128 are few where a gateway opens a connection for each of its own: what finds no room
    // tries again after a second, which is all the time that Oathkeeper gives.
    #[cfg(unix)]
    rustix::net::listen(&socket, BACKLOG)?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

#[cfg(unix)]
mod unix {
    use std::fs::{self, Permissions};
    use std::io;
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::{Path, PathBuf};

    use anyhow::{Context as _, bail};

    use crate::config::UnixSocket;

    /// A socket's file, which goes when this is dropped, unless another process has put its own there meanwhile.
    #[derive(Debug)]
    pub(in crate::app) struct SocketFile {
        path: PathBuf,
        /// Device and inode.
        identity: (u64, u64),
    }

    /// Binds `socket`, in the place of one that nobody listens on any more. It stands there with its permissions from
    /// the start: it is made under another name beside it and then renamed.
    pub(in crate::app) fn listen_unix(socket: &UnixSocket) -> anyhow::Result<(UnixListener, SocketFile)> {
        let path = &socket.path;
        refuse_occupied(path)?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let next = path.with_file_name(format!(".{name}.next"));
        let expected = |step: &str| format!("serve.api.unix: expected to {step} {}", path.display());
        if is_socket(&next)? {
            fs::remove_file(&next).with_context(|| expected("remove what a start left beside"))?;
        }
        let listener = UnixListener::bind(&next).with_context(|| expected("make a socket beside"))?;
        let placed = fs::set_permissions(&next, Permissions::from_mode(socket.mode))
            .and_then(|()| fs::symlink_metadata(&next))
            .and_then(|metadata| fs::rename(&next, path).map(|()| (metadata.dev(), metadata.ino())));
        let identity = match placed {
            Ok(identity) => identity,
            Err(error) => {
                let _ = fs::remove_file(&next);
                return Err(error).with_context(|| expected("place a socket at"));
            }
        };
        listener.set_nonblocking(true)?;
        Ok((listener, SocketFile { path: path.clone(), identity }))
    }

    /// Only a socket without a listener may be replaced.
    fn refuse_occupied(path: &Path) -> anyhow::Result<()> {
        if !is_socket(path)? {
            if fs::symlink_metadata(path).is_ok() {
                bail!("serve.api.unix: expected a socket or nothing at {}, found something else", path.display());
            }
            return Ok(());
        }
        match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Ok(_) => bail!("serve.api.unix: expected {} to be free to listen on, found a listener", path.display()),
            Err(error) => Err(error)
                .with_context(|| format!("serve.api.unix: expected to learn whether {} is in use", path.display())),
        }
    }

    fn is_socket(path: &Path) -> anyhow::Result<bool> {
        match fs::symlink_metadata(path) {
            Ok(metadata) => Ok(metadata.file_type().is_socket()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).with_context(|| format!("serve.api.unix: expected to look at {}", path.display())),
        }
    }

    impl Drop for SocketFile {
        fn drop(&mut self) {
            let is_ours = |metadata: fs::Metadata| (metadata.dev(), metadata.ino()) == self.identity;
            if fs::symlink_metadata(&self.path).is_ok_and(is_ours) {
                // Where it cannot go, the next start finds it without a listener and replaces it.
                let _ = fs::remove_file(&self.path);
            }
        }
    }
}
