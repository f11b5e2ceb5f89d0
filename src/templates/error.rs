//! What can be wrong with a template: at load ([`CompileError`], every fault at once) and over a session
//! ([`RenderError`], the first). Neither ever holds a value of a session.

use std::fmt;

use thiserror::Error;

use crate::code::ErrorCode;
use crate::escape;

/// A place in a template's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The template's name as the user knows it, usually its file.
    pub template: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl Place {
    /// The place of byte `offset` in `text`.
    pub fn of(template: &str, text: &str, offset: usize) -> Self {
        let before = text.get(..offset.min(text.len())).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            template: template.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", escape::line(&self.template), self.line, self.column)
    }
}

/// One fault of a template, found when it is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateFault {
    /// The stable code, one of `template.*`.
    pub code: ErrorCode,
    /// Where.
    pub place: Place,
    /// The line of the template it stands in.
    pub source_line: String,
    /// What was expected and what was found.
    pub message: String,
    /// What to write instead, where that can be said.
    pub help: Option<String>,
}

impl TemplateFault {
    /// A fault at byte `offset` of `text`.
    pub fn new(code: ErrorCode, template: &str, text: &str, offset: usize, message: impl Into<String>) -> Self {
        let place = Place::of(template, text, offset);
        let source_line = text.lines().nth(place.line - 1).unwrap_or_default().to_owned();
        Self { code, place, source_line, message: message.into(), help: None }
    }

    /// The same fault with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for TemplateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} [{}]", self.place, escape::line(&self.message), self.code)?;
        let number = self.place.line.to_string();
        writeln!(f, "  {number} | {}", escape::line(&self.source_line))?;
        // Escapes are wider than what they stand for.
        let before: String = self.source_line.chars().take(self.place.column - 1).collect();
        let beyond = (self.place.column - 1).saturating_sub(before.chars().count());
        let width = escape::line(&before).chars().count() + beyond;
        write!(f, "  {} | {}^", " ".repeat(number.len()), " ".repeat(width))?;
        if let Some(help) = &self.help {
            write!(f, "\n  help: {}", escape::line(help))?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a template, in the order of its text. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct CompileError {
    faults: Vec<TemplateFault>,
}

impl CompileError {
    /// The error that says `first` and `rest`.
    pub fn new(first: TemplateFault, rest: Vec<TemplateFault>) -> Self {
        let mut faults = rest;
        faults.insert(0, first);
        Self { faults }
    }

    /// `Err` if there is any fault.
    ///
    /// # Errors
    /// All of `faults`, sorted by place.
    pub fn check(mut faults: Vec<TemplateFault>) -> Result<(), Self> {
        faults.sort_by(|left, right| {
            (&left.place.template, left.place.line, left.place.column).cmp(&(
                &right.place.template,
                right.place.line,
                right.place.column,
            ))
        });
        if faults.is_empty() { Ok(()) } else { Err(Self { faults }) }
    }

    /// The faults, at least one.
    pub fn faults(&self) -> &[TemplateFault] {
        &self.faults
    }

    /// The code of the first fault.
    pub fn code(&self) -> ErrorCode {
        self.faults.first().map_or(ErrorCode::TemplateSyntax, |fault| fault.code)
    }
}

/// Why a template gave no claims for a session.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}{}", place.as_ref().map_or_else(String::new, |place| format!("{place}: ")), escape::line(message))]
pub struct RenderError {
    code: ErrorCode,
    place: Option<Place>,
    message: String,
}

impl RenderError {
    /// An error without a place. `message` says what was expected and what kind of thing was found, and names session
    /// paths, never session values.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, place: None, message: message.into() }
    }

    /// The same error at `place`, unless it has one already.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place.get_or_insert(place);
        self
    }

    /// The stable code, one of `template.*`.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// Where in the template.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// What was expected and what was found, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }
}
