//! Standard output, standard error, and the failure of a command.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use crate::code::ErrorCode;
use crate::escape;
use crate::json;
use crate::mint::BuildFault;

/// The most bytes of a token that are read from standard input.
const LARGEST_TOKEN: u64 = 1 << 20;

/// Why a command failed.
pub(super) enum Failure {
    /// The command failed and has already reported why.
    Reported,
    /// The command failed, for a reason of one line.
    Refused(String),
    /// The command failed, for a reason of several lines, whose external parts are escaped.
    Lines(String),
    /// A template or a session was rejected, with its code. External parts of a message of several lines are escaped.
    Rejected(ErrorCode, String),
    /// The configuration, or a file that it names, cannot be used. The message has several lines, which are escaped.
    Configuration(String, Vec<BuildFault>),
    /// The arguments are invalid.
    Usage(String),
}

impl Failure {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Failure::Reported | Failure::Refused(_) | Failure::Lines(_) | Failure::Rejected(..) => 1,
            Failure::Usage(_) => 2,
            Failure::Configuration(..) => 78,
        }
    }

    pub(super) fn report(&self, as_json: bool) {
        let (code, message, faults) = match self {
            Failure::Reported => return,
            Failure::Refused(message) | Failure::Lines(message) => ("failed", message, &[][..]),
            Failure::Rejected(code, message) => (code.as_str(), message, &[][..]),
            Failure::Configuration(message, faults) => (ErrorCode::ConfigInvalid.as_str(), message, faults.as_slice()),
            Failure::Usage(message) => ("usage", message, &[][..]),
        };
        let message = message.strip_prefix("error: ").unwrap_or(message);
        if as_json {
            let faults: Vec<_> = faults.iter().map(|fault| fault_json(fault, |_| None)).collect();
            let _ = line(&failure_json(code, message, &faults, serde_json::json!({})).to_string());
            return;
        }
        let suffix = match self {
            Failure::Rejected(code, message) if !message.contains('\n') => format!(" [{code}]"),
            _ => String::new(),
        };
        let text = format!("error: {message}{suffix}");
        match self {
            Failure::Lines(_) | Failure::Configuration(..) => block(&text),
            Failure::Rejected(_, message) if message.contains('\n') => block(&text),
            _ => note(&text),
        }
    }
}

/// Returns the JSON of a failure, with the members of `more`.
pub(super) fn failure_json(code: &str, message: &str, faults: &[Value], more: Value) -> Value {
    let mut document =
        serde_json::json!({"ok": false, "error": {"code": code, "message": message.trim_end()}, "faults": faults});
    if let (Some(members), Value::Object(more)) = (document.as_object_mut(), more) {
        members.extend(more);
    }
    document
}

/// Returns a fault as JSON. `whole_file` returns the file of a fault without a position.
pub(super) fn fault_json(fault: &BuildFault, whole_file: impl Fn(&BuildFault) -> Option<String>) -> Value {
    let pointer = fault.pointer.as_deref();
    serde_json::json!({
        "code": fault.code.as_str(),
        "part": fault.part,
        "path": pointer.map_or_else(|| whole_file(fault), |pointer| pointer.path.clone()),
        "line": pointer.and_then(|pointer| pointer.line),
        "column": pointer.and_then(|pointer| pointer.column),
        "key": pointer.and_then(|pointer| pointer.key.as_deref()),
        "variable": pointer.and_then(|pointer| pointer.variable.as_deref()),
        "message": pointer.map_or(&fault.message, |pointer| &pointer.message),
    })
}

/// Returns the token that `argument` has, or that standard input has if it is `-`, without `Bearer`.
pub(super) fn token(argument: &str) -> Result<String, Failure> {
    let mut text = argument.to_owned();
    if argument == "-" {
        text.clear();
        io::stdin()
            .take(LARGEST_TOKEN)
            .read_to_string(&mut text)
            .context("cannot read the token from standard input")?;
    }
    Ok(without_scheme(&text).to_owned())
}

/// Removes the parts of an HTTP header before its token.
fn without_scheme(text: &str) -> &str {
    ["authorization:", "bearer "].into_iter().fold(text.trim().trim_matches('"'), |token, prefix| {
        match token.split_at_checked(prefix.len()) {
            Some((start, rest)) if start.eq_ignore_ascii_case(prefix) => rest.trim_start(),
            _ => token,
        }
    })
}

/// Colors the first word of each line, if standard error is a terminal that shows colors (see <https://no-color.org>).
fn painted(text: &str) -> String {
    let is_off = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    match io::stderr().is_terminal() && !is_off("NO_COLOR") && !is_dumb {
        true => text.split('\n').map(painted_line).collect::<Vec<_>>().join("\n"),
        false => text.to_owned(),
    }
}

fn painted_line(line: &str) -> String {
    const WORDS: [(&str, &str); 5] =
        [("error:", "1;31"), ("fault:", "1;31"), ("warning:", "1;33"), ("note:", "1;36"), ("help:", "1;32")];
    let indent = line.len() - line.trim_start().len();
    let (space, rest) = line.split_at(indent);
    if let Some((word, color)) = WORDS.iter().find(|(word, _)| rest.starts_with(word)) {
        let after = rest.get(word.len()..).unwrap_or_default();
        return format!("{space}\u{1b}[{color}m{word}\u{1b}[0m{after}");
    }
    match line.strip_suffix('^') {
        Some(before) if before.trim() == "|" => format!("{before}\u{1b}[1;31m^\u{1b}[0m"),
        _ => line.to_owned(),
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
    let _ = writeln!(io::stderr(), "{}", painted(&escape::line(text)));
}

/// Writes lines, whose external parts are escaped, to standard error.
pub(super) fn block(text: &str) {
    let _ = writeln!(io::stderr(), "{}", painted(&escape::lines(text)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_has_no_scheme() {
        for text in ["a.b.c", "Bearer a.b.c", "bearer  a.b.c\n", "Authorization: Bearer a.b.c", "\"a.b.c\""] {
            assert_eq!(without_scheme(text), "a.b.c", "{text}");
        }
    }

    #[test]
    fn first_words_and_carets_are_painted() {
        assert_eq!(painted_line("  help: x"), "  \u{1b}[1;32mhelp:\u{1b}[0m x");
        assert_eq!(painted_line("    |  ^"), "    |  \u{1b}[1;31m^\u{1b}[0m");
        assert_eq!(painted_line("plain ^"), "plain ^");
    }
}
