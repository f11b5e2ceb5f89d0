//! The session that comes in: Ory's AuthenticationSession, read once and kept as it came.
//!
//! A [`Session`] is a typed view over the original text. What a template reads is parsed; what only has to go back
//! (unknown members, number tokens, Go's URL object, white space) stays the caller's own bytes. It never decides who
//! may ask or what is signed.

mod known;
mod path;
mod scan;
mod selection;

pub use known::KnownExtra;
pub use path::SessionPath;
pub use selection::{Part, Selected, Selection};

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, Range};

use scan::{Scan, expect_string, is_member, part_of};

use crate::code::ErrorCode;
use crate::json::{self, Json, JsonError, JsonFault, Object, ReadLimits, Reader};

/// An AuthenticationSession as a gateway sends it: `subject`, `extra`, `header`, `match_context`, and whatever else.
pub struct Session<'b> {
    text: &'b str,
    subject: Cow<'b, str>,
    selection: &'b Selection,
    /// What stands at each place of the selection.
    found: Vec<Option<Found<'b>>>,
    spans: Spans,
    is_extra_known: bool,
    limits: ReadLimits,
}

/// What stands at a selected place.
#[derive(Clone, Copy)]
struct Found<'b> {
    text: &'b str,
    /// Where in the session it starts.
    start: usize,
    /// How many arrays and objects stand inside each other in it.
    depth: usize,
    /// Whether it holds no white space but inside strings.
    is_compact: bool,
}

/// The values of a session that its selection reads. What is selected and not there is not here either; what is not
/// selected may be missing though the session has it.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionValues<'b> {
    /// What the authenticator found out: an object or null. Untrusted data.
    pub extra: Json<'b>,
    /// The headers set so far: an object of arrays of strings, or null.
    pub header: Json<'b>,
    /// The request that the gateway matched: an object or null.
    pub match_context: Json<'b>,
}

/// A value of a session that may be written as it stands.
#[derive(Clone, Copy)]
pub struct Verbatim<'b> {
    /// Its text: compact JSON that was read and found in order.
    pub text: &'b str,
    /// How many arrays and objects stand inside each other in it.
    pub depth: usize,
}

/// Where the parts stand in the text that a token may be placed into.
#[derive(Default)]
struct Spans {
    extra: Option<Range<usize>>,
    header: Option<Range<usize>>,
    /// The closing brace of the session.
    end: usize,
}

/// Why a body is no session. Names members and types, never values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// A member that is part of the session occurs twice, perhaps in different case, as Go reads names.
    DuplicateMember {
        /// The member.
        member: &'static str,
    },
    /// The body is not JSON, or not JSON that is safe to sign from.
    Json(JsonError),
    /// A member is absent that every session has.
    MissingMember {
        /// The member.
        member: &'static str,
    },
    /// Something has the wrong type.
    WrongType {
        /// Which part, such as `header`; names below it are the sender's and are not repeated.
        path: &'static str,
        /// What it must be.
        expected: &'static str,
        /// The kind of thing it is.
        found: &'static str,
    },
}

impl SessionError {
    /// The stable code, one of `session.*`.
    pub fn code(&self) -> ErrorCode {
        match self {
            SessionError::DuplicateMember { .. } => ErrorCode::SessionDuplicateMember,
            SessionError::Json(error) => match error.fault() {
                JsonFault::Depth { .. } => ErrorCode::SessionDepth,
                JsonFault::DuplicateMember => ErrorCode::SessionDuplicateMember,
                _ => ErrorCode::SessionMalformed,
            },
            SessionError::MissingMember { .. } | SessionError::WrongType { .. } => ErrorCode::SessionInvalid,
        }
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SessionError::DuplicateMember { member } => {
                write!(f, "expected `{member}` once in the session, found it twice (letter case does not count)")
            }
            SessionError::Json(error) => write!(f, "the session is not readable: {error}"),
            SessionError::MissingMember { member } => {
                write!(f, "expected a session with the member `{member}`, found none")
            }
            SessionError::WrongType { path, expected, found } => {
                write!(f, "expected {path} to be {expected}, found {found}")
            }
        }
    }
}

impl std::error::Error for SessionError {}

impl From<JsonError> for SessionError {
    fn from(error: JsonError) -> Self {
        SessionError::Json(error)
    }
}

impl<'b> Session<'b> {
    /// Reads the body of a hydrator call whole. Go matches member names without regard to case, and so does this.
    ///
    /// # Errors
    /// [`SessionError::Json`] for text that is not exactly one JSON value within `limits`; the other variants for JSON
    /// that is no session.
    pub fn parse(body: &'b [u8], limits: ReadLimits) -> Result<Self, SessionError> {
        Self::parse_for(body, limits, Selection::everything())
    }

    /// The same for a reader of `selection` alone: all of the body has to be in order, but only what is selected is kept.
    ///
    /// # Errors
    /// As [`Session::parse`].
    pub fn parse_for(body: &'b [u8], limits: ReadLimits, selection: &'b Selection) -> Result<Self, SessionError> {
        Self::parse_knowing(body, limits, selection, |_| None::<&KnownExtra>)
    }

    /// The same, where `extra` may have been read before: `known` gets the text from there on and says what it was then.
    /// What it says must come from [`Session::extra_to_know`] of a session that was read for the same selection; it is
    /// used only where `extra` has the same bytes.
    ///
    /// # Errors
    /// As [`Session::parse`].
    pub fn parse_knowing<K: Deref<Target = KnownExtra>>(
        body: &'b [u8],
        limits: ReadLimits,
        selection: &'b Selection,
        known: impl Fn(&str) -> Option<K>,
    ) -> Result<Self, SessionError> {
        let mut reader = Reader::new(body, limits)?.expecting_names(USUAL_NAMES);
        if !matches!(reader.peek(), None | Some(b'{')) {
            let found = reader.value(0)?.kind();
            return Err(SessionError::WrongType { path: "the session", expected: "an object", found });
        }
        let mut scan = Scan { selection, found: vec![None; selection.len()] };
        let mut spans: [Option<Range<usize>>; 3] = [const { None }; 3];
        let mut subject = None;
        let mut is_extra_known = false;
        reader.skip_members::<SessionError>(0, |reader, name| {
            let Some(member) = MEMBERS.into_iter().find(|member| is_member(name, member)) else {
                return Ok(reader.skip(1)?);
            };
            let twice = SessionError::DuplicateMember { member };
            let Some((part, shape)) = part_of(member) else {
                let Json::String(text) = expect_string(reader)? else { return Ok(0) };
                return if subject.replace(text).is_some() { Err(twice) } else { Ok(0) };
            };
            reader.peek();
            let start = reader.offset();
            let pass_known = |known: K| known.pass(reader.text(), start, limits.depth, &mut scan.found);
            let passed = if part == Part::Extra { known(reader.rest()).and_then(pass_known) } else { None };
            let depth = match passed {
                Some((length, depth)) => {
                    is_extra_known = true;
                    reader.jump(start + length);
                    depth
                }
                None => scan.pass(reader, 1, shape, Some(part.selected()))?,
            };
            match spans[part as usize].replace(start..reader.offset()) {
                Some(_) => Err(twice),
                None => Ok(depth),
            }
        })?;
        let end = reader.offset() - 1;
        reader.finish()?;
        let [extra, header, _] = spans;
        Ok(Self {
            text: reader.text_since(0),
            subject: subject.ok_or(SessionError::MissingMember { member: "subject" })?,
            selection,
            found: scan.found,
            spans: Spans { extra, header, end },
            is_extra_known,
            limits,
        })
    }

    /// Who the session is about; may be empty.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The same session for another reader.
    ///
    /// # Errors
    /// None that the first reading did not have.
    pub fn read_for(&self, selection: &'b Selection) -> Result<Self, SessionError> {
        Self::parse_for(self.text.as_bytes(), self.limits, selection)
    }

    /// Its `extra`, to be passed over the next time; `None` where it was known already, or is null, short or not there.
    pub fn extra_to_know(&self) -> Option<KnownExtra> {
        let extra = self.found(Part::Extra.selected()).filter(|_| !self.is_extra_known)?;
        KnownExtra::new(extra, &self.found)
    }

    /// What of it is read.
    pub fn selection(&self) -> &Selection {
        self.selection
    }

    /// The values that its selection reads.
    pub fn values(&self) -> SessionValues<'b> {
        let part = |part: Part| self.value(part.selected()).unwrap_or(Json::Null);
        SessionValues { extra: part(Part::Extra), header: part(Part::Header), match_context: part(Part::MatchContext) }
    }

    fn value(&self, selected: Selected) -> Option<Json<'b>> {
        let found = self.found(selected)?;
        let is_read = self.selection.is_read(selected);
        if is_read || !found.text.starts_with('{') || self.selection.is_copied(selected) && !found.is_compact {
            return self.parsed(found);
        }
        let members = self.selection.deciding(selected);
        let known = members.filter_map(|(name, member)| Some((Cow::Owned(name.to_owned()), self.value(member)?)));
        Some(Json::Object(Object::of_distinct(known.collect())))
    }

    /// What stands at `selected`, if it can be written as it stands.
    pub fn verbatim(&self, selected: Selected) -> Option<Verbatim<'b>> {
        self.found(selected)
            .filter(|found| found.is_compact && self.selection.is_copied(selected))
            .map(|found| Verbatim { text: found.text, depth: found.depth })
    }

    /// Appends what decides the claims that a template makes of this session: two sessions for which this appends the
    /// same, with the same selection, differ in nothing that the template reads.
    pub fn write_deciding(&self, out: &mut Vec<u8>) {
        write_text(&self.subject, out);
        for part in [Part::Extra, Part::Header, Part::MatchContext] {
            if self.selection.decides(part.selected()) {
                self.write_found(part.selected(), out);
            }
        }
    }

    /// No less than what [`Session::write_deciding`] appends, but for long subjects.
    pub fn deciding_length(&self) -> usize {
        let whole = |part: Part| self.found(part.selected()).filter(|_| self.selection.decides(part.selected()));
        let parts = [Part::Extra, Part::Header, Part::MatchContext].into_iter().filter_map(whole);
        64 + self.subject.len() + parts.map(|found| found.text.len()).sum::<usize>()
    }

    /// The selection says how what follows is laid out, so a mark for each place is enough to tell texts apart.
    fn write_found(&self, selected: Selected, out: &mut Vec<u8>) {
        match self.found(selected) {
            None => out.push(b'-'),
            Some(found) if found.text.starts_with('{') && !self.selection.takes_whole(selected) => {
                out.push(b'{');
                self.selection.deciding(selected).for_each(|(_, member)| self.write_found(member, out));
            }
            Some(found) => {
                out.push(b'=');
                write_text(found.text, out);
            }
        }
    }

    fn found(&self, selected: Selected) -> Option<Found<'b>> {
        self.found.get(selected.index()).copied().flatten()
    }

    /// A text that was read before.
    fn parsed(&self, found: Found<'b>) -> Option<Json<'b>> {
        let limits = ReadLimits { depth: found.depth };
        Reader::of_text(found.text, limits).value(0).ok()
    }

    /// The value at a dotted path such as `Extra.identity.id` or `Subject`; `None` where nothing is there. It need not
    /// be selected, but costs less where it is.
    pub fn at(&self, path: &SessionPath) -> Option<Json<'b>> {
        if path.is_subject() {
            return Some(Json::String(self.subject.clone()));
        }
        let mut place = Part::Extra.selected();
        let mut found = self.found(place)?;
        let mut members = path.members();
        while let Some(name) = members.next() {
            match self.selection.find(place, name) {
                Some(member) if found.text.starts_with('{') => {
                    place = member;
                    found = self.found(member)?;
                }
                _ => return below(self.parsed(found)?, std::iter::once(name).chain(members)),
            }
        }
        self.parsed(found)
    }

    /// The session text with the texts of `value`, joined, as the only element of the header `name`, which must be
    /// canonical (`X-Id-Token`). Everything else is byte for byte what came; headers of that name in other letter case are
    /// taken out, because Go would let any of them win.
    pub fn with_header(&self, name: &str, value: &[&str]) -> String {
        let span = self.spans.header.as_ref();
        self.with_member("header", span, name, ("[\"", value, "\"]"), |other| other.eq_ignore_ascii_case(name))
    }

    /// The session text with the string `value` as the member `name` of `extra`; everything else is as it came.
    pub fn with_extra(&self, name: &str, value: &str) -> String {
        self.with_member("extra", self.spans.extra.as_ref(), name, ("\"", &[value], "\""), |other| other == name)
    }

    fn with_member(
        &self,
        part: &str,
        span: Option<&Range<usize>>,
        name: &str,
        (opening, value, closing): (&str, &[&str], &str),
        replaces: impl Fn(&str) -> bool,
    ) -> String {
        let length = value.iter().map(|text| text.len()).sum::<usize>();
        let mut out = String::with_capacity(self.text.len() + name.len() + length + 32);
        let span = match span {
            Some(span) => {
                out.push_str(&self.text[..span.start]);
                span.clone()
            }
            None => {
                out.push_str(&self.text[..self.spans.end]);
                out.push(',');
                json::write_string(part, &mut out);
                out.push(':');
                self.spans.end..self.spans.end
            }
        };
        out.push('{');
        for kept in self.members_of(&self.text[span.clone()], replaces) {
            out.push_str(kept);
            out.push(',');
        }
        json::write_string(name, &mut out);
        out.push(':');
        out.push_str(opening);
        value.iter().for_each(|text| json::write_escaped(text, &mut out));
        out.push_str(closing);
        out.push('}');
        out.push_str(&self.text[span.end..]);
        out
    }

    /// The text of each `"name":value` in the object `object` whose name is not replaced. The text was read once
    /// already, so it is either an object or null here.
    fn members_of<'o>(&self, object: &'o str, replaces: impl Fn(&str) -> bool) -> Vec<&'o str> {
        let mut kept = Vec::new();
        if !object.starts_with('{') {
            return kept;
        }
        let mut reader = Reader::of_text(object, self.limits);
        let _: Result<(), JsonError> = reader.members(0, |reader, name, start| {
            reader.skip(1)?;
            if !replaces(&name) {
                kept.push(reader.text_since(start));
            }
            Ok(())
        });
        kept
    }
}

impl fmt::Debug for Session<'_> {
    /// Says how long the session is and nothing of what it holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("bytes", &self.text.len()).finish_non_exhaustive()
    }
}

/// Names that the objects around one place of a session usually have together.
const USUAL_NAMES: usize = 48;

const MEMBERS: [&str; 4] = ["subject", "extra", "header", "match_context"];

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&text.len().to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// What `names` lead to from `value`: members of objects, elements of arrays by their number.
fn below<'b, 'n>(value: Json<'b>, names: impl Iterator<Item = &'n str>) -> Option<Json<'b>> {
    names.into_iter().try_fold(value, |value, name| match value {
        Json::Array(elements) => elements.into_iter().nth(name.parse().ok()?),
        Json::Object(mut members) => members.remove(name),
        _ => None,
    })
}

impl fmt::Debug for Verbatim<'_> {
    /// Says how long the value is and nothing of what it holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verbatim").field("bytes", &self.text.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Session<'_>, SessionError> {
        Session::parse(text.as_bytes(), ReadLimits::default())
    }

    const WHOLE: &str = r#" { "subject" : "zoe", "extra": {"n": 12345678901234567890, "e": 1e21, "f": 2.0},
      "header": null, "match_context": {"url": {"Scheme": "https", "User": null}, "method": "GET"}, "new": [1.0] } "#;

    #[test]
    fn placing_a_header_leaves_every_other_byte_as_it_came() {
        let placed = parse(WHOLE).unwrap().with_header("Authorization", &["Bearer ", "a.b.c"]);
        assert_eq!(placed, WHOLE.replace("\"header\": null", "\"header\": {\"Authorization\":[\"Bearer a.b.c\"]}"));
    }

    #[test]
    fn placing_into_extra_keeps_its_members_and_replaces_an_old_token() {
        let placed = parse(WHOLE).unwrap().with_extra("token", "a.b.c");
        assert!(placed.contains(r#"{"n": 12345678901234567890,"e": 1e21,"f": 2.0,"token":"a.b.c"}"#), "{placed}");
        let again = parse(&placed).unwrap().with_extra("token", "d.e.f");
        assert!(again.contains(r#""f": 2.0,"token":"d.e.f"}"#), "{again}");
    }

    #[test]
    fn a_header_of_the_same_name_in_another_case_does_not_survive() {
        let session = parse(r#"{"subject":"u","header":{"authorization":["Bearer evil"],"X-A":["1"]}}"#).unwrap();
        let placed = session.with_header("Authorization", &["Bearer good"]);
        assert_eq!(placed, r#"{"subject":"u","header":{"X-A":["1"],"Authorization":["Bearer good"]}}"#);
    }

    #[test]
    fn an_absent_header_or_extra_is_added_at_the_end() {
        let placed = parse(r#"{"subject":"u"}"#).unwrap().with_header("X-Id-Token", &["t"]);
        assert_eq!(placed, r#"{"subject":"u","header":{"X-Id-Token":["t"]}}"#);
        let placed = parse(r#"{"subject":"u"}"#).unwrap().with_extra("token", "t");
        assert_eq!(placed, r#"{"subject":"u","extra":{"token":"t"}}"#);
    }

    #[test]
    fn member_names_are_read_in_any_case_as_go_reads_them() {
        let session = parse(r#"{"SUBJECT":"u","Extra":{"Email":"a"},"HEADER":{},"Match_Context":{"Method":"GET"}}"#);
        let session = session.unwrap();
        assert_eq!(session.subject(), "u");
        assert_eq!(session.values().extra.member("Email").and_then(Json::as_str), Some("a"));
        assert_eq!(
            session.with_header("A", &["b"]),
            r#"{"SUBJECT":"u","Extra":{"Email":"a"},"HEADER":{"A":["b"]},"Match_Context":{"Method":"GET"}}"#
        );
        for twice in [r#"{"subject":"a","Subject":"b"}"#, "{\"subject\":\"a\",\"\u{17f}ubject\":\"b\"}"] {
            assert_eq!(parse(twice).unwrap_err(), SessionError::DuplicateMember { member: "subject" });
        }
    }

    #[test]
    fn what_is_no_session_is_refused_with_the_member_and_no_value() {
        let cases = [
            (r#"[]"#, "expected the session to be an object, found an array"),
            (r#"{"extra":{}}"#, "expected a session with the member `subject`, found none"),
            (r#"{"subject":null}"#, "expected subject to be a string, found null"),
            (r#"{"subject":42}"#, "expected subject to be a string, found a number"),
            (r#"{"subject":"u","extra":"s3cret"}"#, "expected extra to be an object or null, found a string"),
            (r#"{"subject":"u","extra":[]}"#, "expected extra to be an object or null, found an array"),
            (
                r#"{"subject":"u","header":{"s3cret":"b"}}"#,
                "expected header to be an object whose every value is an array of strings, found a string",
            ),
            (
                r#"{"subject":"u","match_context":{"url":5}}"#,
                "expected match_context.url to be an object or null, found a number",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(parse(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_path_finds_members_and_array_elements() {
        let session = parse(r#"{"subject":"u","extra":{"a":[{"b":"c"}]}}"#).unwrap();
        let at = |path| session.at(&SessionPath::parse(path).unwrap()).map(|value| value.to_string());
        assert_eq!(at("Extra.a.0.b").as_deref(), Some("\"c\""));
        assert_eq!(at("Subject").as_deref(), Some("\"u\""));
        assert_eq!(at("Extra.a.1"), None);
        for wrong in ["", "Extra", "Extra.", "Extra..a", "extra.a", "Subject.a", "Header.A", "Extra.a b"] {
            assert_eq!(SessionPath::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_placed_token_is_the_only_change_a_reader_sees(
            name in "\\PC{0,8}", text in any::<String>(), token in "[A-Za-z0-9_.-]{1,40}"
        ) {
            let mut session = String::from("{\"subject\":\"u\",\"extra\":{");
            json::write_string(&name, &mut session);
            session.push(':');
            json::write_string(&text, &mut session);
            session.push_str("},\"header\":{\"X-A\":[\"1\"]}}");
            let parsed = parse(&session).unwrap();
            let mut placed: serde_json::Value = serde_json::from_str(&parsed.with_header("X-T", &[&token])).unwrap();
            prop_assert_eq!(&placed["header"]["X-T"][0], &serde_json::Value::from(token));
            placed["header"].as_object_mut().unwrap().remove("X-T");
            let original: serde_json::Value = serde_json::from_str(&session).unwrap();
            prop_assert_eq!(placed, original);
        }
    }
}
