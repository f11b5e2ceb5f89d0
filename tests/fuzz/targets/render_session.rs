//! Any text as a session, over templates of both languages: no session value changes the structure of the claims.
//!
//! The first byte chooses the template; the rest is the session.
#![no_main]

use claimsmith::json::{Json, NumberComparison, ReadLimits};
use claimsmith::session::{Selection, Session, SessionDocument};
use claimsmith::templates::{ClaimTemplate, Missing, Syntax};
use claimsmith_fuzz::trial::{CANARY, LIMITS, compile, render};
use libfuzzer_sys::fuzz_target;

/// What must stand at a member, whatever the session holds.
enum Holds {
    /// One value.
    Any,
    /// An array.
    Array,
    /// An object of these members.
    Object(&'static [(&'static str, Holds)]),
    /// `Extra.x`, to the digit.
    Same,
    /// `Extra.x` as Go's float64 numbers tell it.
    SameInGo,
    /// A string.
    Text,
    /// A string; where `Extra.x` is one, the same.
    TextOfX,
}

use Holds::{Any, Array, Object, Same, SameInGo, Text, TextOfX};

struct Case {
    syntax: Syntax,
    missing: Missing,
    text: &'static str,
    members: &'static [(&'static str, Holds)],
}

const fn handlebars(missing: Missing, text: &'static str, members: &'static [(&'static str, Holds)]) -> Case {
    Case { syntax: Syntax::Handlebars, missing, text, members }
}

const fn go(text: &'static str, members: &'static [(&'static str, Holds)]) -> Case {
    Case { syntax: Syntax::Go, missing: Missing::Error, text, members }
}

/// Templates whose member names are all their own.
const CASES: &[Case] = &[
    handlebars(Missing::Error, r#"{"a": {{Extra.x}}, "b": "{{Extra.x}}"}"#, &[("a", Same), ("b", TextOfX)]),
    handlebars(
        Missing::AsNull,
        r#"{"a": {{Extra.x}}, "b": "{{Subject}} {{Extra.y}}", "c": [{{Extra.l}}, {{Header.X-A}}], "d": {{Extra}}}"#,
        &[("a", Any), ("b", Text), ("c", Array), ("d", Any)],
    ),
    handlebars(
        Missing::Omit,
        r#"{"a": {{Extra.x}}, "b": "{{Extra.x}}{{Extra.y}}", "c": {"d": {{Extra.y}}, "e": ["{{Extra.x}}"]}}"#,
        &[("a", Same), ("b", Text), ("c", Object(&[("d", Any), ("e", Array)]))],
    ),
    handlebars(
        Missing::AsNull,
        r#"{"a": [{{#each Extra.l}}{{this}}{{/each}}], "b": "{{#if Extra.x}}{{Extra.y}}{{else}}-{{/if}}",
            "c": {{#with Extra.m}}"{{k}}"{{else}}"{{Subject}}"{{/with}}}"#,
        &[("a", Array), ("b", Text), ("c", Text)],
    ),
    handlebars(
        Missing::AsNull,
        r#"{"a": {{upper Extra.x}}, "b": "{{join Extra.l ","}}", "c": "{{default Extra.l 1}}",
            "d": "{{replace Extra.x "a" Extra.y}}{{concat Extra.x Extra.y}}"}"#,
        &[("a", Text), ("b", Text), ("c", Text), ("d", Text)],
    ),
    handlebars(
        Missing::AsNull,
        r#"{"a": {{MatchContext}}, "b": "{{MatchContext.URL.Path}}{{MatchContext.Method}}",
            "c": {{MatchContext.RegexpCaptureGroups.0}}, "d": "{{Header.X-A.[0]}}"}"#,
        &[("a", Any), ("b", Text), ("c", Any), ("d", Text)],
    ),
    go(r#"{"a": {{ .Extra.x | toJson }}, "b": "{{ .Extra.x }}"}"#, &[("a", SameInGo), ("b", TextOfX)]),
    go(
        r#"{"a": {{ .Extra.x }}, "b": "{{ .Extra }}", "c": "{{ print .Subject }}",
            "d": {"e": {{ .Header | toJson }}}}"#,
        &[("a", Any), ("b", Text), ("c", Text), ("d", Object(&[("e", Any)]))],
    ),
    go(
        r#"{"a": [{{ range $i, $v := .Extra.l }}{{ if $i }},{{ end }}{{ $v | toJson }}{{ end }}],
            "b": "{{ with .Extra.x }}{{ . }}{{ end }}{{ range $k, $v := .Extra.m }}{{ $k }}={{ $v }}{{ end }}"}"#,
        &[("a", Array), ("b", Text)],
    ),
    go(
        r#"{"a": "{{ .Extra.x | toString | replace "a" "b" | trunc 9 }}", "b": {{ .Extra.x | toString | quote }},
            "c": "{{ printf "%s %v %q %x" .Extra.x .Extra.y .Subject .Extra.l | js }}",
            "d": {{ printf "%q" .Subject }}, "e": "{{ .Extra.x | toJson | trimAll "\"" }}"}"#,
        &[("a", Text), ("b", Text), ("c", Text), ("d", Text), ("e", Text)],
    ),
    go(
        r#"{"a": "{{ .MatchContext.URL }}", "b": "{{ printIndex .MatchContext.RegexpCaptureGroups 0 }}",
            "c": "{{ .MatchContext.Method }}{{ .MatchContext.URL.Query.Get "q" }}", "d": "{{ .Header.Get "X-A" }}"}"#,
        &[("a", Text), ("b", Text), ("c", Text), ("d", Text)],
    ),
    go(
        r#"{"a": {{ dict "k" .Extra.x "l" (list .Extra.y .Subject) | toJson }}, "b": {{ fromJson .Extra.j | toJson }},
            "c": "{{ .Extra.d | toString | b64enc }}{{ .Subject | sha256sum }}", "d": {{ .Extra.f | int64 }}}"#,
        &[("a", Object(&[("k", Any), ("l", Array)])), ("b", Any), ("c", Text), ("d", Any)],
    ),
];

thread_local! {
    static TEMPLATES: Vec<(ClaimTemplate, &'static Case)> = CASES
        .iter()
        .map(|case| (compile(case.syntax, case.text, &[], case.missing).expect("the templates are in order"), case))
        .collect();
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, text)) = data.split_first() else { return };
    let limits = ReadLimits { depth: 64 };
    let Ok((document, session)) = SessionDocument::parse(text, limits, Selection::everything()) else { return };
    check_placement(&document, &session);
    TEMPLATES.with(|templates| {
        let (template, case) = &templates[usize::from(*choice) % templates.len()];
        // The session is the fuzzer's own, so the canary means nothing here.
        let Some(claims) = render(template, CANARY, &session) else { return };
        check_selection(template, text, &claims);
        let claims = Json::parse(claims.as_bytes(), ReadLimits { depth: LIMITS.depth })
            .unwrap_or_else(|error| panic!("{error}\n{claims}"));
        check_members(&claims, case.members, case.missing, &session);
    });
});

/// Over a session that was read for this template alone, it says the same.
fn check_selection(template: &ClaimTemplate, text: &[u8], claims: &str) {
    let own = Session::parse_for(text, ReadLimits { depth: 64 }, template.selection()).expect("it was read before");
    if let Some(cached) = own.cacheable_extra() {
        let limits = ReadLimits { depth: 64 };
        let again = SessionDocument::parse_with_cache(text, limits, template.selection(), |_| Some(&cached));
        let again = render(template, CANARY, &again.expect("it was read before").1);
        assert_eq!(again, render(template, CANARY, &own), "a cached `extra` renders other claims");
    }
    let own = render(template, CANARY, &own).expect("what it lacks is not read");
    let parse = |text: &str| Json::parse(text.as_bytes(), ReadLimits { depth: LIMITS.depth }).map(Json::into_owned);
    match (parse(claims), parse(&own)) {
        (Ok(whole), Ok(own)) => assert!(whole.is_equivalent(&own, NumberComparison::Exact), "{whole}\n{own}"),
        (whole, own) => assert!(whole.is_err() && own.is_err(), "{claims}"),
    }
}

/// The members are those of the template, in its order, and each holds what it must.
fn check_members(claims: &Json<'_>, expected: &[(&str, Holds)], missing: Missing, session: &Session<'_>) {
    let Json::Object(members) = claims else { panic!("no object: {claims}") };
    let mut expected = expected.iter();
    for (name, value) in members.iter() {
        let mut named = expected.by_ref().skip_while(|(own, _)| missing == Missing::Omit && *own != name);
        let Some((own, holds)) = named.next() else { panic!("the session added a member: {claims}") };
        assert_eq!(name, *own, "the session changed a member name: {claims}");
        check_value(value, holds, missing, session);
    }
    assert!(missing == Missing::Omit || expected.next().is_none(), "the session took a member out: {claims}");
}

fn check_value(value: &Json<'_>, holds: &Holds, missing: Missing, session: &Session<'_>) {
    let values = session.values();
    let x = values.extra.member("x");
    let holds_that = match holds {
        Any => true,
        Array => matches!(value, Json::Array(_)),
        Object(members) => {
            check_members(value, members, missing, session);
            true
        }
        Same => x.is_some_and(|x| value.is_equivalent(x, NumberComparison::Exact)),
        SameInGo => value.is_equivalent(x.unwrap_or(&Json::Null), NumberComparison::AsFloat64),
        Text => value.as_str().is_some() || missing == Missing::AsNull && *value == Json::Null,
        TextOfX => match (value.as_str(), x.and_then(Json::as_str)) {
            (Some(text), Some(x)) => text == x,
            (text, _) => text.is_some(),
        },
    };
    assert!(holds_that, "found {} where the template puts another thing", value.kind());
}

/// Checks that a placed token is the only change.
fn check_placement(document: &SessionDocument<'_>, session: &Session<'_>) {
    let limits = ReadLimits { depth: 66 };
    let token = Json::String("a.b.c".into());
    let with_header = document.with_header("Authorization", &["a.b.c"]);
    let placed = Session::parse(with_header.as_bytes(), limits).expect("a session with a header is a session");
    assert_eq!(placed.values().header.member("Authorization"), Some(&Json::Array(vec![token.clone()])));
    assert_eq!((placed.subject(), placed.values().extra), (session.subject(), session.values().extra));
    let with_extra = document.with_extra("token", "a.b.c");
    let placed = Session::parse(with_extra.as_bytes(), limits).expect("a session with an extra member is a session");
    assert_eq!(placed.values().extra.member("token"), Some(&token));
    assert_eq!((placed.subject(), placed.values().header), (session.subject(), session.values().header));
}
