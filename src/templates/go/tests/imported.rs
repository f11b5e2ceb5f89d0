//! A Go template and its form in Handlebars say the same.

use proptest::prelude::*;

use crate::json::{Json, NumberComparison, ReadLimits};
use crate::session::Session;
use crate::templates::go::GoTemplate;
use crate::templates::{
    ClaimTemplate, CompileOptions, Missing, RenderInput, RenderLimits, Syntax, TemplateText, differences,
};
use crate::time::Timestamp;

/// A part of a template where a value stands. What Go writes in a way of its own (large numbers, lists in quotes, a bare
/// missing value, `quote`) is left out here: the importer's report names it.
fn value(depth: u32) -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        "[sv][01]".prop_map(|name| format!("{{{{ .Extra.{name} | toJson }}}}")),
        "s[01]".prop_map(|name| format!("\"x {{{{ print .Extra.{name} }}}}\"")),
        "s[01]".prop_map(|name| format!("{{{{ print .Extra.{name} | toJson }}}}")),
        Just("\"{{ .Subject | upper }}:{{ .Extra.t }}\"".to_owned()),
        Just("\"{{ .Extra.t | trim | lower }}{{- /* no blanks */ -}} {{ join \", \" .Extra.l }}\"".to_owned()),
        Just("\"{{ printf \"%s/%v\" .Subject .Extra.t }}\"".to_owned()),
        Just("{{ hasPrefix \"a\" .Extra.t }}".to_owned()),
        Just("{{ list .Extra.v0 1 \"b\" | toJson }}".to_owned()),
        Just("\"{{ default \"none\" .Extra.t }}\"".to_owned()),
        Just("-1.5e3".to_owned()),
    ];
    if depth == 0 {
        return leaf.boxed();
    }
    let inner = move || value(depth - 1);
    prop_oneof![
        3 => leaf,
        1 => inner().prop_map(|inner| {
            format!("[{{{{ range $i, $x := .Extra.l }}}}{{{{ if $i }}}}, {{{{ end }}}}{{{{ toJson $x }}}}{{{{ else }}}}{inner}{{{{ end }}}}]")
        }),
        1 => (inner(), inner(), "[svtl]").prop_map(|(yes, no, name)| {
            let name = if name == "s" || name == "v" { format!("{name}0") } else { name };
            format!("{{{{ if .Extra.{name} }}}}{yes}{{{{ else }}}}{no}{{{{ end }}}}")
        }),
        1 => (inner(), inner()).prop_map(|(one, two)| format!("{{\"a\": {one}, \"b\": [{two}, {one}] }}")),
        1 => inner().prop_map(|inner| format!("{{ \"k\": 1{{{{ if eq .Extra.t \"a\" }}}}, \"o\": {inner}{{{{ end }}}} }}")),
    ]
    .boxed()
}

fn session() -> impl Strategy<Value = String> {
    let text = || "[\"\\\\{}\\[\\],:\u{0}-\u{1f}ab <>&\u{2028}😀]{0,12}".prop_map(serde_json::Value::String);
    let scalar = || {
        prop_oneof![
            text(),
            any::<bool>().prop_map(serde_json::Value::Bool),
            (-1000..1000).prop_map(|number: i32| serde_json::json!(number)),
            Just(serde_json::Value::Null),
        ]
    };
    let any_value = prop_oneof![
        scalar(),
        proptest::collection::vec(scalar(), 0..3).prop_map(serde_json::Value::Array),
        scalar().prop_map(|inner| serde_json::json!({"m": inner, "n": {"o": []}})),
    ];
    let pair = (proptest::option::of(scalar()), proptest::option::of(any_value));
    (pair, text(), proptest::collection::vec(text(), 0..4)).prop_map(|((s, v), t, l)| {
        let mut extra = serde_json::json!({"t": t, "l": l});
        if let Some(s) = s {
            extra["s0"] = s;
        }
        if let Some(v) = v {
            extra["v0"] = v;
        }
        serde_json::json!({"subject": "user:42", "extra": extra}).to_string()
    })
}

fn claims(template: &ClaimTemplate, session: &Session<'_>) -> Option<Json<'static>> {
    let values = session.values();
    let input = RenderInput::new(session, &values, "p", Timestamp::from_seconds(1_700_000_000));
    let text = template.render(&input, &RenderLimits::default()).ok()?;
    Some(Json::parse(text.as_bytes(), ReadLimits::default()).unwrap().into_owned())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_template_and_its_imported_form_agree(
        members in proptest::collection::vec(value(3), 1..4),
        sessions in proptest::collection::vec(session(), 3),
    ) {
        let members: Vec<_> = members.iter().enumerate().map(|(at, value)| format!("\"m{at}\": {value}")).collect();
        let go = format!("{{ {} }}", members.join(", "));
        let parsed = GoTemplate::parse("go", &go).unwrap();
        let conversion = parsed.to_handlebars();
        let handlebars = conversion.handlebars.unwrap_or_else(|| panic!("{go}\n{:#?}", conversion.remarks));
        let compile = |syntax, text: &str| {
            let template = TemplateText { name: "t".to_owned(), text: text.to_owned() };
            let options = CompileOptions { missing: Missing::AsNull, audience_configured: false };
            ClaimTemplate::compile(syntax, &template, &[], options)
        };
        let original = compile(Syntax::Go, &go).unwrap();
        let imported = compile(Syntax::Handlebars, &handlebars);
        let imported = imported.unwrap_or_else(|error| panic!("{go}\n{handlebars}\n{error}"));
        for session in &sessions {
            let session = Session::parse(session.as_bytes(), ReadLimits::default()).unwrap();
            match (claims(&original, &session), claims(&imported, &session)) {
                (Some(before), Some(after)) => {
                    let different = differences(&before, &after, NumberComparison::AsFloat64);
                    prop_assert!(different.is_empty(), "{go}\n{handlebars}\n{session:?}\n{different:#?}");
                }
                (before, after) => {
                    prop_assert!(before.is_none() == after.is_none(), "{go}\n{handlebars}\n{before:?}\n{after:?}");
                }
            }
        }
    }
}
