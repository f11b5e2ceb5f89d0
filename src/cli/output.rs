//! Standard output, standard error, and the failure of a command.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use crate::code::ErrorCode;
use crate::json;

/// Why a command failed.
pub(super) enum Failure {
    /// The command failed and has already reported why.
    Reported,
    /// The command failed.
    Refused(String),
    /// The configuration, or a file that it names, cannot be used.
    Configuration(String),
}

impl Failure {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Failure::Reported | Failure::Refused(_) => 1,
            Failure::Configuration(_) => 78,
        }
    }

    pub(super) fn report(&self) {
        match self {
            Failure::Reported => {}
            Failure::Refused(message) | Failure::Configuration(message) => {
                let _ = writeln!(io::stderr(), "error: {message}");
            }
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Refused(format!("{error:#}"))
    }
}

/// Writes a line to standard output. If the reader has closed its end, the command ends without a message.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    bytes(format!("{text}\n").as_bytes())
}

pub(super) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::Reported),
        Err(error) => Err(Failure::Refused(format!("cannot write to standard output: {error}"))),
    }
}

/// Creates a new file that only its owner can read.
pub(super) fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Writes a line to standard error.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// `{"code":…,"message":…}`
pub(super) fn error_json(code: ErrorCode, message: &str) -> String {
    let mut out = String::from("{\"code\":");
    json::write_string(code.as_str(), &mut out);
    out.push_str(",\"message\":");
    json::write_string(message, &mut out);
    out.push('}');
    out
}
