//! Files, read so that two looks at them can be compared: content decides whether anything changed. Neither events nor
//! timestamps say that of mounted volumes, which swap a symbolic link, nor of editors, which rename.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// No template, schema or recorded case is larger.
const LARGEST_WITHIN: u64 = 16 << 20;

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
        self.noted(path, fs::read(path))
    }

    /// The bytes of a file in `folder`, or below it. Links are followed, but not out of the folder: who may write
    /// there need not be one who may read keys and secrets, and a template's text goes into tokens and faults.
    ///
    /// # Errors
    /// As [`Files::read`], and for what stands elsewhere, is no file, or is larger than 16 MiB.
    pub fn read_within(&mut self, folder: &Path, path: &Path) -> io::Result<Vec<u8>> {
        self.noted(path, read_within(folder, path))
    }

    /// The text of a file.
    ///
    /// # Errors
    /// As [`fs::read_to_string`].
    pub fn read_text(&mut self, path: &Path) -> io::Result<String> {
        text(self.read(path)?)
    }

    /// The text of a file in `folder`, or below it.
    ///
    /// # Errors
    /// As [`Files::read_within`], and for bytes that are not UTF-8.
    pub fn read_text_within(&mut self, folder: &Path, path: &Path) -> io::Result<String> {
        text(self.read_within(folder, path)?)
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

    fn noted(&mut self, path: &Path, read: io::Result<Vec<u8>>) -> io::Result<Vec<u8>> {
        match &read {
            Ok(bytes) => self.found(path.as_os_str().as_encoded_bytes(), bytes),
            Err(error) => self.missed(path, error),
        }
        read
    }

    fn missed(&mut self, path: &Path, error: &io::Error) {
        self.found(path.as_os_str().as_encoded_bytes(), format!("missed: {:?}", error.kind()).as_bytes());
    }
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "bytes that are not UTF-8"))
}

fn read_within(folder: &Path, path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for its writer.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "something that is no file"));
    }
    let file = File::open(path)?;
    if !place_of(&file, path)?.starts_with(fs::canonicalize(folder)?) {
        let message = "a link that leads out of the folder of templates";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST_WITHIN + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_WITHIN {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a file of more than 16 MiB"));
    }
    Ok(bytes)
}

/// Where `file`, which was opened as `path`, really is. Linux tells it of the file that is open, whatever stands at
/// `path` since then.
fn place_of(file: &File, path: &Path) -> io::Result<PathBuf> {
    #[cfg(target_os = "linux")]
    if let Ok(place) = fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file))) {
        return Ok(place);
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
