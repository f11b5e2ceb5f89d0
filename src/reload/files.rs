//! File access with a digest of everything that was read. Changes are detected by content, because mounted volumes swap
//! symlinks and editors rename files, so neither events nor timestamps are reliable.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::access::{FileAccess, FileUse, is_obstruction};

/// Reads files and directories, and digests what it finds.
#[derive(Default)]
pub struct Files {
    access: Arc<FileAccess>,
    digest: Sha256,
    /// The parts of the current generation.
    known: Arc<Parts>,
    parts: Parts,
    obstructions: Vec<Obstruction>,
}

/// The digest of everything that one [`Files`] found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Content([u8; 32]);

/// The digests of parts, by their names.
pub(super) type Parts = HashMap<String, Content>;

/// A file that hangs, or that is not a regular file of a permitted size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Obstruction {
    pub(super) path: PathBuf,
    pub(super) found: String,
}

impl Files {
    /// Returns a reader that has read nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a reader through `access`. `known` are the parts of the current generation.
    pub(super) fn after(access: Arc<FileAccess>, known: Arc<Parts>) -> Self {
        Self { access, known, ..Self::default() }
    }

    /// Returns the access to the file system.
    pub(super) fn access(&self) -> &Arc<FileAccess> {
        &self.access
    }

    /// Reads files that belong together, and returns what `read` returns. Returns `None` if one of them is obstructed, but the
    /// current generation has this part: the caller then uses its own copy, and the part counts as unchanged.
    pub(super) fn part<T>(&mut self, name: &str, read: impl FnOnce(&mut Files) -> T) -> Option<T> {
        let mut files = Self { access: Arc::clone(&self.access), ..Self::default() };
        let found = read(&mut files);
        let Files { digest, obstructions, .. } = files;
        let (content, found) = match (self.known.get(name), obstructions.is_empty()) {
            (Some(known), false) => (*known, None),
            _ => (Content(digest.finalize().into()), Some(found)),
        };
        if found.is_none() {
            self.obstructions.extend(obstructions);
        }
        self.record(name.as_bytes(), &content.0);
        self.parts.insert(name.to_owned(), content);
        found
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// Fails like [`FileAccess::read`]. The failure becomes part of the digest.
    pub(crate) fn read(&mut self, path: &Path, file_use: FileUse) -> io::Result<Vec<u8>> {
        let read = self.read_unrecorded(path, file_use);
        self.recorded(path, read)
    }

    /// Reads the bytes of a file without a record in the digest.
    ///
    /// # Errors
    /// Fails like [`FileAccess::read`].
    pub(crate) fn read_unrecorded(&mut self, path: &Path, file_use: FileUse) -> io::Result<Vec<u8>> {
        let read = self.access.read(path, file_use);
        self.noted(path, read)
    }

    /// Reads the bytes of a file at any depth below `directory`. Follows links, but not to targets outside the directory:
    /// anyone who can write templates is not necessarily allowed to read keys and secrets, and the text of a template
    /// appears in tokens and errors.
    ///
    /// # Errors
    /// Fails like [`Files::read`], and for a target outside the directory.
    pub(super) fn read_within(&mut self, directory: &Path, path: &Path) -> io::Result<Vec<u8>> {
        let read = self.access.read_within(directory, path);
        let read = self.noted(path, read);
        self.recorded(path, read)
    }

    /// Reads a configuration as UTF-8.
    ///
    /// # Errors
    /// Fails like [`FileAccess::read`], and for bytes that are not UTF-8.
    pub fn read_text(&mut self, path: &Path) -> io::Result<String> {
        text(self.read(path, FileUse::Configuration)?)
    }

    /// Reads a file below `directory` as UTF-8.
    ///
    /// # Errors
    /// Fails like [`Files::read_within`], and for bytes that are not UTF-8.
    pub(super) fn read_text_within(&mut self, directory: &Path, path: &Path) -> io::Result<String> {
        text(self.read_within(directory, path)?)
    }

    /// Returns the sorted paths of all entries of a directory, which is `root` or below it.
    ///
    /// # Errors
    /// Fails like [`FileAccess::entries`].
    pub(super) fn entries(&mut self, root: &Path, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let read = self.access.entries(root, directory);
        match self.noted(directory, read) {
            Ok(paths) => {
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

    /// Returns `false` if there is nothing at `path`. What cannot be accessed exists, so that its read reports the error.
    pub(super) fn exists(&mut self, path: &Path) -> bool {
        let metadata = self.access.metadata(path);
        self.noted(path, metadata).map_or_else(|error| error.kind() != io::ErrorKind::NotFound, |_| true)
    }

    /// Returns `true` if there is a directory at `path`.
    pub(super) fn is_directory(&mut self, path: &Path) -> bool {
        let metadata = self.access.metadata(path);
        self.noted(path, metadata).is_ok_and(|metadata| metadata.is_dir())
    }

    /// Adds `bytes`, which did not come from a file, to the digest under `name`.
    pub(crate) fn record(&mut self, name: &[u8], bytes: &[u8]) {
        for part in [name, bytes] {
            self.digest.update((part.len() as u64).to_le_bytes());
            self.digest.update(part);
        }
    }

    /// Returns the digest of everything that was found, the digests of the parts, and the obstructions of parts that the
    /// current generation has.
    pub(super) fn content(self) -> (Content, Parts, Vec<Obstruction>) {
        (Content(self.digest.finalize().into()), self.parts, self.obstructions)
    }

    fn recorded(&mut self, path: &Path, read: io::Result<Vec<u8>>) -> io::Result<Vec<u8>> {
        match &read {
            Ok(bytes) => self.record(path.as_os_str().as_encoded_bytes(), bytes),
            Err(error) => self.record_error(path, error),
        }
        read
    }

    fn noted<T>(&mut self, path: &Path, read: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &read
            && is_obstruction(error)
        {
            self.obstructions.push(Obstruction { path: path.to_owned(), found: error.to_string() });
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
