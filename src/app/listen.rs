//! The listening sockets of a service.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context as _;

use crate::config::Listener;
#[cfg(unix)]
pub(super) use unix::{SocketFile, listen_unix};

/// Connections that can wait to be accepted. The system can limit this further (`net.core.somaxconn`).
#[cfg(unix)]
const BACKLOG: i32 = 4096;

/// Binds the address of `listener`, which the configuration names by `key`.
pub(super) fn listen(listener: &Listener, key: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let host = listener.host.text();
    let socket = TcpListener::bind((host.as_str(), listener.port)).with_context(|| {
        format!(
            "{key}: cannot bind {host}:{}; stop the process that uses this address or change {key}.port",
            listener.port
        )
    })?;
    socket.set_nonblocking(true)?;
    // The backlog of the standard library is 128, too few for a gateway that opens a connection for each of its own. A
    // connection above the backlog is retried after a second, and by then Oathkeeper has given up.
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

    /// The file of a socket, which is removed when this is dropped, unless another process has replaced it.
    #[derive(Debug)]
    pub(in crate::app) struct SocketFile {
        path: PathBuf,
        /// Device and inode.
        identity: (u64, u64),
    }

    /// Binds `socket` and replaces a socket file without a listener. The socket is created under another name and then
    /// renamed, so that it never appears with other permissions.
    pub(in crate::app) fn listen_unix(socket: &UnixSocket) -> anyhow::Result<(UnixListener, SocketFile)> {
        let path = &socket.path;
        reject_occupied(path)?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let next = path.with_file_name(format!(".{name}.next"));
        let cannot = |action: &str, path: &Path| format!("serve.api.unix: cannot {action} {}", path.display());
        if is_socket(&next)? {
            fs::remove_file(&next).with_context(|| cannot("remove the old socket", &next))?;
        }
        let listener = UnixListener::bind(&next).with_context(|| cannot("create the socket", &next))?;
        let placed = fs::set_permissions(&next, Permissions::from_mode(socket.mode))
            .and_then(|()| fs::symlink_metadata(&next))
            .and_then(|metadata| fs::rename(&next, path).map(|()| (metadata.dev(), metadata.ino())));
        let identity = match placed {
            Ok(identity) => identity,
            Err(error) => {
                let _ = fs::remove_file(&next);
                return Err(error).with_context(|| cannot("move the socket to", path));
            }
        };
        listener.set_nonblocking(true)?;
        Ok((listener, SocketFile { path: path.clone(), identity }))
    }

    /// Fails unless `path` is free or a socket without a listener, which can be replaced.
    fn reject_occupied(path: &Path) -> anyhow::Result<()> {
        if !is_socket(path)? {
            if fs::symlink_metadata(path).is_ok() {
                bail!(
                    "serve.api.unix: {} exists and is not a socket; remove it or change serve.api.unix.path",
                    path.display()
                );
            }
            return Ok(());
        }
        match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Ok(_) => bail!(
                "serve.api.unix: another process listens on {}; stop it or change serve.api.unix.path",
                path.display()
            ),
            Err(error) => {
                Err(error).with_context(|| format!("serve.api.unix: cannot check whether {} is in use", path.display()))
            }
        }
    }

    fn is_socket(path: &Path) -> anyhow::Result<bool> {
        match fs::symlink_metadata(path) {
            Ok(metadata) => Ok(metadata.file_type().is_socket()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => {
                Err(error).with_context(|| format!("serve.api.unix: cannot read the metadata of {}", path.display()))
            }
        }
    }

    impl Drop for SocketFile {
        fn drop(&mut self) {
            let is_ours = |metadata: fs::Metadata| (metadata.dev(), metadata.ino()) == self.identity;
            if fs::symlink_metadata(&self.path).is_ok_and(is_ours) {
                // If this fails, the next startup replaces the file, because it has no listener.
                let _ = fs::remove_file(&self.path);
            }
        }
    }
}
