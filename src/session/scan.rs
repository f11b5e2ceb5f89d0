//! One pass over the bytes of a session: checks the shape of its parts and notes the selected places.

use super::{Part, Selected, Selection, SessionError};
use crate::json::{Json, Reader};

/// The members of a session that have a meaning here.
pub(super) const MEMBERS: [&str; 4] = ["subject", "extra", "header", "match_context"];

/// The value at a selected place.
#[derive(Clone, Copy)]
pub(super) struct Found<'b> {
    pub(super) text: &'b str,
    /// Its offset. Offsets of one session are comparable, even if its parts are separate texts.
    pub(super) start: usize,
    /// The depth of nested arrays and objects in it.
    pub(super) depth: usize,
    /// Whether it has white space only inside strings.
    pub(super) is_compact: bool,
}

/// Returns `true` if Go's decoder would accept `name` for `member`. Go folds case, and two letters outside ASCII fold
/// into it.
pub(super) fn is_member(name: &str, member: &str) -> bool {
    // Those two letters are the longer ones in UTF-8.
    if name.len() == member.len() {
        return name.eq_ignore_ascii_case(member);
    }
    let folded = name.chars().map(|letter| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    });
    name.len() > member.len() && !name.is_ascii() && folded.eq(member.chars())
}

/// Returns the part that `member`, one of [`MEMBERS`], is; `None` for the subject.
pub(super) fn part_of(member: &str) -> Option<Part> {
    match member {
        "extra" => Some(Part::Extra),
        "header" => Some(Part::Header),
        "match_context" => Some(Part::MatchContext),
        _ => None,
    }
}

/// Returns the shape that `part` must have.
pub(super) fn shape_of(part: Part) -> Shape {
    match part {
        Part::Extra => Shape::Object("extra"),
        Part::Header => Shape::Headers("header"),
        Part::MatchContext => Shape::MatchContext,
    }
}

pub(super) fn expect_string<'b>(reader: &mut Reader<'b>) -> Result<Json<'b>, SessionError> {
    match reader.value(1)? {
        text @ Json::String(_) => Ok(text),
        other => Err(SessionError::WrongType { path: "subject", expected: "a string", found: other.kind() }),
    }
}

/// The shape that a part of a session must have, with the name that errors use.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    Anything,
    /// Go's `http.Header`: each value is an array of strings; Go writes a nil one as null.
    Headers(&'static str),
    /// A value of such headers; errors use the name of the headers.
    HeaderValues(&'static str),
    MatchContext,
    Object(&'static str),
    /// `match_context.regexp_capture_groups`
    Groups,
    Method,
    Url,
}

impl Shape {
    /// Returns its name in errors, the expected type, and the first bytes that are allowed.
    fn expectation(self) -> Option<(&'static str, &'static str, &'static [u8])> {
        match self {
            Shape::Anything => None,
            Shape::Headers(path) | Shape::Object(path) => Some((path, "an object or null", b"{n")),
            Shape::HeaderValues(path) => Some((path, "an object whose every value is an array of strings", b"[n")),
            Shape::MatchContext => Some(("match_context", "an object or null", b"{n")),
            Shape::Groups => Some(("match_context.regexp_capture_groups", "an array of strings", b"[n")),
            Shape::Method => Some(("match_context.method", "a string", b"\"n")),
            // Ory's documentation shows a string.
            Shape::Url => Some(("match_context.url", "an object or null", b"{n\"")),
        }
    }

    /// Returns what errors call an array that should hold only strings and does not.
    fn wrong_elements(self) -> &'static str {
        if matches!(self, Shape::Groups) { "an array" } else { "an array of other things" }
    }

    fn of_member(self, name: &str) -> Shape {
        match self {
            Shape::Headers(path) => Shape::HeaderValues(path),
            Shape::MatchContext if is_member(name, "header") => Shape::Headers("match_context.header"),
            Shape::MatchContext if is_member(name, "method") => Shape::Method,
            Shape::MatchContext if is_member(name, "url") => Shape::Url,
            Shape::MatchContext if is_member(name, "regexp_capture_groups") => Shape::Groups,
            _ => Shape::Anything,
        }
    }
}

/// The pass over one session.
pub(super) struct Scan<'b> {
    selection: &'b Selection,
    pub(super) found: Vec<Option<Found<'b>>>,
    /// The length of the texts that were read before the present one.
    offset: usize,
}

impl<'b> Scan<'b> {
    pub(super) fn new(selection: &'b Selection) -> Self {
        Self { selection, found: vec![None; selection.len()], offset: 0 }
    }

    /// Ends the text that was read so far; a further one can follow.
    pub(super) fn append_text(&mut self, text: &str) {
        self.offset += text.len();
    }

    /// Reads a value of `shape` inside `depth` objects, which is at `selected`. Returns its depth.
    pub(super) fn read(
        &mut self,
        reader: &mut Reader<'b>,
        depth: usize,
        shape: Shape,
        selected: Option<Selected>,
    ) -> Result<usize, SessionError> {
        let first = reader.peek();
        let (start, spaces) = (reader.offset(), reader.spaces());
        if let (Some((path, expected, allowed)), Some(byte)) = (shape.expectation(), first)
            && !allowed.contains(&byte)
        {
            return Err(SessionError::WrongType { path, expected, found: reader.value(depth)?.kind() });
        }
        let is_watched =
            !matches!(shape, Shape::Anything) || selected.is_some_and(|selected| self.selection.has_members(selected));
        let deep = match (first, shape) {
            (Some(b'{'), _) if is_watched => reader.skip_members(depth, |reader, name| {
                let member = selected.and_then(|selected| self.selection.find(selected, name));
                self.read(reader, depth + 1, shape.of_member(name), member)
            })?,
            (Some(b'['), Shape::Groups | Shape::HeaderValues(_)) => {
                reader.skip_elements(depth, |reader| match (reader.peek(), shape.expectation()) {
                    (Some(b'"') | None, _) | (_, None) => Ok(reader.skip(depth + 1)?),
                    (Some(_), Some((path, expected, _))) => {
                        reader.skip(depth + 1)?;
                        Err(SessionError::WrongType { path, expected, found: shape.wrong_elements() })
                    }
                })?
            }
            _ => reader.skip(depth)?,
        };
        if let Some(selected) = selected
            && let Some(place) = self.found.get_mut(selected.index())
        {
            let is_compact = reader.spaces() == spaces;
            *place =
                Some(Found { text: reader.text_since(start), start: self.offset + start, depth: deep, is_compact });
        }
        Ok(deep)
    }
}
