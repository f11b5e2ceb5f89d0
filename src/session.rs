//! The session that comes in: Ory's AuthenticationSession, read once and kept as it came.
//!
//! A [`Session`] is a typed view over the original text. What a template reads is parsed; what only has to go back
//! (unknown members, number tokens, Go's URL object, white space) stays the caller's own bytes. It never decides who
//! may ask or what is signed.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use crate::code::ErrorCode;
use crate::json::{self, Json, JsonError, JsonFault, ReadLimits, Reader};

/// An AuthenticationSession as a gateway sends it: `subject`, `extra`, `header`, `match_context`, and whatever else.
pub struct Session<'b> {
    text: &'b str,
    subject: Cow<'b, str>,
    extra: Json<'b>,
    header: Json<'b>,
    match_context: Json<'b>,
    spans: Spans,
    limits: ReadLimits,
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
    /// Reads the body of a hydrator call. Go matches member names without regard to case, and so does this.
    ///
    /// # Errors
    /// [`SessionError::Json`] for text that is not exactly one JSON value within `limits`; the other variants for JSON
    /// that is no session.
    pub fn parse(body: &'b [u8], limits: ReadLimits) -> Result<Self, SessionError> {
        let mut reader = Reader::new(body, limits)?;
        if !matches!(reader.peek(), None | Some(b'{')) {
            let found = reader.value(0)?.kind();
            return Err(SessionError::WrongType { path: "the session", expected: "an object", found });
        }
        let mut parts: [Option<(Json<'b>, Range<usize>)>; 4] = [None, None, None, None];
        let mut names = HashSet::new();
        reader.members::<SessionError>(0, |reader, name, name_start| {
            reader.peek();
            let start = reader.offset();
            let value = reader.value(1)?;
            if let Some(index) = MEMBERS.iter().position(|member| is_member(&name, member))
                && let Some(slot) = parts.get_mut(index)
                && slot.replace((value, start..reader.offset())).is_some()
            {
                return Err(SessionError::DuplicateMember { member: MEMBERS[index] });
            }
            if names.insert(name) { Ok(()) } else { Err(reader.error(name_start, JsonFault::DuplicateMember).into()) }
        })?;
        let end = reader.offset() - 1;
        reader.finish()?;
        let text = reader.text_since(0);

        let [subject, extra, header, match_context] = parts;
        let subject = match subject {
            Some((Json::String(subject), _)) => subject,
            Some((other, _)) => {
                return Err(SessionError::WrongType { path: "subject", expected: "a string", found: other.kind() });
            }
            None => return Err(SessionError::MissingMember { member: "subject" }),
        };
        let (extra, extra_span) = extra.map_or((Json::Null, None), |(value, span)| (value, Some(span)));
        let (header, header_span) = header.map_or((Json::Null, None), |(value, span)| (value, Some(span)));
        let match_context = match_context.map_or(Json::Null, |(value, _)| value);
        check_object_or_null(&extra, "extra")?;
        check_headers(&header, "header")?;
        check_match_context(&match_context)?;
        let spans = Spans { extra: extra_span, header: header_span, end };
        Ok(Self { text, subject, extra, header, match_context, spans, limits })
    }

    /// Who the session is about; may be empty.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What the authenticator found out: an object or null. Untrusted data.
    pub fn extra(&self) -> &Json<'b> {
        &self.extra
    }

    /// The headers set so far: an object of arrays of strings, or null.
    pub fn header(&self) -> &Json<'b> {
        &self.header
    }

    /// The request that the gateway matched: an object or null.
    pub fn match_context(&self) -> &Json<'b> {
        &self.match_context
    }

    /// The value at a dotted path such as `Extra.identity.id` or `Subject`; `None` where nothing is there.
    pub fn at<'s>(&'s self, path: &SessionPath) -> Option<Cow<'s, Json<'b>>> {
        if path.is_subject() {
            return Some(Cow::Owned(Json::String(self.subject.clone())));
        }
        let mut value = &self.extra;
        for segment in path.members() {
            value = match value {
                Json::Array(elements) => elements.get(segment.parse::<usize>().ok()?)?,
                other => other.member(segment)?,
            };
        }
        Some(Cow::Borrowed(value))
    }

    /// The session text with `value` as the only element of the header `name`, which must be canonical (`X-Id-Token`).
    /// Everything else is byte for byte what came; headers of that name in other letter case are taken out, because
    /// Go would let any of them win.
    pub fn with_header(&self, name: &str, value: &str) -> String {
        let mut element = String::with_capacity(value.len() + 8);
        element.push('[');
        json::write_string(value, &mut element);
        element.push(']');
        self.with_member("header", self.spans.header.as_ref(), name, &element, |other| other.eq_ignore_ascii_case(name))
    }

    /// The session text with the string `value` as the member `name` of `extra`; everything else is as it came.
    pub fn with_extra(&self, name: &str, value: &str) -> String {
        let mut element = String::with_capacity(value.len() + 2);
        json::write_string(value, &mut element);
        self.with_member("extra", self.spans.extra.as_ref(), name, &element, |other| other == name)
    }

    fn with_member(
        &self,
        part: &str,
        span: Option<&Range<usize>>,
        name: &str,
        value: &str,
        replaces: impl Fn(&str) -> bool,
    ) -> String {
        let mut out = String::with_capacity(self.text.len() + name.len() + value.len() + 32);
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
        out.push_str(value);
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
        if let Ok(mut reader) = Reader::new(object.as_bytes(), self.limits) {
            let _: Result<(), JsonError> = reader.members(0, |reader, name, start| {
                reader.value(1)?;
                if !replaces(&name) {
                    kept.push(reader.text_since(start));
                }
                Ok(())
            });
        }
        kept
    }
}

impl fmt::Debug for Session<'_> {
    /// Says how long the session is and nothing of what it holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("bytes", &self.text.len()).finish_non_exhaustive()
    }
}

/// A path to one value of a session: `Subject`, or `Extra` and member names or array indexes, joined by dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPath {
    /// The first is `Subject` or `Extra`; after `Extra` there is at least one more.
    segments: Vec<String>,
}

impl SessionPath {
    /// `Subject`
    pub fn subject() -> Self {
        Self { segments: vec!["Subject".to_owned()] }
    }

    /// Reads `Subject` or `Extra.a.b`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let is_member = |name: &str| !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control());
        let is_path = match text.strip_prefix("Extra.") {
            Some(members) => members.split('.').all(is_member),
            None => text == "Subject",
        };
        is_path.then(|| Self { segments: text.split('.').map(str::to_owned).collect() })
    }

    /// Whether this is `Subject`.
    pub fn is_subject(&self) -> bool {
        self.segments.len() == 1
    }

    /// The members below `Extra`; none for `Subject`.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().skip(1).map(String::as_str)
    }
}

impl fmt::Display for SessionPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.segments.join("."))
    }
}

const MEMBERS: [&str; 4] = ["subject", "extra", "header", "match_context"];

/// Whether Go's decoder would take `name` for `member`: it folds case, and two letters outside ASCII fold into it.
fn is_member(name: &str, member: &str) -> bool {
    name.chars()
        .map(|letter| match letter {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            other => other.to_ascii_lowercase(),
        })
        .eq(member.chars())
}

fn check_object_or_null(value: &Json<'_>, path: &'static str) -> Result<(), SessionError> {
    match value {
        Json::Object(_) | Json::Null => Ok(()),
        other => Err(SessionError::WrongType { path, expected: "an object or null", found: other.kind() }),
    }
}

/// Go's `http.Header`: each value is an array of strings; a nil one is written as null.
fn check_headers(value: &Json<'_>, path: &'static str) -> Result<(), SessionError> {
    check_object_or_null(value, path)?;
    let Json::Object(headers) = value else { return Ok(()) };
    for (_, values) in headers.iter() {
        match values {
            Json::Null => {}
            Json::Array(values) if values.iter().all(|value| value.as_str().is_some()) => {}
            other => {
                let found = if matches!(other, Json::Array(_)) { "an array of other things" } else { other.kind() };
                let expected = "an object whose every value is an array of strings";
                return Err(SessionError::WrongType { path, expected, found });
            }
        }
    }
    Ok(())
}

fn check_match_context(value: &Json<'_>) -> Result<(), SessionError> {
    check_object_or_null(value, "match_context")?;
    let Json::Object(members) = value else { return Ok(()) };
    for (name, value) in members.iter() {
        if is_member(name, "header") {
            check_headers(value, "match_context.header")?;
        } else if is_member(name, "method") && !matches!(value, Json::String(_) | Json::Null) {
            let (path, found) = ("match_context.method", value.kind());
            return Err(SessionError::WrongType { path, expected: "a string", found });
        } else if is_member(name, "url") && !matches!(value, Json::Object(_) | Json::Null | Json::String(_)) {
            let (path, found) = ("match_context.url", value.kind());
            return Err(SessionError::WrongType { path, expected: "an object or null", found });
        } else if is_member(name, "regexp_capture_groups") {
            let is_strings = match value {
                Json::Null => true,
                Json::Array(groups) => groups.iter().all(|group| group.as_str().is_some()),
                _ => false,
            };
            if !is_strings {
                let (path, found) = ("match_context.regexp_capture_groups", value.kind());
                return Err(SessionError::WrongType { path, expected: "an array of strings", found });
            }
        }
    }
    Ok(())
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
        let placed = parse(WHOLE).unwrap().with_header("Authorization", "Bearer a.b.c");
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
        let placed = session.with_header("Authorization", "Bearer good");
        assert_eq!(placed, r#"{"subject":"u","header":{"X-A":["1"],"Authorization":["Bearer good"]}}"#);
    }

    #[test]
    fn an_absent_header_or_extra_is_added_at_the_end() {
        let placed = parse(r#"{"subject":"u"}"#).unwrap().with_header("X-Id-Token", "t");
        assert_eq!(placed, r#"{"subject":"u","header":{"X-Id-Token":["t"]}}"#);
        let placed = parse(r#"{"subject":"u"}"#).unwrap().with_extra("token", "t");
        assert_eq!(placed, r#"{"subject":"u","extra":{"token":"t"}}"#);
    }

    #[test]
    fn member_names_are_read_in_any_case_as_go_reads_them() {
        let session = parse(r#"{"SUBJECT":"u","Extra":{"Email":"a"},"HEADER":{},"Match_Context":{"Method":"GET"}}"#);
        let session = session.unwrap();
        assert_eq!(session.subject(), "u");
        assert_eq!(session.extra().member("Email").and_then(Json::as_str), Some("a"));
        assert_eq!(
            session.with_header("A", "b"),
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
            let mut placed: serde_json::Value = serde_json::from_str(&parsed.with_header("X-T", &token)).unwrap();
            prop_assert_eq!(&placed["header"]["X-T"][0], &serde_json::Value::from(token));
            placed["header"].as_object_mut().unwrap().remove("X-T");
            let original: serde_json::Value = serde_json::from_str(&session).unwrap();
            prop_assert_eq!(placed, original);
        }
    }
}
