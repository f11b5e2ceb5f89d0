//! A key file that changes in place. Whoever reads it, at any moment and after any kill, finds the old set or the new one,
//! whole: the new one is written beside it, flushed to the disk, and takes its name in one step. Processes that share the
//! volume take turns by a lock on a file beside it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::keys::KeySetText;

/// Why a key file was not changed. The file is as it was.
#[derive(Debug)]
pub enum KeyFileError<E> {
    /// What was to be changed in it cannot be.
    Edit(E),
    /// A step of the way failed.
    Io {
        /// Which.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// How.
        error: io::Error,
    },
}

impl<E: fmt::Display> fmt::Display for KeyFileError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyFileError::Edit(error) => error.fmt(f),
            KeyFileError::Io { step, path, error } => {
                write!(f, "expected to {step} {}, found: {error}", path.display())
            }
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for KeyFileError<E> {}

/// Changes the key file `path` to what `edit` makes of its bytes (`None` where there is no file yet); where that is `None`,
/// the file stays as it is. Only one process at a time does this to one file; `edit` sees what the one before left.
///
/// A symbolic link is followed, its target is replaced. Permissions, and where possible the owner, are kept; a new file
/// is readable by its owner alone.
///
/// # Errors
/// [`KeyFileError`]; the file is then as it was.
pub fn change_key_file<T, E>(
    path: &Path,
    edit: impl FnOnce(Option<&[u8]>) -> Result<(Option<KeySetText>, T), E>,
) -> Result<T, KeyFileError<E>> {
    let path = match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_path_buf(),
        other => other.map_err(|error| io_error("find", path, error))?,
    };
    let lock_path = beside(&path, "lock");
    let lock = private_file(OpenOptions::new().write(true).create(true).truncate(false), &lock_path)
        .map_err(|error| io_error("open the lock", &lock_path, error))?;
    lock.lock().map_err(|error| io_error("take the lock", &lock_path, error))?;

    let bytes = match fs::read(&path) {
        Ok(bytes) => Some(Zeroizing::new(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(io_error("read", &path, error)),
    };
    let (text, outcome) = edit(bytes.as_ref().map(|bytes| bytes.as_slice())).map_err(KeyFileError::Edit)?;
    if let Some(text) = text {
        replace(&path, text.as_bytes(), bytes.is_some())?;
    }
    Ok(outcome)
    // The lock ends with `lock`. Its file stays: taking it away would let two processes lock two files of one name.
}

fn replace<E>(path: &Path, bytes: &[u8], exists: bool) -> Result<(), KeyFileError<E>> {
    // One name for all, because the lock lets one process here at a time: what a kill left behind is written over.
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
    // The new name is not safe from a loss of power before the folder is.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| io_error("flush", folder, error))
}

/// `path` with a dot before its name and `suffix` behind it, so that no reader takes it for a key file.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.{suffix}"))
}

fn private_file(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.open(path)
}

/// Gives `file` the permissions of `path`, and its owner where this process may.
fn keep_access(path: &Path, file: &File) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let new = file.metadata()?;
        if (metadata.uid(), metadata.gid()) != (new.uid(), new.gid())
            && std::os::unix::fs::fchown(file, Some(metadata.uid()), Some(metadata.gid())).is_err()
        {
            // Not ours to give away. The group alone may still be, and is what lets other readers in.
            let _ = std::os::unix::fs::fchown(file, None, Some(metadata.gid()));
        }
    }
    file.set_permissions(metadata.permissions())
}

fn io_error<E>(step: &'static str, path: &Path, error: io::Error) -> KeyFileError<E> {
    KeyFileError::Io { step, path: path.to_path_buf(), error }
}
