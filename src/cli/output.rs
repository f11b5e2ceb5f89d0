//! Standard output, standard error, and the failure of a command.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use crate::code::ErrorCode;
use crate::escape;
use crate::json;

/// Why a command failed.
pub(super) enum Failure {
    /// The command failed and has already reported why.
    Reported,
    /// The command failed, for a reason of one line.
    Refused(String),
    /// The command failed, for a reason of several lines, whose external parts are escaped.
    Lines(String),
    /// The configuration, or a file that it names, cannot be used. The message has several lines, which are escaped.
    Configuration(String),
}

impl Failure {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Failure::Reported | Failure::Refused(_) | Failure::Lines(_) => 1,
            Failure::Configuration(_) => 78,
        }
    }

    pub(super) fn report(&self) {
        match self {
            Failure::Reported => {}
            Failure::Refused(message) => note(&format!("error: {message}")),
            Failure::Lines(message) | Failure::Configuration(message) => block(&format!("error: {message}")),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Refused(format!("{error:#}"))
    }
}

/// Writes text and a line end to standard output, without characters that a terminal obeys. If the reader has closed its end, the command ends without a message.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    bytes(format!("{}\n", escape::lines(text)).as_bytes())
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

/// Writes one line to standard error, without characters that a terminal obeys.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{}", escape::line(text));
}

/// Writes lines, whose external parts are escaped, to standard error.
pub(super) fn block(text: &str) {
    let _ = writeln!(io::stderr(), "{}", escape::lines(text));
}

/// Writes a note of one line to standard error.
pub(super) fn remark(remark: &impl Display) {
    note(&format!("note: {remark}"));
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
