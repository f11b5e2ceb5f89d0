//! What can be wrong with a template: at load ([`CompileError`], every fault at once) and over a session
//! ([`RenderError`], the first). Neither ever holds a value of a session.

use std::fmt;

use thiserror::Error;

use crate::code::ErrorCode;
use crate::escape;
use crate::json::Json;
use crate::nearest::nearest;
use crate::session::SessionValues;

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
        let column = self.place.column.saturating_sub(1);
        // Of a long line, the part around the column is enough.
        let skipped = if column > LINE_CHARS / 2 { column - LINE_CHARS / 2 } else { 0 };
        let mut rest = self.source_line.chars().skip(skipped);
        let shown: String = rest.by_ref().take(LINE_CHARS).collect();
        let (start, end) = (if skipped > 0 { "…" } else { "" }, if rest.next().is_some() { "…" } else { "" });
        writeln!(f, "  {number} | {start}{}{end}", escape::line(&shown))?;
        // Escapes are wider than what they stand for.
        let before: String = shown.chars().take(column - skipped).collect();
        let beyond = (column - skipped).saturating_sub(before.chars().count());
        let width = start.chars().count() + escape::line(&before).chars().count() + beyond;
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
pub struct RenderError {
    code: ErrorCode,
    message: String,
    details: Option<Box<Details>>,
}

/// What an error has besides its message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Details {
    place: Option<Place>,
    source_line: String,
    help: Option<String>,
    lost: Option<LostMember>,
}

/// A member that the session does not have, as the template writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostMember {
    /// The text before the names: nothing, `role.` of a block parameter, `../`, `@root.`, or `.` and `$role.` in Go.
    pub prefix: String,
    /// The names that the template writes.
    pub names: Vec<String>,
    /// Which of `names` is the first that is missing.
    pub missing_at: usize,
    /// The path of `prefix` from the top of the session; `None` if a name in it is a value of the session, or if a function made
    /// the value.
    pub parents: Option<Vec<String>>,
    /// The use that the template makes of it.
    pub usage: LostUsage,
}

/// The use that a template makes of a missing member. Optional members are written in different ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LostUsage {
    /// An argument of a function, in Go.
    GoArgument,
    /// The owner of this field, in Go.
    GoOwner(String),
    /// A whole value, in Go.
    GoValue,
    /// Any, in Handlebars.
    Handlebars,
}

impl RenderError {
    /// An error without a place. `message` says what was expected and what kind of thing was found, and names session
    /// paths, never session values.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None }
    }

    fn details(&mut self) -> &mut Details {
        self.details.get_or_insert_default()
    }

    /// The same error at byte `offset` of `text`, the template named `template`, unless it has a place already.
    #[must_use]
    pub fn at(mut self, template: &str, text: &str, offset: usize) -> Self {
        if self.place().is_none() {
            let place = Place::of(template, text, offset);
            let details = self.details();
            details.source_line = text.lines().nth(place.line - 1).unwrap_or_default().to_owned();
            details.place = Some(place);
        }
        self
    }

    /// The same error with advice, unless it has some already. Like the message, it contains no value and no name of a
    /// session.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.details().help.get_or_insert_with(|| help.into());
        self
    }

    /// The same error with the path of the member that is missing.
    #[must_use]
    pub fn lost(mut self, lost: LostMember) -> Self {
        self.details().lost = Some(lost);
        self
    }

    /// The same error with the name of `session` that is nearest to the missing one. For sessions that belong to the person who reads
    /// the error, such as a file: other errors contain no name that only the session has.
    #[must_use]
    pub fn with_names_of(mut self, session: &SessionValues<'_>) -> Self {
        if let Some(lost) = self.details.as_ref().and_then(|details| details.lost.as_ref())
            && let Some(help) = lost.help_of(session)
        {
            self.details().help = Some(help);
        }
        self
    }

    /// The stable code, one of `template.*` or `session.refused`.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// Where in the template.
    pub fn place(&self) -> Option<&Place> {
        self.details.as_ref()?.place.as_ref()
    }

    /// What was expected and what was found, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to write instead, if that is known.
    pub fn advice(&self) -> Option<&str> {
        self.details.as_ref()?.help.as_deref()
    }

    /// The error as a fault of the template, whose text has the line and a caret. `None` without a place.
    pub fn fault(&self) -> Option<TemplateFault> {
        let details = self.details.as_ref()?;
        Some(TemplateFault {
            code: self.code,
            place: details.place.clone()?,
            source_line: details.source_line.clone(),
            message: self.message.clone(),
            help: details.help.clone(),
        })
    }
}

impl fmt::Display for RenderError {
    /// One line, for logs and responses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place() {
            write!(f, "{place}: ")?;
        }
        f.write_str(&escape::line(&self.message))?;
        self.advice().map_or(Ok(()), |help| write!(f, "; {help}"))
    }
}

impl LostMember {
    /// The path from the top of the session to the first name that is missing, if it is known.
    pub fn session_path(&self) -> Option<Vec<String>> {
        let mut path = self.parents.clone()?;
        path.extend(self.names.iter().take(self.missing_at + 1).cloned());
        Some(path)
    }

    /// Advice: the nearest of the names `known` at the same place, and how to write a member that can be missing.
    pub fn help<'n>(&self, known: impl Iterator<Item = &'n str>) -> String {
        let wrong = self.names.get(self.missing_at).map_or("", String::as_str);
        let near = nearest(wrong, known.filter(|name| *name != wrong));
        let optional = self.optional();
        match near {
            Some(near) => format!("did you mean `{}`? {optional}", self.corrected(near)),
            None => optional,
        }
    }

    /// The names as the template writes them.
    fn written(&self) -> String {
        format!("{}{}", self.prefix, joined(&self.names))
    }

    fn optional(&self) -> String {
        let path = self.written();
        match &self.usage {
            LostUsage::GoArgument => format!("if it can be missing, write {} around the expression", self.go_test()),
            LostUsage::GoOwner(field) => {
                format!("if it can be missing, write {{{{ with {path} }}}}{{{{ .{field} }}}}{{{{ end }}}}")
            }
            LostUsage::GoValue => format!(
                "if it can be missing, write {{{{ {path} | toJson }}}} for null, or {} around the member",
                self.go_test()
            ),
            LostUsage::Handlebars => format!(
                "if it can be missing, write {{{{default {path} null}}}} or {{{{#if (has {path})}}}}…{{{{/if}}}}, or set \
                 `missing: omit` in the profile"
            ),
        }
    }

    /// Returns a test in Go that keeps false, 0 and empty values. The owner of the last name has to be there.
    fn go_test(&self) -> String {
        let Some((last, owners)) = self.names.split_last() else { return String::new() };
        let owner = format!("{}{}", self.prefix, joined(owners));
        let owner = if owner == "." { "." } else { owner.trim_end_matches('.') };
        format!("{{{{ if hasKey {owner} \"{last}\" }}}}…{{{{ end }}}}")
    }

    fn corrected(&self, name: &str) -> String {
        let mut corrected = self.clone();
        if let Some(wrong) = corrected.names.get_mut(self.missing_at) {
            name.clone_into(wrong);
        }
        corrected.written()
    }

    fn help_of(&self, session: &SessionValues<'_>) -> Option<String> {
        let path = self.session_path()?;
        let (wrong, parents) = path.split_last()?;
        let (first, below) = parents.split_first()?;
        let part = match first.as_str() {
            "Extra" => &session.extra,
            "Header" => &session.header,
            "MatchContext" => &session.match_context,
            _ => return None,
        };
        let Json::Object(members) = value_at(part, below)? else { return None };
        let names: Vec<&str> = members.iter().map(|(name, _)| name).collect();
        if nearest(wrong, names.iter().copied()).is_some() {
            return Some(self.help(names.into_iter()));
        }
        let shown: Vec<&str> = names.iter().copied().take(NAMES_SHOWN).collect();
        let others = if names.len() > shown.len() { ", …" } else { "" };
        let has = if shown.is_empty() { "no members".to_owned() } else { format!("{}{others}", shown.join(", ")) };
        Some(format!("{} has {has}; {}", joined(parents), self.optional()))
    }
}

/// Returns the value at `path` in `json`.
pub(super) fn value_at<'v, 'j>(json: &'v Json<'j>, path: &[String]) -> Option<&'v Json<'j>> {
    path.iter().try_fold(json, |parent, name| match parent {
        Json::Array(elements) => elements.get(name.parse::<usize>().ok()?),
        Json::Object(members) => members.member(name),
        _ => None,
    })
}

/// Returns `names` as a path.
fn joined(names: &[String]) -> String {
    let mut path = String::new();
    for name in names {
        if !path.is_empty() {
            path.push('.');
        }
        let is_plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "-_$:".contains(c));
        if is_plain {
            path.push_str(name);
        } else {
            path.extend(["[", name, "]"]);
        }
    }
    path
}

/// The most characters of a line of a template that an error shows.
const LINE_CHARS: usize = 160;
/// The most names of a session that advice lists.
const NAMES_SHOWN: usize = 12;
