//! The JSON lexer that runs over a template's literal text: it makes structural steps of it, moves the position on, and
//! says where the text can never be JSON.

use super::hints;
use super::position::{At, Comma, Level, Position, Quoted, Sink};
use super::program::{Bracket, Op};
use crate::code::ErrorCode;
use crate::json::{Json, JsonFault, Number, ReadLimits};

/// The claims that claimsmith sets itself.
pub(super) const REGISTERED: [&str; 6] = ["exp", "iat", "iss", "jti", "nbf", "sub"];

/// Literal text between two tags, with the backslashes that keep `{{` literal taken out.
pub(super) struct Literal {
    text: String,
    /// Where each run of `text` stands in the source: offset in `text`, offset in the source.
    runs: Vec<(usize, usize)>,
}

impl Literal {
    pub(super) fn new() -> Self {
        Self { text: String::new(), runs: Vec::new() }
    }

    pub(super) fn push(&mut self, text: &str, offset: usize) {
        self.runs.push((self.text.len(), offset));
        self.text.push_str(text);
    }

    fn offset(&self, at: usize) -> usize {
        let run = self.runs.iter().rev().find(|(start, _)| *start <= at);
        run.map_or(at, |(start, offset)| offset + (at - start))
    }
}

impl Position {
    /// Goes over literal text.
    pub(super) fn literal(&mut self, literal: &Literal, sink: &mut Sink<'_>) {
        let text = literal.text.as_str();
        let mut at = 0;
        if self.quoted.is_some() {
            at = self.string_rest(literal, 0, sink);
        }
        while let Some(byte) = text.as_bytes().get(at) {
            match byte {
                b' ' | b'\n' | b'\r' | b'\t' => at += 1,
                b'"' => at = self.string(literal, at, sink),
                b'{' | b'[' => {
                    self.open(*byte, literal.offset(at), sink);
                    at += 1;
                }
                b'}' | b']' => {
                    self.close(*byte, literal.offset(at), sink);
                    at += 1;
                }
                b',' => {
                    self.comma(literal.offset(at), sink);
                    at += 1;
                }
                b':' => {
                    self.colon(literal.offset(at), sink);
                    at += 1;
                }
                _ => at = self.bare(literal, at, sink),
            }
        }
    }

    fn open(&mut self, byte: u8, offset: usize, sink: &mut Sink<'_>) {
        let (bracket, what) = if byte == b'{' { (Bracket::Object, "an object") } else { (Bracket::Array, "an array") };
        if self.at() == At::Start && bracket == Bracket::Array {
            sink.fault(
                ErrorCode::ClaimsNotAnObject,
                offset,
                "expected a JSON object as the claims, found an array",
                "write { \"name\": [ … ] }",
            );
        }
        self.value(offset, what, sink);
        sink.ops.push(Op::Open(bracket));
        let at = if bracket == Bracket::Object { At::Member(Comma::First) } else { At::Element(Comma::First) };
        self.levels.push(Level { at, names: Vec::new(), opened: (sink.source, offset) });
        self.bare_end = None;
    }

    fn close(&mut self, byte: u8, offset: usize, sink: &mut Sink<'_>) {
        let code = ErrorCode::TemplatePosition;
        let shown = char::from(byte);
        self.bare_end = None;
        match (self.at(), byte) {
            (At::Start | At::End, _) => {
                sink.fault(
                    code,
                    offset,
                    format!("expected no `{shown}` here, found one with nothing to close"),
                    "remove it",
                );
                return;
            }
            (At::Element(comma), b']') | (At::Member(comma), b'}') => {
                if comma == Comma::Yes {
                    sink.fault(
                        code,
                        offset,
                        format!("expected no comma before `{shown}`, found one"),
                        "remove the last comma; commas between blocks are placed for you",
                    );
                }
            }
            (At::Colon | At::Value, b'}') => {
                sink.fault(
                    code,
                    offset,
                    "expected the value of a member, found `}`",
                    "write a value, or put {{#if}}…{{/if}} around the whole member",
                );
            }
            _ => {
                let wanted = if matches!(self.at(), At::Element(_)) { ']' } else { '}' };
                sink.fault(
                    code,
                    offset,
                    format!("expected `{wanted}`, found `{shown}`"),
                    format!("close with {wanted}"),
                );
            }
        }
        self.levels.pop();
        sink.ops.push(Op::Close);
    }

    fn comma(&mut self, offset: usize, sink: &mut Sink<'_>) {
        let code = ErrorCode::TemplatePosition;
        self.bare_end = None;
        match self.at() {
            At::Element(comma) | At::Member(comma) if matches!(comma, Comma::First | Comma::Yes) => {
                let before = if comma == Comma::First { "nothing before it" } else { "a comma before it" };
                sink.fault(
                    code,
                    offset,
                    format!("expected an item before this comma, found {before}"),
                    "remove the comma",
                );
            }
            At::Element(_) => self.set(At::Element(Comma::Yes)),
            At::Member(_) => self.set(At::Member(Comma::Yes)),
            At::Colon | At::Value => {
                sink.fault(
                    code,
                    offset,
                    "expected the value of a member, found a comma",
                    "write a value, or put {{#if}}…{{/if}} around the whole member",
                );
                self.set(At::Member(Comma::Yes));
            }
            At::Start | At::End => {
                sink.fault(code, offset, "expected one JSON object, found a comma outside it", "remove the comma")
            }
        }
    }

    fn colon(&mut self, offset: usize, sink: &mut Sink<'_>) {
        self.bare_end = None;
        if self.at() == At::Colon {
            self.set(At::Value);
        } else {
            sink.fault(
                ErrorCode::TemplatePosition,
                offset,
                "expected no colon here, found one that no member name stands before",
                "write \"name\": value",
            );
        }
    }

    /// A number or a word.
    fn bare(&mut self, literal: &Literal, at: usize, sink: &mut Sink<'_>) -> usize {
        let code = ErrorCode::TemplatePosition;
        let text = &literal.text[at..];
        let length = text.find(|c: char| " \n\r\t\"{}[],:".contains(c)).unwrap_or(text.len());
        let token = &text[..length];
        let offset = literal.offset(at);
        let end = literal.offset(at + length);
        if self.bare_end == Some(offset) {
            self.bare_end = Some(end);
            sink.fault(
                code,
                offset,
                "expected JSON, found text that touches the expression before it",
                "put both into quotes: \"{{x}} text\"",
            );
            return at + length;
        }
        let is_number = Number::parse(token).is_ok();
        if is_number || matches!(token, "true" | "false" | "null") {
            if self.at() == At::Start {
                sink.fault(
                    ErrorCode::ClaimsNotAnObject,
                    offset,
                    "expected a JSON object as the claims, found a single value",
                    "write { \"name\": … }",
                );
            }
            self.value(offset, if is_number { "a number" } else { "a word" }, sink);
            sink.ops.push(Op::Scalar(token.into()));
        } else {
            let help = match self.at() {
                At::Member(_) => "write a member name in double quotes",
                At::Start => "write one JSON object: { \"name\": {{Extra.name}} }",
                At::End => "remove it: nothing can follow the claims object",
                _ => {
                    "write text in double quotes; bare words are true, false and null; numbers look like 12, -0.5 \
                     or 1e9"
                }
            };
            match hints::bare_text(&literal.text, at) {
                Some(hint) => {
                    sink.fault(code, offset, hint.message, hint.help);
                    sink.cover(match at.checked_add(hint.covers) {
                        Some(end) => literal.offset(end),
                        None => usize::MAX,
                    });
                }
                None => sink.fault(
                    code,
                    offset,
                    format!("expected JSON {}, found text that is no JSON", self.describe_short()),
                    help,
                ),
            }
            match self.at() {
                At::Member(_) => self.set(At::Colon),
                At::Value => self.set(At::Member(Comma::No)),
                At::Element(_) => self.set(At::Element(Comma::No)),
                _ => {}
            }
        }
        self.bare_end = Some(end);
        at + length
    }

    fn describe_short(&self) -> &'static str {
        match self.at() {
            At::Start => "at the start",
            _ => self.describe(),
        }
    }

    /// A string that starts at the quote at `at`.
    fn string(&mut self, literal: &Literal, at: usize, sink: &mut Sink<'_>) -> usize {
        let offset = literal.offset(at);
        self.bare_end = None;
        self.quote = (sink.source, offset);
        let is_name = matches!(self.at(), At::Member(_));
        if let At::Member(comma) = self.at() {
            if comma == Comma::No {
                sink.fault(
                    ErrorCode::TemplatePosition,
                    offset,
                    "expected a comma between two members, found a string",
                    "write a comma before it",
                );
            }
            self.set(At::Colon);
        } else {
            if self.at() == At::Start {
                sink.fault(
                    ErrorCode::ClaimsNotAnObject,
                    offset,
                    "expected a JSON object as the claims, found a string",
                    "write { \"name\": … }",
                );
            }
            self.value(offset, "a string", sink);
        }
        let Some(end) = string_end(&literal.text, at + 1) else {
            sink.ops.push(if is_name { Op::NameStart } else { Op::StringStart });
            self.quoted = Some(if is_name { Quoted::Name } else { Quoted::Value });
            return self.string_rest(literal, at + 1, sink);
        };
        let token = &literal.text[at..end];
        let decoded = check_text(literal, (at + 1, end - 1), Piece::Whole, sink);
        if is_name {
            if let Some(name) = decoded {
                self.name(&name, offset, sink);
            }
            sink.ops.push(Op::Name(token.into()));
        } else {
            sink.ops.push(Op::Scalar(token.into()));
        }
        end
    }

    /// Goes on inside a string that an expression or a block interrupted.
    fn string_rest(&mut self, literal: &Literal, at: usize, sink: &mut Sink<'_>) -> usize {
        let end = string_end(&literal.text, at);
        let text_end = end.map_or(literal.text.len(), |end| end - 1);
        if text_end > at {
            let piece = if end.is_some() { Piece::Whole } else { Piece::Cut };
            check_text(literal, (at, text_end), piece, sink);
            sink.ops.push(Op::Text(literal.text[at..text_end].into()));
        }
        if end.is_some() {
            sink.ops.push(if self.quoted == Some(Quoted::Name) { Op::NameEnd } else { Op::StringEnd });
            self.quoted = None;
        }
        end.unwrap_or(literal.text.len())
    }

    fn name(&mut self, name: &str, offset: usize, sink: &mut Sink<'_>) {
        if self.depth() == 1 && (REGISTERED.contains(&name) || name == "aud" && sink.audience_configured) {
            let help = match name {
                "sub" => "remove the member: the subject is the session's; it can be configured for the profile",
                "aud" => "remove the member, or the profile's audience",
                _ => "remove the member: claimsmith sets this claim from the profile",
            };
            sink.fault(
                ErrorCode::ClaimsRegistered,
                offset,
                format!("expected no registered claim, found `{name}` at the top level"),
                help,
            );
        }
        let Some(level) = self.levels.last_mut() else { return };
        if level.names.iter().any(|known| known == name) {
            sink.fault(
                ErrorCode::TemplateDuplicateMember,
                offset,
                format!("expected each member name once in an object, found `{name}` a second time"),
                "remove one of the two, or put them into the two branches of an {{#if}}",
            );
        } else {
            level.names.push(name.to_owned());
        }
    }
}

/// The offset after the closing quote of a string whose text starts at `at`.
fn string_end(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut next = at;
    loop {
        match bytes.get(next)? {
            b'"' => return Some(next + 1),
            b'\\' => next += 2,
            _ => next += 1,
        }
    }
}

/// Whether string text ends at a quote or at a tag.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Cut,
    Whole,
}

/// Checks the escapes of string text and gives what it says.
fn check_text(literal: &Literal, (start, end): (usize, usize), piece: Piece, sink: &mut Sink<'_>) -> Option<String> {
    let quoted = format!("\"{}\"", &literal.text[start..end]);
    match Json::parse(quoted.as_bytes(), ReadLimits::default()) {
        Ok(value) => value.as_str().map(str::to_owned),
        Err(error) => {
            let mut at = (start + error.offset().saturating_sub(1)).min(end);
            let mut fault = error.fault();
            let escape = literal.text[start..end].rfind('\\').map(|slash| start + slash);
            if let Some(escape) = escape.filter(|escape| piece == Piece::Cut && end - escape < 6 && at >= *escape) {
                at = escape;
                if fault == JsonFault::Escape {
                    fault = JsonFault::EndOfText { expected: "an escape" };
                }
            }
            let offset = literal.offset(at);
            let (message, help) = match fault {
                JsonFault::UnescapedControl => (
                    "expected no line break or control character inside a string, found one",
                    "write \\n for a line break, or close the string before it; {{~ … ~}} removes white space \
                     around a tag",
                ),
                JsonFault::LoneSurrogate => {
                    ("expected both halves of a surrogate pair in one piece, found one", "write the character itself")
                }
                JsonFault::EndOfText { .. } => (
                    "expected a whole escape sequence, found one that an expression cuts",
                    "write the escape sequence as a whole; a backslash before {{ keeps it literal, \\\\\\{{ gives \
                     one backslash and an expression",
                ),
                _ => (
                    "expected a JSON escape such as \\n, \\\" or \\u00e9, found another one",
                    "write \\\\ for a backslash",
                ),
            };
            sink.fault(ErrorCode::TemplatePosition, offset, message, help);
            None
        }
    }
}
