//! The most expensive renderings that the default limits allow: each function of both languages, called until the limit of
//! steps ends the rendering, over sessions of each shape and size. Shows that no request occupies a worker for long.
//!
//! Times are CPU times of the thread, so that they can also be measured on a busy machine.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;

use claimsmith::claims::PrivateClaims;
use claimsmith::json::ReadLimits;
use claimsmith::mint::ClaimsSchema;
use claimsmith::session::Session;
use claimsmith::templates::{ClaimTemplate, CompileOptions, Missing, RenderInput, RenderLimits, Syntax, TemplateText};
use claimsmith::time::Timestamp;
use serde_json::{Value, json};

use crate::machine;

const NOW: Timestamp = Timestamp::from_seconds(1_772_272_800);
/// What a request may take of a worker, in milliseconds.
const BAR: f64 = 50.0;
/// The least bytes of the values of a session; the largest almost fill `limits.body`.
const SIZES: [usize; 4] = [12, 1_000, 30_000, 480_000];
/// Renderings that take longer than this are repeated, and the least time counts.
const REPEATED: f64 = 15.0;
const GO_CALLS: &str = include_str!("worst/go.calls");
const HANDLEBARS_CALLS: &str = include_str!("worst/handlebars.calls");

/// The bytes of the names that are long.
const LONG_NAME: usize = 28_000;
/// Templates that combine functions and statements; `X` is a value of the session, and `NAME` a long name.
const GO_TEMPLATES: [(&str, &str); 28] = [
    ("loops", "{{ range 1000000000 }}{{ end }}{}"),
    ("loops", "{{ range $k, $v := X }}{{ range $l, $w := X }}{{ end }}{{ end }}{}"),
    ("loops", "{{ range 1000000000 }}{{ if X }}{{ else }}{{ end }}{{ end }}{}"),
    ("loops", "{{ range 1000000000 }}{{ with X }}{{ break }}{{ end }}{{ end }}{}"),
    ("loops", "{{ range 1000000000 }}{{ (((((((1))))))) | print | len | print | len }}{{ end }}{}"),
    ("variables", "{{ range 1000000000 }}{{ $a := 1 }}{{ $b := $a }}{{ $a = $b }}{{ end }}{}"),
    ("fields", "{{ range 1000000000 }}{{ $y := $.MatchContext.URL.Path }}{{ end }}{}"),
    ("fields", "{{ range 1000000000 }}{{ $y := $.Extra.x.a.b.c }}{{ end }}{}"),
    ("fields", "{{ range 1000000000 }}{{ $y := X.NAME }}{{ end }}{}"),
    ("loops", "{{ range 1000000000 }}{{ range $k, $v := X }}{{ end }}{{ end }}{}"),
    ("nested templates", "{{ define `t` }}{{ end }}{{ range 1000000000 }}{{ template `t` X }}{{ end }}{}"),
    (
        "nested templates",
        "{{ define `t` }}{{ template `u` . }}{{ template `u` . }}{{ end }}{{ define `u` }}{{ template `v` . }}{{ template `v` . }}{{ end }}{{ define `v` }}{{ end }}{{ range 1000000000 }}{{ template `t` X }}{{ end }}{}",
    ),
    ("output", "{\"v\":\"{{ range 1000000000 }}{{ `` }}{{ end }}\"}"),
    ("output", "{\"v\":\"{{ range 60000 }}{{ `a` }}{{ end }}\"}"),
    ("output", "{\"v\":\"{{ X }}{{ X }}\"}"),
    ("output", "{\"v\":[{{ range 1000000000 }}{{ 1 }},{{ end }}1]}"),
    ("output", "{\"v\":[{{ range 1000000000 }}{{ X | toJson }},{{ end }}1]}"),
    ("output", "{{ $c := `` }}{ {{ range $i := until 5800 }}{{ $c }}\"k{{ $i }}\":{{ $i }}{{ $c = `,` }}{{ end }} }"),
    ("growing values", "{{ $l := list 1 }}{{ range 1000000000 }}{{ $l = append $l $l }}{{ end }}{}"),
    ("growing values", "{{ $l := `a` }}{{ range 1000000000 }}{{ $l = cat $l $l }}{{ end }}{}"),
    ("growing values", "{{ $l := X }}{{ range 1000000000 }}{{ $l = concat $l $l }}{{ end }}{}"),
    (
        "growing values",
        "{{ $d := dict `a` 1 }}{{ range 1000000000 }}{{ $d = merge $d (dict `a` $d `b` $d) }}{{ end }}{}",
    ),
    ("growing values", "{{ $d := dict }}{{ range $i := until 1000000000 }}{{ $y := set $d (print $i) $i }}{{ end }}{}"),
    ("growing values", "{{ $d := dict }}{{ range 1000000000 }}{{ $y := set $d `a` $d }}{{ end }}{}"),
    (
        "growing values",
        "{{ $d := X }}{{ range until 20 }}{{ $d = list $d $d }}{{ end }}{{ range 1000000000 }}{{ $y := FUNCTION $d }}{{ end }}{}",
    ),
    (
        "growing values",
        "{{ $d := X }}{{ range until 16 }}{{ $d = dict `a` $d `b` $d }}{{ end }}{{ range 1000000000 }}{{ $y := FUNCTION $d }}{{ end }}{}",
    ),
    ("growing values", "{{ $l := until 3000 }}{{ range 1000000000 }}{{ $y := FUNCTION $l }}{{ end }}{}"),
    (
        "growing values",
        "{{ $l := splitList `` (repeat 3000 `a`) }}{{ range 1000000000 }}{{ $y := FUNCTION $l }}{{ end }}{}",
    ),
];

/// What stands for `FUNCTION`.
const GO_FUNCTIONS: [&str; 20] = [
    "print",
    "printf `%v`",
    "printf `%#v`",
    "printf `%+v`",
    "printf `%q`",
    "printf `%x`",
    "printf `%9d`",
    "toJson",
    "toPrettyJson",
    "deepCopy",
    "uniq",
    "sortAlpha",
    "join `,`",
    "toStrings",
    "reverse",
    "has `zz`",
    "without",
    "without 1 2 3",
    "deepEqual (list)",
    "html",
];

const HANDLEBARS_TEMPLATES: [(&str, &str); 15] = [
    ("loops", r#"{"v":[{{#each Extra.l}}{{#each @root.Extra.l}}{{/each}}{{/each}}]}"#),
    ("loops", r#"{"v":[{{#each X}}{{#each X}}{{/each}}{{/each}}]}"#),
    (
        "loops",
        r#"{"v":[{{#each Extra.l}}{{#each @root.Extra.l}}{{#if this}}{{else if ../this}}{{/if}}{{/each}}{{/each}}]}"#,
    ),
    ("loops", r#"{"v":[{{#each Extra.l}}{{#each @root.Extra.l}}{{#with X}}{{/with}}{{/each}}{{/each}}]}"#),
    ("variables", r#"{"v":[{{#each Extra.l}}{{#each @root.Extra.l}}{{#let a=X b=X c=X}}{{/let}}{{/each}}{{/each}}]}"#),
    ("fields", r#"{"v":[{{#each Extra.l}}{{#each @root.Extra.l}}{{#if X.a.b.c}}{{/if}}{{/each}}{{/each}}]}"#),
    ("fields", r#"{"v":[{{#each Extra.l}}{{#each @root.Extra.l}}{{#if X.k1}}{{/if}}{{/each}}{{/each}}]}"#),
    ("fields", r#"{"v":[{{#each Extra.l}}{{#each @root.Extra.l}}{{#if X.NAME}}{{/if}}{{/each}}{{/each}}]}"#),
    ("partials", r#"{"v":[{{#each Extra.l}}{{#each @root.Extra.l}}{{> part a=X}}{{/each}}{{/each}}]}"#),
    ("output", r#"{"v":[{{#each Extra.l}}{{#each @root.Extra.l}}{{X}}{{/each}}{{/each}}]}"#),
    ("output", r#"{"v":[{{#each Extra.l}}{{#each @root.Extra.l}}"{{X}}"{{/each}}{{/each}}]}"#),
    ("omitted output", r#"{"v":[{{#each Extra.l}}{{#each @root.Extra.l}}"{{X}}{{Extra.none}}"{{/each}}{{/each}}]}"#),
    ("omitted output", r#"{"v":[{{#each Extra.l}}{{#each @root.Extra.l}}{{Extra.none}}{{/each}}{{/each}}]}"#),
    ("omitted output", r#"{"v":{ {{#each Extra.l}}{{#each @root.Extra.l}}"{{X}}":{{Extra.none}}{{/each}}{{/each}} }}"#),
    ("output", r#"{"v":{ {{#each X}}"{{@key}}":1{{/each}} }}"#),
];

/// Schemas whose keywords read much of the claims.
const SCHEMAS: [(&str, &str); 6] = [
    ("patterns", r#"{"properties":{"v":{"items":{"pattern":"^(a|b)*a(a|b){40}c$"}}}}"#),
    ("patterns", r#"{"properties":{"v":{"pattern":"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+example\\.com$"}}}"#),
    ("patterns", r#"{"properties":{"v":{"patternProperties":{"(a|b)*a(a|b){20}c":false,"^\\pL+$":true}}}}"#),
    ("uniqueItems", r#"{"properties":{"v":{"uniqueItems":true}}}"#),
    ("enum", r#"{"properties":{"v":{"items":{"enum":[1,2,3,4,5,6,7,8,9]}}}}"#),
    ("anyOf", r#"{"properties":{"v":{"items":{"anyOf":[{"type":"null"},{"pattern":"z$"},{"maximum":-1},true]}}}}"#),
];

/// A session and what reading it costs.
struct Fixture {
    name: String,
    text: String,
    millis: f64,
}

/// The most expensive rendering of a kind.
#[derive(Default)]
struct Worst {
    millis: f64,
    template: String,
    session: String,
    outcome: String,
    renderings: u64,
}

struct Report {
    /// Shows every rendering that takes longer, in milliseconds.
    shown: f64,
    rows: BTreeMap<(&'static str, String), Worst>,
}

impl Report {
    fn add(&mut self, kind: (&'static str, String), template: &str, session: &str, millis: f64, outcome: String) {
        if millis > self.shown {
            println!("{millis:8.1} ms  {} {}: {template:.120}  over {session}: {outcome}", kind.0, kind.1);
        }
        let row = self.rows.entry(kind).or_default();
        row.renderings += 1;
        if millis > row.millis {
            let renderings = row.renderings;
            *row = Worst { millis, template: template.to_owned(), session: session.to_owned(), outcome, renderings };
        }
    }
}

/// Measures and prints the worst of each kind. `shown` is the time above which each rendering is printed.
pub(crate) fn measure(shown: f64) {
    println!("{}\n", machine::description());
    let mut report = Report { shown, rows: BTreeMap::new() };
    let fixtures: Vec<Fixture> = values().into_iter().map(|(name, value)| fixture(name, &value)).collect();
    for fixture in &fixtures {
        let kind = ("session", "read".to_owned());
        report.add(kind, "", &fixture.name, fixture.millis, format!("{} bytes", fixture.text.len()));
    }
    for (family, call) in calls(GO_CALLS) {
        let template = format!("{{{{ range $i := 1000000000 }}}}{{{{ $y := {call} }}}}{{{{ end }}}}{{}}");
        render_all(&mut report, ("Go", family.to_owned()), Syntax::Go, &template, &fixtures);
    }
    for (family, text) in GO_TEMPLATES {
        let functions: &[&str] = if text.contains("FUNCTION") { &GO_FUNCTIONS } else { &[""] };
        for function in functions {
            let template = text.replace("FUNCTION", function);
            render_all(&mut report, ("Go", family.to_owned()), Syntax::Go, &template, &fixtures);
        }
    }
    for (family, call) in calls(HANDLEBARS_CALLS) {
        let template = format!(
            "{{\"v\":[{{{{#each Extra.l}}}}{{{{#each @root.Extra.l}}}}{{{{#if ({call})}}}}{{{{/if}}}}{{{{/each}}}}{{{{/each}}}}]}}"
        );
        render_all(&mut report, ("Handlebars", family.to_owned()), Syntax::Handlebars, &template, &fixtures);
    }
    for (family, template) in HANDLEBARS_TEMPLATES {
        render_all(&mut report, ("Handlebars", family.to_owned()), Syntax::Handlebars, template, &fixtures);
    }
    crate::say("schemas");
    schemas(&mut report);
    print(&report);
}

fn print(report: &Report) {
    println!(
        "\n| | renderings | CPU ms of the worst | template | session | outcome |\n| --- | --- | --- | --- | --- | --- |"
    );
    let mut most = 0.0_f64;
    for ((engine, family), worst) in &report.rows {
        let template: String = worst.template.replace('|', "\\|").chars().take(120).collect();
        println!(
            "| {engine}, {family} | {} | {:.1} | `{template}` | {} | {} |",
            worst.renderings, worst.millis, worst.session, worst.outcome
        );
        most = most.max(worst.millis);
    }
    let verdict = if most <= BAR { "met" } else { "**not met**" };
    println!("\nThe most is {most:.1} ms of CPU time. The bar of {BAR} ms is {verdict}.");
}

/// The calls of a file with the headings above them.
fn calls(text: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut family = "";
    text.lines().filter_map(move |line| match line.strip_prefix("# ") {
        Some(heading) => {
            family = heading;
            None
        }
        // What stands behind it is for the tests.
        None => Some((family, line.split(" #").next().unwrap_or(line))),
    })
}

fn render_all(report: &mut Report, kind: (&'static str, String), syntax: Syntax, text: &str, fixtures: &[Fixture]) {
    if !report.rows.contains_key(&kind) {
        crate::say(&format!("{}, {}", kind.0, kind.1));
    }
    let (x, y) = match syntax {
        Syntax::Go => ("$.Extra.x", "$.Extra.y"),
        Syntax::Handlebars => ("@root.Extra.x", "@root.Extra.y"),
    };
    let reads_values = text.contains('X') || text.contains("MatchContext");
    let text = text.replace('X', x).replace('Y', y).replace("NAME", &"n".repeat(LONG_NAME));
    let options = CompileOptions {
        missing: if kind.1 == "omitted output" { Missing::Omit } else { Missing::Error },
        ..CompileOptions::default()
    };
    let source = |text: &str| TemplateText { name: "worst".to_owned(), text: text.to_owned() };
    let partials = [claimsmith::templates::Partial { name: "part".to_owned(), source: source("{{#if a}}{{/if}}") }];
    let template = ClaimTemplate::compile(syntax, &source(&text), &partials, options);
    let template = template.unwrap_or_else(|error| panic!("{error}"));
    for fixture in fixtures.iter().take(if reads_values { usize::MAX } else { 1 }) {
        let session = Session::parse(fixture.text.as_bytes(), ReadLimits::default()).unwrap();
        let values = session.values();
        let input = RenderInput::new(&session, &values, "worst", NOW);
        let mut outcome = String::new();
        let millis = millis(|| {
            outcome = match template.render(&input, &RenderLimits::default()) {
                Ok(claims) => {
                    let is_accepted = PrivateClaims::parse(&claims, None).is_ok();
                    format!("{} bytes of claims{}", claims.len(), if is_accepted { "" } else { ", rejected" })
                }
                Err(error) => error.code().as_str().to_owned(),
            };
        });
        report.add(kind.clone(), &text, &fixture.name, fixture.millis + millis, outcome);
    }
}

fn schemas(report: &mut Report) {
    let claims = [
        ("a text", json!({"v": "ab".repeat(31_000)})),
        ("short texts", json!({"v": vec!["ab"; 12_000]})),
        ("distinct texts", json!({"v": (0..9_000).map(|index| format!("{index}")).collect::<Vec<_>>()})),
        ("numbers", json!({"v": (0..10_000).collect::<Vec<_>>()})),
        ("members", json!({"v": (0..5_000).map(|index| (format!("ab{index}"), json!(1))).collect::<BTreeMap<_, _>>()})),
        ("arrays", json!({"v": (0..4_000).map(|index| json!([[index], 1])).collect::<Vec<_>>()})),
    ];
    for (keyword, schema) in SCHEMAS {
        let schema = ClaimsSchema::parse(schema).unwrap();
        for (name, claims) in &claims {
            let claims = PrivateClaims::parse(&claims.to_string(), None).unwrap();
            let mut outcome = "";
            let millis = millis(|| {
                outcome = schema
                    .check(&claims, RenderLimits::default().work)
                    .map_or_else(|error| error.code().as_str(), |()| "");
            });
            report.add(("schema", keyword.to_owned()), keyword, name, millis, outcome.to_owned());
        }
    }
}

/// CPU time of one call, the least of several if it takes long.
fn millis(mut call: impl FnMut()) -> f64 {
    let mut once = || {
        let before = machine::thread_cpu();
        call();
        (machine::thread_cpu() - before).as_secs_f64() * 1e3
    };
    let first = once();
    if first < REPEATED { first } else { (0..3).map(|_| once()).fold(first, f64::min) }
}

/// The session with `value`, and what reading it costs.
fn fixture(name: String, value: &Value) -> Fixture {
    let text = value.as_str().unwrap_or("/a/b");
    let extra = json!({"x": value, "y": value, "l": vec![0; 2_000]});
    let url = json!({"Scheme": "https", "Opaque": "", "User": null, "Host": "example.com", "Path": text, "RawPath": "",
        "OmitHost": false, "ForceQuery": false, "RawQuery": text, "Fragment": "", "RawFragment": ""});
    let is_short = text.len() < 50_000;
    let url = if is_short { url } else { Value::Null };
    let text = json!({"subject": "ann", "extra": extra, "header": {"X-Role": ["a", "b"]},
        "match_context": {"url": url, "method": "GET", "regexp_capture_groups": [], "header": {"X-A": ["1"]}}})
    .to_string();
    assert!(text.len() <= 1 << 20, "{name}: {} bytes", text.len());
    let millis = millis(|| {
        let session = Session::parse(text.as_bytes(), ReadLimits::default()).unwrap();
        black_box(session.values());
    });
    Fixture { name, text, millis }
}

/// Values of each shape and size.
fn values() -> Vec<(String, Value)> {
    let mut values = Vec::new();
    for (name, unit) in TEXTS {
        for size in SIZES {
            let mut text = unit.repeat(size.div_ceil(unit.len()));
            // Escapes make a text longer in the session.
            while json!(text).to_string().len() > size + unit.len() * 2 {
                text.truncate(text.len() / 2 / unit.len() * unit.len());
            }
            values.push((format!("{name}, {} bytes", text.len()), json!(text)));
        }
    }
    for (name, text) in [
        ("a version", "1.2.3-alpha.1+b"),
        ("a date", "2026-01-16T09:12:33Z"),
        ("a number as text", "123456"),
        ("a URL", "https://ann@example.com:8443/a/../b?c=d&e=f#g"),
        ("JSON", r#"{"a":[1,2,{"b":"c"}],"d":1.5e300}"#),
        ("a duration", "1h2m3.5s"),
        ("a zone", "Europe/Lisbon"),
    ] {
        values.push((name.to_owned(), json!(text)));
    }
    for (name, unit) in
        [("JSON", "1,"), ("JSON", "[],"), ("JSON", "\"\","), ("JSON", "{\"a\":1},"), ("JSON", "1.5e-300,")]
    {
        for size in SIZES {
            let items = unit.repeat(size / unit.len() / 2);
            values.push((format!("{name} of `{unit}`, {size} bytes"), json!(format!("[{}1]", items))));
        }
    }
    let version = |size: usize| format!("1.2.3-{}a", "a.".repeat(size / 2));
    values.extend(SIZES.map(|size| (format!("a version, {size} bytes"), json!(version(size)))));
    for count in [4, 300, 10_000, 60_000] {
        let list = |of: &dyn Fn(usize) -> Value| Value::Array((0..count).map(of).collect());
        let mut add = |name: &str, value: Value| {
            if value.to_string().len() <= SIZES[3] {
                values.push((format!("{count} {name}"), value));
            }
        };
        add("integers", list(&|index| json!(index)));
        add("equal integers", list(&|_| json!(1)));
        add("long numbers", list(&|index| json!(1.234_567_890_123_456_7e-300 * (index + 1) as f64)));
        add("short texts", list(&|index| json!(format!("x{index}"))));
        add("equal short texts", list(&|_| json!("x")));
        add("long texts", list(&|index| json!(format!("{}{index}", "a".repeat(1_400)))));
        add("empty arrays", list(&|_| json!([])));
        add("arrays", list(&|index| json!([index, [1]])));
        add("objects", list(&|index| json!({"a": index, "b": {"c": index}})));
        let members = (0..count).map(|index| (format!("k{index}"), json!(index)));
        add("members", Value::Object(members.collect()));
        let maps = (0..count).map(|index| (format!("k{index}"), json!({"a": {"b": {}}})));
        add("objects as members", Value::Object(maps.collect()));
    }
    let long = (0..16).map(|index| (format!("{}{index:02}", "n".repeat(LONG_NAME - 2)), json!(index)));
    values.push(("16 members with long names".to_owned(), Value::Object(long.collect())));
    for (name, inner) in [("arrays", json!([])), ("objects", json!({"k1": 1}))] {
        let deep =
            (0..170).fold(inner, |inner, _| if name == "arrays" { json!([inner]) } else { json!({"k1": inner}) });
        values.push((format!("170 {name} inside each other"), deep));
    }
    for number in [json!(0), json!(7), json!(-1.5), json!(1e308), json!(5e-324), json!(1e15)] {
        values.push((format!("the number {number}"), number));
    }
    let mut long = String::new();
    write!(long, "1.{}", "7".repeat(400_000)).unwrap();
    values.push(("a number of 400,000 digits".to_owned(), serde_json::from_str(&long).unwrap()));
    values.push(("true".to_owned(), json!(true)));
    values
}

/// What texts repeat.
const TEXTS: [(&str, &str); 22] = [
    ("letters", "a"),
    ("letters of two kinds", "abbabaab"),
    ("large letters", "A"),
    ("large letters beyond ASCII", "\u{dc}"),
    ("small letters beyond ASCII", "\u{df}\u{fc}"),
    ("words", "ab Cd "),
    ("parts", "a,b "),
    ("spaces", " "),
    ("line breaks", "\n"),
    ("commas", ","),
    ("quotes", "\"\\<'&"),
    ("control characters", "\u{1}\u{2028}"),
    ("digits", "1"),
    ("base64", "QUFB"),
    ("base32", "MFRGGZDF"),
    ("a path", "/a/../.b"),
    ("percents", "%41"),
    ("queries", "a=%41&"),
    ("a layout", "Mon Jan 2 15:04:05 MST "),
    ("constraints", ">1 || "),
    ("formats", "%v%d%s"),
    ("groups", "(a|b)?"),
];
