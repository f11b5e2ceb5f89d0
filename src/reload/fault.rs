//! Errors of files.

use std::io;
use std::path::Path;

use crate::code::ErrorCode;
use crate::escape;
use crate::mint::BuildFault;

pub(super) fn unreadable(code: ErrorCode, path: &Path, expected: &str, error: &io::Error) -> BuildFault {
    fault_in_file(code, path, format!("expected {expected}, found: {error}"))
}

/// Returns a fault of the file or directory at `path`.
pub(super) fn fault_in_file(code: ErrorCode, path: &Path, message: String) -> BuildFault {
    let path = escape::line(&path.display().to_string()).into_owned();
    let message = escape::line(&message).into_owned();
    BuildFault::new(code, &path, &message).in_file(path, message)
}
