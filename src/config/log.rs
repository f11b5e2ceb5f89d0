//! The section `log`: which events are logged, and their format.

use super::fault::Faults;
use super::field::{Kind, Presence, Section, field, section};
use super::read::{Mapping, choice, choice_of};

/// Which events are logged, and their format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    /// The lowest level that is logged.
    pub level: LogLevel,
    /// The format of a line.
    pub format: LogFormat,
}

/// The level of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The format of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// JSON.
    Json,
    /// Text.
    Text,
}

pub(super) static LOG: Section = section(&[
    field(
        "level",
        "Level",
        "The lowest level that is logged.",
        Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
        Presence::Default("info"),
        &["debug"],
    ),
    field(
        "format",
        "Format",
        "The format of log lines.",
        Kind::Choice(&["text", "json"]),
        Presence::Default("json"),
        &["text"],
    ),
]);

impl LogLevel {
    /// Returns the level as it is written.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

/// Reads the section.
pub(super) fn log(log: &Mapping<'_>, faults: &mut Faults) -> Option<Log> {
    let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
    let level = log.value("level", faults, choice(|word| levels.into_iter().find(|level| level.as_str() == word)));
    let format = log.value("format", faults, choice_of(&[("json", LogFormat::Json), ("text", LogFormat::Text)]));
    Some(Log { level: level?, format: format? })
}
