//! The position in the JSON that a template has reached.
//!
//! At every expression it says what can stand there: a whole value, a part of a string or a part of a member name.
//! Commas are checked in straight text and forgotten across the edges of blocks, because the writer places them.

use super::program::{Expr, Op};
use crate::code::ErrorCode;

/// A fault at an offset of the source.
pub(super) struct PositionFault {
    pub(super) code: ErrorCode,
    pub(super) source: u32,
    pub(super) offset: usize,
    pub(super) message: String,
    pub(super) help: String,
    /// The byte up to which errors of the position follow from this one.
    pub(super) covers: Option<usize>,
}

/// Whether a comma stands before this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comma {
    /// Nothing but the opening bracket.
    First,
    /// An item, and no comma yet.
    No,
    Yes,
    /// A block stands before: either way is fine.
    Maybe,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// Before the claims.
    Start,
    /// After the claims.
    End,
    /// In an array, between elements.
    Element(Comma),
    /// In an object, between members.
    Member(Comma),
    /// After a member name.
    Colon,
    /// After the colon.
    Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quoted {
    Name,
    Value,
}

#[derive(Clone, Debug)]
pub(super) struct Level {
    pub(super) at: At,
    /// The literal member names on the straight path to here.
    pub(super) names: Vec<String>,
    /// Source and offset of the bracket.
    pub(super) opened: (u32, usize),
}

/// Where the lexer stands.
#[derive(Clone, Debug)]
pub(super) struct Position {
    pub(super) levels: Vec<Level>,
    pub(super) quoted: Option<Quoted>,
    /// Source and offset of the quote that the last string began with.
    pub(super) quote: (u32, usize),
    /// The end of a number, a word or an expression that further text must not touch.
    pub(super) bare_end: Option<usize>,
    /// A `fail` stands before, so that no rendering comes here.
    pub(super) is_unreachable: bool,
}

/// What one walk over literal text appends to.
pub(super) struct Sink<'c> {
    pub(super) ops: &'c mut Vec<Op>,
    pub(super) faults: &'c mut Vec<PositionFault>,
    /// Which source the offsets are of.
    pub(super) source: u32,
    pub(super) audience_configured: bool,
}

impl Sink<'_> {
    pub(super) fn fault(
        &mut self,
        code: ErrorCode,
        offset: usize,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let source = self.source;
        let (message, help) = (message.into(), help.into());
        self.faults.push(PositionFault { code, source, offset, message, help, covers: None });
    }

    /// Notes that errors up to the byte `end` follow from the last one.
    pub(super) fn cover(&mut self, end: usize) {
        if let Some(last) = self.faults.last_mut() {
            last.covers = Some(end);
        }
    }
}

impl Position {
    /// Before the claims.
    pub(super) fn start() -> Self {
        Self {
            levels: vec![Level { at: At::Start, names: Vec::new(), opened: (0, 0) }],
            quoted: None,
            quote: (0, 0),
            bare_end: None,
            is_unreachable: false,
        }
    }

    pub(super) fn at(&self) -> At {
        self.levels.last().map_or(At::End, |level| level.at)
    }

    pub(super) fn set(&mut self, at: At) {
        if let Some(level) = self.levels.last_mut() {
            level.at = at;
        }
    }

    /// The position in words, as in "found …".
    pub(super) fn describe(&self) -> &'static str {
        match (self.quoted, self.at()) {
            (Some(Quoted::Name), _) => "inside a member name",
            (Some(Quoted::Value), _) => "inside a string",
            (None, At::Start) => "before the claims object",
            (None, At::End) => "after the claims object",
            (None, At::Element(_)) => "between the elements of an array",
            (None, At::Member(_)) => "between the members of an object",
            (None, At::Colon) => "after a member name",
            (None, At::Value) => "after a colon, where a value must come",
        }
    }

    /// How many arrays and objects are open.
    pub(super) fn depth(&self) -> usize {
        self.levels.len() - 1
    }

    /// Enters a block, a branch or a partial: a comma before it is neither asked for nor in the way.
    pub(super) fn cross_edge(&mut self) {
        self.bare_end = None;
        match self.at() {
            At::Element(_) => self.set(At::Element(Comma::Maybe)),
            At::Member(_) => self.set(At::Member(Comma::Maybe)),
            _ => {}
        }
    }

    /// Whether both are the same place of the JSON, commas aside.
    pub(super) fn is_same_place(&self, other: &Self) -> bool {
        let same = |left: At, right: At| match (left, right) {
            (At::Element(_), At::Element(_)) | (At::Member(_), At::Member(_)) => true,
            _ => left == right,
        };
        self.quoted == other.quoted
            && self.levels.len() == other.levels.len()
            && self.levels.iter().zip(&other.levels).all(|(left, right)| same(left.at, right.at))
    }

    /// The position after a block that may have come here or there. Member names count only if every way has them.
    pub(super) fn join(&mut self, other: &Self) {
        for (level, other) in self.levels.iter_mut().zip(&other.levels) {
            level.names.retain(|name| other.names.contains(name));
            if level.at != other.at {
                level.at = match level.at {
                    At::Element(_) => At::Element(Comma::Maybe),
                    At::Member(_) => At::Member(Comma::Maybe),
                    at => at,
                };
            }
        }
        self.cross_edge();
    }

    /// Member names that were written since `before`, in the same object.
    pub(super) fn names_since<'p>(&'p self, before: &Self) -> Option<&'p str> {
        let (now, then) = (self.levels.last()?, before.levels.last()?);
        now.names.iter().find(|name| !then.names.contains(name)).map(String::as_str)
    }

    /// The end of the template.
    pub(super) fn finish(&self, offset: usize, sink: &mut Sink<'_>) {
        let code = ErrorCode::TemplatePosition;
        if self.quoted.is_some() {
            sink.faults.push(PositionFault {
                code,
                source: self.quote.0,
                offset: self.quote.1,
                message: "expected a closing quote for this string, found the end of the template".to_owned(),
                help: "close it with \"".to_owned(),
                covers: None,
            });
        } else if let Some(level) = self.levels.last().filter(|_| self.levels.len() > 1) {
            let bracket = if matches!(level.at, At::Element(_)) { "]" } else { "}" };
            sink.faults.push(PositionFault {
                code,
                source: level.opened.0,
                offset: level.opened.1,
                message: format!("expected `{bracket}` for what is opened here, found the end of the template"),
                help: format!("close it with {bracket}"),
                covers: None,
            });
        } else if self.at() == At::Start {
            sink.fault(
                ErrorCode::ClaimsNotAnObject,
                offset,
                "expected a JSON object, found nothing",
                "write { \"name\": {{Extra.name}} }",
            );
        }
    }

    /// An expression that spans `start..end` of the source.
    pub(super) fn expression(&mut self, expr: Expr, start: usize, end: usize, sink: &mut Sink<'_>) {
        let code = ErrorCode::TemplatePosition;
        if self.quoted.is_some() {
            sink.ops.push(Op::Part(expr));
            return;
        }
        if self.bare_end == Some(start) {
            self.bare_end = Some(end);
            sink.fault(
                code,
                start,
                "expected JSON, found an expression that touches the value before it",
                "let one expression give the whole value, or put both into quotes: \"12{{x}}\"",
            );
            return;
        }
        let is_document = self.at() == At::Start;
        match self.at() {
            At::End => {
                sink.fault(
                    code,
                    start,
                    "expected nothing after the claims object, found an expression",
                    "move it inside the braces, after a member name",
                );
                return;
            }
            At::Member(_) => {
                sink.fault(
                    code,
                    start,
                    "expected a member name in quotes, found an expression",
                    "put a name made by an expression into quotes: \"{{x}}\": … ; to copy members in, use {{merge \
                     …}} for the whole object",
                );
                self.set(At::Colon);
                self.bare_end = Some(end);
                return;
            }
            _ => {}
        }
        self.value(start, "an expression", sink);
        self.bare_end = Some(end);
        sink.ops.push(Op::Value { expr, is_document, copied: None });
    }

    /// A `fail` stands here, which writes nothing. In place of a value, it counts as one for the text after it.
    pub(super) fn failure(&mut self, expr: Expr, (start, end): (usize, usize), sink: &mut Sink<'_>) {
        if self.quoted.is_none() && matches!(self.at(), At::Value | At::Element(_)) {
            self.expression(expr, start, end, sink);
        } else {
            sink.ops.push(Op::Part(expr));
        }
        self.is_unreachable = true;
    }

    /// A whole value stands here: goes past it, or says why none can stand here.
    pub(super) fn value(&mut self, offset: usize, what: &str, sink: &mut Sink<'_>) {
        let code = ErrorCode::TemplatePosition;
        match self.at() {
            At::Start => self.set(At::End),
            At::End => sink.fault(
                code,
                offset,
                format!("expected nothing after the claims object, found {what}"),
                "remove it, or move it inside the object",
            ),
            At::Element(comma) => {
                if comma == Comma::No {
                    sink.fault(
                        code,
                        offset,
                        format!("expected a comma between two elements, found {what}"),
                        "write a comma before it",
                    );
                }
                self.set(At::Element(Comma::No));
            }
            At::Member(_) => {
                sink.fault(
                    code,
                    offset,
                    format!("expected a member name in quotes, found {what}"),
                    "write \"name\": before the value",
                );
                self.set(At::Member(Comma::No));
            }
            At::Colon => {
                sink.fault(
                    code,
                    offset,
                    format!("expected a colon after the member name, found {what}"),
                    "write \"name\": before the value",
                );
                self.set(At::Member(Comma::No));
            }
            At::Value => self.set(At::Member(Comma::No)),
        }
    }
}
