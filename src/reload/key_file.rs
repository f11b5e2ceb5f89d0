//! Atomic changes of key files. Every reader, at any time and after any crash, sees either the complete old or the complete
//! new key set: the new one is written to a second file, synced, and renamed over the old one. Processes that share the
//! volume exclude each other by a lock on a third file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use super::access::{FileAccess, FileUse, never_wait, read_here, require_regular};
use crate::keys::KeySetText;

/// The reason why a key file was not changed. The file is intact.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError<E> {
    /// The edit failed.
    #[error("{0}")]
    Edit(E),
    /// A file operation failed.
    #[error("cannot {action} {}: {error}", path.display())]
    Io {
        /// The operation and its object.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
}

/// Replaces the key file `path` by the key set that `edit` returns. `edit` gets the current bytes, or `None` if there is no
/// file yet. If it returns no key set, the file is not changed. Processes that change one file run one after the other, so
/// `edit` sees the result of the process before.
///
/// Follows a symbolic link and replaces its target. Keeps permissions, and the owner if this process can. Only the owner can
/// read a new file.
///
/// # Errors
/// Returns [`KeyFileError`]; the file is then intact.
pub fn change_key_file<T, E>(
    path: &Path,
    edit: impl FnOnce(Option<&[u8]>) -> Result<(Option<KeySetText>, T), E>,
) -> Result<T, KeyFileError<E>> {
    let path = match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_path_buf(),
        other => other.map_err(|error| io_error("find", path, error))?,
    };
    // No lock file appears beside a device.
    match fs::metadata(&path).and_then(|metadata| require_regular(&metadata)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error("read", &path, error)),
        _ => {}
    }
    let lock_path = beside(&path, "lock");
    let lock = private_file(OpenOptions::new().write(true).create(true).truncate(false), &lock_path)
        .map_err(|error| io_error("open the lock file", &lock_path, error))?;
    lock.metadata()
        .and_then(|metadata| require_regular(&metadata))
        .map_err(|error| io_error("open the lock file", &lock_path, error))?;
    lock.lock().map_err(|error| io_error("lock", &lock_path, error))?;

    let bytes = match read_here(&path, FileUse::Keys) {
        Ok(bytes) => Some(Zeroizing::new(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(io_error("read", &path, error)),
    };
    let (text, outcome) = edit(bytes.as_ref().map(|bytes| bytes.as_slice())).map_err(KeyFileError::Edit)?;
    if let Some(text) = text {
        replace(&path, text.as_bytes(), bytes.is_some())?;
    }
    Ok(outcome)
    // Dropping `lock` releases the lock. Its file stays, otherwise two processes could lock two files of one name.
}

impl FileAccess {
    /// Changes a key file like [`change_key_file`], but fails after `deadline`: a file system or another process that holds
    /// the lock can hang. The change can still happen after that.
    ///
    /// # Errors
    /// As [`change_key_file`], and after the deadline.
    pub fn change_key_file<T: Send + 'static, E: Send + 'static>(
        &self,
        path: &Path,
        deadline: Duration,
        edit: impl FnOnce(Option<&[u8]>) -> Result<(Option<KeySetText>, T), E> + Send + 'static,
    ) -> Result<T, KeyFileError<E>> {
        let target = path.to_owned();
        self.run(path, deadline, move || Ok(change_key_file(&target, edit))).unwrap_or_else(|error| {
            let found = "a file system that does not respond, or a process that holds the lock of the file";
            let error =
                if error.kind() == io::ErrorKind::TimedOut { io::Error::new(error.kind(), found) } else { error };
            Err(io_error("change", path, error))
        })
    }
}

fn replace<E>(path: &Path, bytes: &[u8], exists: bool) -> Result<(), KeyFileError<E>> {
    // All processes use one name, because the lock admits one at a time. A crash can leave this file behind.
    let next = beside(path, "next");
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error("remove", &next, error)),
        _ => {}
    }
    let mut file = private_file(OpenOptions::new().write(true).create_new(true), &next)
        .map_err(|error| io_error("create", &next, error))?;
    let written = (|| {
        if exists {
            keep_access(path, &file)?;
        }
        file.write_all(bytes)?;
        file.sync_all()
    })();
    if let Err(error) = written {
        let _ = fs::remove_file(&next);
        return Err(io_error("write", &next, error));
    }
    fs::rename(&next, path).map_err(|error| io_error("replace", path, error))?;
    // Sync the directory, otherwise a power failure can undo the rename.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|opened| opened.sync_all()).map_err(|error| io_error("sync", directory, error))
}

/// Returns `path` with a dot before its file name and `suffix` after it, so that nothing reads it as a key file.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.{suffix}"))
}

fn private_file(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    never_wait(options).open(path)
}

/// Gives `file` the permissions of `path`, and its owner if this process can.
fn keep_access(path: &Path, file: &File) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let new = file.metadata()?;
        if (metadata.uid(), metadata.gid()) != (new.uid(), new.gid())
            && std::os::unix::fs::fchown(file, Some(metadata.uid()), Some(metadata.gid())).is_err()
        {
            // Only root can change the owner. The group may still be allowed, and gives other readers access.
            let _ = std::os::unix::fs::fchown(file, None, Some(metadata.gid()));
        }
    }
    file.set_permissions(metadata.permissions())
}

fn io_error<E>(action: &'static str, path: &Path, error: io::Error) -> KeyFileError<E> {
    KeyFileError::Io { action, path: path.to_path_buf(), error }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;
    use crate::json::{Json, ReadLimits};
    use crate::keys::{KeySet, PemError};
    use crate::session::SessionError;

    #[test]
    fn change_ends_although_another_process_holds_the_lock() {
        let here = std::env::temp_dir().join(format!("claimsmith-key-lock-{}", std::process::id()));
        fs::create_dir_all(&here).unwrap();
        let path = fs::canonicalize(&here).unwrap().join("keys.json");
        let held = File::create(beside(&path, "lock")).unwrap();
        held.lock().unwrap();
        let access = FileAccess::default();
        let change = |deadline| {
            let edit = |_: Option<&[u8]>| Ok::<_, String>((None::<KeySetText>, 7));
            access.change_key_file(&path, deadline, edit).map_err(|error| error.to_string())
        };
        let error = change(Duration::from_millis(50)).unwrap_err();
        assert!(error.contains("a process that holds the lock"), "{error}");
        held.unlock().unwrap();
        // The abandoned change ends now, and until then the path counts as hanging.
        let start = std::time::Instant::now();
        while change(Duration::from_secs(10)).is_err() && start.elapsed() < Duration::from_secs(10) {
            std::thread::yield_now();
        }
        assert_eq!(change(Duration::from_secs(10)), Ok(7));
        fs::remove_dir_all(here).unwrap();
    }

    #[test]
    fn errors_with_a_cause_in_their_text_have_no_source() {
        let io: KeyFileError<SessionError> = io_error("read", Path::new("keys.json"), io::Error::other("cause"));
        let json = Json::parse(b"{", ReadLimits::default()).unwrap_err();
        let set = KeySet::parse(b"{}").unwrap_err();
        let errors: [(String, &dyn Error); 3] = [
            ("cause".to_owned(), &io),
            (json.to_string(), &SessionError::from(json)),
            (set.to_string(), &PemError::Unusable(set)),
        ];
        for (cause, error) in errors {
            assert!(error.to_string().contains(&cause) && error.source().is_none(), "{error}");
        }
    }
}
