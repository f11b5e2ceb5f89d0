//! The section `audit`: the audit log of issued tokens and, optionally, of refused requests.

use std::path::{Path, PathBuf};

use super::fault::Faults;
use super::field::{Kind, Presence, Section, Words, field, section};
use super::read::{Mapping, Misfit, boolean, choice_of, words};

/// The audit log: one line for each token, and for each refused request if `refused` is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLog {
    /// The destination of lines.
    pub to: AuditTarget,
    /// How a line records the subject of the token.
    pub subject: AuditSubject,
    /// Whether refused requests for tokens have lines, too.
    pub refused: bool,
}

/// The destination of audit lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditTarget {
    /// Append to this file.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

/// How an audit line records the subject of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditSubject {
    /// Its SHA-256, in hexadecimal digits.
    Hash,
    /// Not at all.
    None,
    /// The subject itself.
    Plain,
}

const AUDIT_TARGET: Words = Words { expected: "stdout, or the file:// URL of a file", pattern: "^(stdout|file://.+)$" };

pub(super) static AUDIT: Section = section(&[
    field(
        "to",
        "To",
        "The destination of lines: `stdout`, or a regular file. A path after `file://` is relative to the \
         configuration file unless it starts with a slash.",
        Kind::Text(AUDIT_TARGET),
        Presence::Required,
        &["stdout", "file:///var/log/claimsmith/audit.jsonl"],
    ),
    field(
        "subject",
        "Subject",
        "How a line records the claim `sub`: as SHA-256, in plain text, or not at all.",
        Kind::Choice(&["hash", "plain", "none"]),
        Presence::Default("hash"),
        &["none"],
    ),
    field(
        "refused",
        "Refused",
        "Whether each refused request for a token has a line, too. Anyone who reaches the API listener can cause such lines.",
        Kind::Bool,
        Presence::Default("false"),
        &["true"],
    ),
]);

/// Reads the section.
pub(super) fn audit(audit: &Mapping<'_>, base_dir: &Path, faults: &mut Faults) -> Option<AuditLog> {
    let to = audit.value("to", faults, |node, kind| match words(node, kind)?.as_str() {
        "stdout" => Ok(AuditTarget::Stdout),
        text => match text.strip_prefix("file://") {
            Some(path) if !path.is_empty() => Ok(AuditTarget::File(base_dir.join(path))),
            _ => Err(Misfit::Kind),
        },
    });
    let subject = audit.value(
        "subject",
        faults,
        choice_of(&[("hash", AuditSubject::Hash), ("none", AuditSubject::None), ("plain", AuditSubject::Plain)]),
    );
    let refused = audit.value("refused", faults, boolean);
    Some(AuditLog { to: to?, subject: subject?, refused: refused? })
}
