//! What a template is said to read is what it reads.

use proptest::prelude::*;

use crate::json::{Json, NumberComparison, ReadLimits};
use crate::session::{Selection, Session, SessionDocument, SessionError, SessionPath};
use crate::templates::handlebars::Missing;
use crate::templates::{
    ClaimTemplate, CompileOptions, Partial, RenderError, RenderInput, RenderLimits, Syntax, TemplateText,
};
use crate::time::Timestamp;

/// Values in every way that a template has to reach them.
const EXPRESSIONS: &[&str] = &[
    "{{Extra}}",
    "{{toJson Extra.a}}",
    "{{Extra.a}}",
    "{{Extra.a.b}}",
    "{{Extra.l.0}}",
    "{{Extra.l.1.a}}",
    "{{Extra.a.0.b}}",
    "\"x{{Extra.c}}y\"",
    "\"{{Subject}}{{Profile}}\"",
    "{{Header}}",
    "{{Header.X-A}}",
    "{{Header.X-A.0}}",
    "{{MatchContext.Method}}",
    "{{MatchContext.URL.Host}}",
    "{{MatchContext.method}}",
    "{{MatchContext.RegexpCaptureGroups}}",
    "{{default Extra.a.b Extra.c}}",
    "{{coalesce Extra.c Extra.a.a 1}}",
    "{{len Extra.l}}",
    "{{index Extra.l 0}}",
    "{{index Extra Subject}}",
    "{{eq Extra.a.b Extra.b}}",
    "{{pick Extra.a \"b\"}}",
    "{{#if Extra.a}}1{{else}}{{Extra.b}}{{/if}}",
    "{{#if (contains Extra.l \"a\")}}{{Extra.l}}{{else}}0{{/if}}",
    "{{#unless Extra.a.b}}{{Extra.c}}{{else}}0{{/unless}}",
    "{{#with Extra.a}}{{b}}{{else}}0{{/with}}",
    "{{#with Extra.a as |x|}}[{{x.a}}, {{@root.Extra.b}}]{{else}}0{{/with}}",
    "[{{#each Extra.l}}{{this}},{{/each}}]",
    "[{{#each Extra.l as |v k|}}[{{v}}, {{k}}],{{else}}{{Extra.c}}{{/each}}]",
    "{ {{#each Extra.a}}\"{{@key}}\": {{this}},{{/each}} }",
    "{{#let x=Extra.a y=(default Extra.b 1)}}[{{x.b}}, {{y}}]{{/let}}",
    "{{#let x=Extra.a}}{{#if Extra.b}}{{x}}{{else}}1{{/if}}{{/let}}",
    "{{#let x=Extra.a}}1{{/let}}",
    "{{#let x=MatchContext}}{{x.URL.Host}}{{/let}}",
    "{{> whole}}",
    "{{#with Extra.a}}{{> inner}}{{else}}0{{/with}}",
    "{{> inner Extra.a}}",
    "{{> named who=Extra.a}}",
    "[{{#each Extra.l}}{{> inner this}},{{/each}}]",
];

fn template(expressions: &[&str], missing: Missing) -> ClaimTemplate {
    let members: Vec<String> =
        expressions.iter().enumerate().map(|(index, text)| format!("\"m{index}\": {text}")).collect();
    let source = |name: &str, text: &str| TemplateText { name: name.to_owned(), text: text.to_owned() };
    let partial = |name: &str, text: &str| Partial { name: name.to_owned(), source: source(name, text) };
    let partials = [
        partial("whole", "{{default Extra.c \"none\"}}"),
        partial("inner", "{{default b \"none\"}}"),
        partial("named", "[{{who.b}}, {{@root.Extra.c}}]"),
    ];
    let text = format!("{{{}}}", members.join(", "));
    let options = CompileOptions { missing, audience_configured: false };
    ClaimTemplate::compile(Syntax::Handlebars, &source("t", &text), &partials, options)
        .unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn render(template: &ClaimTemplate, session: &Session<'_>) -> Result<String, RenderError> {
    let values = session.values();
    let input = RenderInput::new(session, &values, "p", Timestamp::from_seconds(0));
    template.render(&input, &RenderLimits::default())
}

fn read<'b>(text: &'b str, selection: &'b Selection) -> Session<'b> {
    Session::parse_for(text.as_bytes(), ReadLimits::default(), selection).unwrap()
}

fn deciding(text: &str, template: &ClaimTemplate) -> Vec<u8> {
    let mut bytes = Vec::new();
    read(text, template.selection()).append_cache_key(&mut bytes);
    bytes
}

/// Everything that can be read of a posted session.
fn all_of(
    template: &ClaimTemplate,
    read: Result<(SessionDocument<'_>, Session<'_>), SessionError>,
) -> Result<String, SessionError> {
    let (document, session) = read?;
    let mut deciding = Vec::new();
    session.append_cache_key(&mut deciding);
    let path = SessionPath::parse("Extra.a.b").unwrap();
    let seen = (session.subject(), session.values(), session.at(&path), render(template, &session), deciding);
    let placed = (document.with_header("X-A", &["t"]), document.with_extra("b", "t"));
    Ok(format!("{seen:?} {placed:?}"))
}

/// JSON over a few names, so that templates find something.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(
        &["null", "true", "0", "1.50", "\"a\"", "\"\\u0061\\\"\"", "\"\"", "{}", "[]", "12345678901234567890"][..],
    )
    .prop_map(str::to_owned);
    leaf.prop_recursive(3, 12, 4, |inner| {
        let member = (prop::sample::select(&["a", "b", "c", "0"][..]), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..3).prop_map(|elements| format!("[{}]", elements.join(","))),
            (prop::collection::btree_map(prop::sample::select(&["a", "b", "c", "0"][..]), member, 0..3), any::<bool>())
                .prop_map(|(members, is_loose)| {
                    let colon = if is_loose { " : " } else { ":" };
                    let members: Vec<String> =
                        members.into_iter().map(|(name, (_, value))| format!("\"{name}\"{colon}{value}")).collect();
                    format!("{{{}}}", members.join(","))
                }),
        ]
    })
}

/// A session with four members of `extra` and a few of the other parts.
fn session() -> impl Strategy<Value = [String; 7]> {
    let word = || prop::sample::select(&["\"a\"", "\"GET\"", "\"b\\n\""][..]).prop_map(str::to_owned);
    (value(), value(), value(), value(), word(), word(), word()).prop_map(|(a, b, c, l, x, m, h)| [a, b, c, l, x, m, h])
}

fn text([a, b, c, l, x, m, h]: &[String; 7]) -> String {
    format!(
        "{{\"subject\":\"a\",\"extra\":{{\"a\":{a},\"b\":{b}, \"c\":{c},\"l\":{l}}},\"header\":{{\"X-A\":[{x}]}},\
         \"match_context\":{{\"url\":{{\"Host\":{h}}},\"method\":{m},\"regexp_capture_groups\":[{h}]}}}}"
    )
}

fn same(left: &Result<String, RenderError>, right: &Result<String, RenderError>) -> bool {
    match (left, right) {
        (Ok(left), Ok(right)) => {
            let parse = |text: &str| Json::parse(text.as_bytes(), ReadLimits::default()).map(Json::into_owned);
            match (parse(left), parse(right)) {
                (Ok(left), Ok(right)) => left.is_equivalent(&right, NumberComparison::Exact),
                (left, right) => left.is_err() && right.is_err(),
            }
        }
        (Err(left), Err(right)) => left.to_string() == right.to_string(),
        _ => false,
    }
}

fn missing() -> impl Strategy<Value = Missing> {
    prop::sample::select(&[Missing::Error, Missing::AsNull, Missing::Omit][..])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_not_read_could_as_well_be_read(
        expressions in prop::collection::vec(prop::sample::select(EXPRESSIONS), 1..4),
        missing in missing(),
        session in session(),
    ) {
        let template = template(&expressions, missing);
        let text = text(&session);
        let own = render(&template, &read(&text, template.selection()));
        let whole = render(&template, &read(&text, Selection::everything()));
        prop_assert!(same(&own, &whole), "{:?}\n{}\n{:?}\n{:?}", expressions, text, own, whole);
    }

    #[test]
    fn sessions_that_do_not_differ_in_what_is_read_get_the_same_claims(
        expressions in prop::collection::vec(prop::sample::select(EXPRESSIONS), 1..4),
        missing in missing(),
        first in session(),
        place in 0..7_usize,
        second in session(),
    ) {
        let template = template(&expressions, missing);
        let mut changed = first.clone();
        changed[place].clone_from(&second[place]);
        let (first, second) = (text(&first), text(&changed));
        if deciding(&first, &template) == deciding(&second, &template) {
            let render = |text: &str| render(&template, &read(text, template.selection()));
            let (left, right) = (render(&first), render(&second));
            prop_assert!(same(&left, &right), "{:?}\n{}\n{}\n{:?}\n{:?}", expressions, first, second, left, right);
        }
    }

    #[test]
    fn session_with_a_cached_extra_reads_the_same(
        expressions in prop::collection::vec(prop::sample::select(EXPRESSIONS), 1..4),
        missing in missing(),
        first in session(),
        place in 0..9_usize,
        second in session(),
        depth in 1..9_usize,
    ) {
        let template = template(&expressions, missing);
        let mut changed = first.clone();
        if let (Some(changed), Some(second)) = (changed.get_mut(place), second.get(place)) {
            changed.clone_from(second);
        }
        // A short `extra` is not cached.
        let padded = |texts: &[String; 7]| {
            text(texts).replacen("\"extra\":{", &format!("\"extra\": {{\"p\":\"{}\",", "x".repeat(96)), 1)
        };
        let (first, second) = (padded(&first), padded(&changed));
        let cached = read(&first, template.selection()).cacheable_extra().unwrap();
        let is_same = first.split("\"header\"").next() == second.split("\"header\"").next();
        let limits = ReadLimits { depth };
        let selection = template.selection();
        let with_cache = SessionDocument::parse_with_cache(second.as_bytes(), limits, selection, |_| Some(&cached));
        let plain = SessionDocument::parse(second.as_bytes(), limits, selection);
        if let (Ok((_, session)), Ok(_)) = (&with_cache, &plain) {
            prop_assert_eq!(session.cacheable_extra().is_none(), is_same);
        }
        let (left, right) = (all_of(&template, with_cache), all_of(&template, plain));
        prop_assert_eq!(left, right, "{:?}\n{}\n{}", expressions, first, second);
    }

    #[test]
    fn a_change_counts_where_it_is_read_and_nowhere_else(
        paths in prop::collection::vec(prop::sample::select(PLACES), 0..5),
        place in 0..PLACES.len(),
    ) {
        let expressions: Vec<String> = paths.iter().map(|path| format!("{{{{{path}}}}}")).collect();
        let expressions: Vec<&str> = expressions.iter().map(String::as_str).collect();
        let template = template(&expressions, Missing::Error);
        let before = with_changed(usize::MAX);
        let after = with_changed(place);
        let is_read = paths.iter().any(|path| {
            let (path, place) = (format!("{path}."), format!("{}.", PLACES[place]));
            path.starts_with(&place) || place.starts_with(&path)
        });
        let is_other = deciding(&before, &template) != deciding(&after, &template);
        prop_assert_eq!(is_other, is_read, "{:?} and {}", paths, PLACES[place]);
    }
}

/// Places of [`with_changed`], some inside others.
const PLACES: &[&str] = &[
    "Extra.a.b.c",
    "Extra.a.b.d",
    "Extra.a.e",
    "Extra.f",
    "Header.X-A",
    "Header.X-B",
    "MatchContext.Method",
    "MatchContext.URL.Host",
    "MatchContext.URL.Path",
];

/// A session with another value at the place of that number.
fn with_changed(place: usize) -> String {
    let at = |index: usize| if index == place { "\"new\"" } else { "\"old\"" };
    format!(
        r#"{{"subject":"u","extra":{{"a":{{"b":{{"c":{},"d":{}}},"e":{}}},"f":{}}},"header":{{"X-A":[{}],"X-B":[{}]}},
            "match_context":{{"method":{},"url":{{"Host":{},"Path":{}}},"header":{{"X-Id":["{place}"]}}}}}}"#,
        at(0),
        at(1),
        at(2),
        at(3),
        at(4),
        at(5),
        at(6),
        at(7),
        at(8)
    )
}

#[test]
fn what_is_read_for_another_template_is_refused() {
    let (one, other) = (template(&["{{Extra.a}}"], Missing::AsNull), template(&["{{Extra.b}}"], Missing::AsNull));
    let session = r#"{"subject":"u","extra":{"a":1,"b":2}}"#;
    assert_eq!(render(&one, &read(session, one.selection())).unwrap(), r#"{"m0":1}"#);
    assert_eq!(render(&one, &read(session, other.selection())).unwrap_err().code().as_str(), "internal");
}

#[test]
fn a_value_is_copied_as_it_stands_but_for_white_space() {
    let template = template(&["{{Extra.a}}", "{{Extra.b}}"], Missing::Error);
    let session = r#"{"subject":"u","extra":{"a":{"x":"\u003c","n":1.0},"b":{"x": "\u003c", "n":1.0}}}"#;
    let claims = render(&template, &read(session, template.selection())).unwrap();
    assert_eq!(claims, r#"{"m0":{"x":"\u003c","n":1.0},"m1":{"x":"<","n":1.0}}"#);
}

#[test]
fn a_copied_value_counts_against_the_limits() {
    let template = template(&["{{Extra.a}}"], Missing::Error);
    let limited = |text: &str, limits: RenderLimits| {
        let session = read(text, template.selection());
        let values = session.values();
        let input = RenderInput::new(&session, &values, "p", Timestamp::from_seconds(0));
        template.render(&input, &limits).map_err(|error| error.code().as_str())
    };
    let deep = r#"{"subject":"u","extra":{"a":[[[[1]]]]}}"#;
    let limits = RenderLimits::default();
    assert!(limited(deep, RenderLimits { depth: 5, ..limits }).is_ok());
    assert_eq!(limited(deep, RenderLimits { depth: 4, ..limits }), Err("template.limit"));
    assert_eq!(limited(deep, RenderLimits { output_bytes: 15, ..limits }), Err("template.limit"));
    let long = format!(r#"{{"subject":"u","extra":{{"a":"{}"}}}}"#, "x".repeat(64 * 200));
    assert_eq!(limited(&long, RenderLimits { work: 150, ..limits }), Err("template.limit"));
}
