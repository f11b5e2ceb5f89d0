//! File access with a digest of everything that was read. Changes are detected by content, because mounted volumes swap
//! symlinks and editors rename files, so neither events nor timestamps are reliable.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// The size limit for templates, schemas and recorded cases.
const MAX_BYTES_WITHIN: u64 = 16 << 20;

/// Reads files and directories, and digests what it finds.
#[derive(Default)]
pub struct Files(Sha256);

/// The digest of everything that one [`Files`] found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Content([u8; 32]);

impl Files {
    /// Returns a reader that has read nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// Fails like [`fs::read`]. The failure becomes part of the digest.
    pub(crate) fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        self.recorded(path, fs::read(path))
    }

    /// Reads the bytes of a file at any depth below `directory`. Follows links, but not to targets outside the directory:
    /// anyone who can write templates is not necessarily allowed to read keys and secrets, and the text of a template
    /// appears in tokens and errors.
    ///
    /// # Errors
    /// Fails like [`Files::read`], and for a target outside the directory, one that is not a regular file, or one larger
    /// than 16 MiB.
    pub(super) fn read_within(&mut self, directory: &Path, path: &Path) -> io::Result<Vec<u8>> {
        self.recorded(path, read_within(directory, path))
    }

    /// Reads a file as UTF-8.
    ///
    /// # Errors
    /// Fails like [`fs::read_to_string`].
    pub fn read_text(&mut self, path: &Path) -> io::Result<String> {
        text(self.read(path)?)
    }

    /// Reads a file below `directory` as UTF-8.
    ///
    /// # Errors
    /// Fails like [`Files::read_within`], and for bytes that are not UTF-8.
    pub(super) fn read_text_within(&mut self, directory: &Path, path: &Path) -> io::Result<String> {
        text(self.read_within(directory, path)?)
    }

    /// Returns the sorted paths of all entries of a directory.
    ///
    /// # Errors
    /// Fails like [`fs::read_dir`].
    pub(super) fn entries(&mut self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(directory)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>());
        match entries {
            Ok(mut paths) => {
                paths.sort();
                for path in &paths {
                    self.record(path.as_os_str().as_encoded_bytes(), b"entry");
                }
                Ok(paths)
            }
            Err(error) => {
                self.record_error(directory, &error);
                Err(error)
            }
        }
    }

    /// Adds `bytes`, which did not come from a file, to the digest under `name`.
    pub(crate) fn record(&mut self, name: &[u8], bytes: &[u8]) {
        for part in [name, bytes] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    /// Returns the digest of everything that was found.
    pub(super) fn content(self) -> Content {
        Content(self.0.finalize().into())
    }

    fn recorded(&mut self, path: &Path, read: io::Result<Vec<u8>>) -> io::Result<Vec<u8>> {
        match &read {
            Ok(bytes) => self.record(path.as_os_str().as_encoded_bytes(), bytes),
            Err(error) => self.record_error(path, error),
        }
        read
    }

    fn record_error(&mut self, path: &Path, error: &io::Error) {
        self.record(path.as_os_str().as_encoded_bytes(), format!("error: {:?}", error.kind()).as_bytes());
    }
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "bytes that are not UTF-8"))
}

/// Reads a regular file of at most `most` bytes.
///
/// # Errors
/// Fails like [`fs::read`], and for other files.
pub(crate) fn read_regular(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    bytes_of(open_regular(path)?, most)
}

fn open_regular(path: &Path) -> io::Result<File> {
    // Opening a pipe would block until somebody writes to it.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "something that is not a regular file"));
    }
    File::open(path)
}

fn bytes_of(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("a file of more than {} MiB", most >> 20)));
    }
    Ok(bytes)
}

fn read_within(directory: &Path, path: &Path) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    if !target_of(&file, path)?.starts_with(fs::canonicalize(directory)?) {
        let message = "a link that leads out of the templates directory";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    bytes_of(file, MAX_BYTES_WITHIN)
}

/// Returns the path of `file`, which was opened as `path`, without links. Linux reports it for the open file, so that a link
/// swapped after the open cannot mislead the check.
fn target_of(file: &File, path: &Path) -> io::Result<PathBuf> {
    #[cfg(target_os = "linux")]
    if let Ok(target) = fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file))) {
        return Ok(target);
    }
    let _ = file;
    fs::canonicalize(path)
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Files")
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({:02x}{:02x}{:02x}{:02x})", self.0[0], self.0[1], self.0[2], self.0[3])
    }
}
