//! Files, read so that two looks at them can be compared: content decides whether anything changed. Neither events nor
//! timestamps say that of mounted volumes, which swap a symbolic link, nor of editors, which rename.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// One look: reads files and folders, and keeps a digest of what it found.
#[derive(Default)]
pub struct Files(Sha256);

/// What a look found, to be compared with another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Content([u8; 32]);

impl Files {
    /// A new look.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// As [`fs::read`]; that it cannot be read is part of what was found.
    pub fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let read = fs::read(path);
        match &read {
            Ok(bytes) => self.found(path.as_os_str().as_encoded_bytes(), bytes),
            Err(error) => self.missed(path, error),
        }
        read
    }

    /// The text of a file.
    ///
    /// # Errors
    /// As [`fs::read_to_string`].
    pub fn read_text(&mut self, path: &Path) -> io::Result<String> {
        String::from_utf8(self.read(path)?)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "bytes that are not UTF-8"))
    }

    /// What stands in a folder, sorted.
    ///
    /// # Errors
    /// As [`fs::read_dir`].
    pub fn entries(&mut self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(folder)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>());
        match entries {
            Ok(mut paths) => {
                paths.sort();
                for path in &paths {
                    self.found(path.as_os_str().as_encoded_bytes(), b"entry");
                }
                Ok(paths)
            }
            Err(error) => {
                self.missed(folder, &error);
                Err(error)
            }
        }
    }

    /// Takes `bytes`, which came from elsewhere under `name`, for part of what was found.
    pub fn found(&mut self, name: &[u8], bytes: &[u8]) {
        for part in [name, bytes] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    /// All that was found.
    pub fn content(self) -> Content {
        Content(self.0.finalize().into())
    }

    fn missed(&mut self, path: &Path, error: &io::Error) {
        self.found(path.as_os_str().as_encoded_bytes(), format!("missed: {:?}", error.kind()).as_bytes());
    }
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
