//! What each call of a function costs, over values as large as sessions can hold.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::{exec, funcs};
use super::GoTemplate;
use crate::code::ErrorCode;
use crate::json::{Json, ReadLimits};
use crate::session::SessionValues;
use crate::templates::{RenderInput, RenderLimits};
use crate::time::Timestamp;

/// The calls that `make worst` measures. Behind `#` stands how much of `X` a call looks at: each item of it, or everything in
/// it. The others look at a part whose size does not depend on `X`, or at its text.
const CALLS: &str = include_str!("../../../../tests/bench/worst/go.calls");
/// A limit that no linear function reaches.
const WORK: u64 = 2_000_000;

/// How much of a value a call looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Deep,
    Items,
    Other,
}

fn calls() -> impl Iterator<Item = (&'static str, Extent)> {
    CALLS.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(|line| match line.split_once(" #") {
        Some((call, "deep")) => (call, Extent::Deep),
        Some((call, "items")) => (call, Extent::Items),
        Some((_, other)) => panic!("unknown extent {other}"),
        None => (line, Extent::Other),
    })
}

fn name_of(call: &str) -> &str {
    call.trim_start_matches('(').split([' ', ')']).next().unwrap_or_default()
}

/// Values of each kind with much in them.
fn large() -> Vec<(&'static str, Value)> {
    let list = |of: &dyn Fn(usize) -> Value| Value::Array((0..3_000).map(of).collect());
    let map =
        |of: &dyn Fn(usize) -> Value| Value::Object((0..3_000).map(|index| (format!("k{index}"), of(index))).collect());
    let long = "a".repeat(100_000);
    vec![
        ("numbers", list(&|index| json!(index))),
        ("nulls", list(&|_| Value::Null)),
        ("texts", list(&|index| json!(format!("x{index}")))),
        ("arrays", list(&|index| json!([[index]]))),
        ("objects", list(&|index| json!({"a": index}))),
        ("a long text", json!([long])),
        ("escapes", json!(["\u{1}\"".repeat(50_000)])),
        ("members", map(&|index| json!(index))),
        ("members that are null", map(&|_| Value::Null)),
        ("texts as members", map(&|_| json!("x"))),
        ("a long name", json!({ long.as_str(): 1 })),
        ("a long member", json!({ "path": long })),
        ("text", json!(long)),
    ]
}

fn input_of(value: &Value) -> Json<'static> {
    let text = json!({ "x": value, "y": value }).to_string();
    Json::parse(text.as_bytes(), ReadLimits::default()).unwrap().into_owned()
}

/// The steps of a rendering, or the code of its error.
fn steps(template: &str, extra: &Json<'_>) -> Result<u64, ErrorCode> {
    let template = GoTemplate::parse("t", template).unwrap_or_else(|error| panic!("{template}: {error}"));
    let values = SessionValues { extra: extra.clone(), header: Json::Null, match_context: Json::Null };
    let input = RenderInput::of_values("s", &values, "p", Timestamp::from_seconds(1_768_554_753));
    let limits = RenderLimits { work: WORK, ..RenderLimits::default() };
    match exec::run_counted(&template.tree, &input, &limits) {
        (Ok(()), steps) => Ok(steps),
        (Err((problem, _)), _) => Err(problem.code),
    }
}

/// What one more call costs, besides what a loop, a variable and the arguments cost.
fn cost(call: &str, extra: &Json<'_>) -> Result<u64, ErrorCode> {
    let call = call.replace('X', "$.Extra.x").replace('Y', "$.Extra.y");
    let twice = steps(&format!("{{{{ $y := {call} }}}}{{{{ $y := {call} }}}}{{}}"), extra)?;
    Ok(twice - steps(&format!("{{{{ $y := {call} }}}}{{}}"), extra)?)
}

/// How many values stand in `value`, and the bytes of its texts and names.
fn size(value: &Value) -> (u64, u64) {
    let add = |sum: (u64, u64), value: &Value| {
        let (values, bytes) = size(value);
        (sum.0 + values, sum.1 + bytes)
    };
    match value {
        Value::Array(items) => items.iter().fold((1, 0), add),
        Value::Object(members) => members.iter().fold((1, 0), |sum, (name, value)| {
            let (values, bytes) = add(sum, value);
            (values, bytes + name.len() as u64)
        }),
        Value::String(text) => (1, text.len() as u64),
        _ => (1, 0),
    }
}

#[test]
fn every_function_is_measured() {
    let measured: BTreeSet<&str> = calls().map(|(call, _)| name_of(call)).collect();
    for name in funcs::names() {
        assert!(measured.contains(name), "no call of {name} in tests/bench/worst/go.calls");
    }
}

#[test]
fn every_call_pays_for_what_it_looks_at() {
    let (mut paid, mut cheap) = (BTreeSet::new(), Vec::new());
    let values: Vec<_> = large().into_iter().map(|(kind, value)| (kind, input_of(&value), value)).collect();
    for (call, extent) in calls().filter(|(_, extent)| *extent != Extent::Other) {
        for (kind, input, value) in &values {
            let (inside, bytes) = size(value);
            let items = match value {
                Value::Array(items) => items.len(),
                Value::Object(members) => members.len(),
                _ => 0,
            } as u64;
            match cost(call, input) {
                Err(ErrorCode::TemplateLimit) => {}
                // Functions refuse values of wrong types.
                Err(_) => continue,
                Ok(cost) => {
                    // Nulls have no text, and some functions leave them out.
                    let is_null = kind.contains("null");
                    let least = match extent {
                        Extent::Deep if is_null => items,
                        Extent::Deep => inside - 1 + bytes / 64,
                        _ => items,
                    };
                    if cost < least {
                        cheap.push(format!("{call} over {kind} costs {cost} steps, expected at least {least}"));
                    }
                }
            }
            paid.insert(call);
        }
    }
    assert!(cheap.is_empty(), "{}", cheap.join("\n"));
    for (call, _) in calls().filter(|(_, extent)| *extent != Extent::Other) {
        assert!(paid.contains(call), "{call} accepts none of the values");
    }
}

#[test]
fn keys_are_paid_for_by_their_length() {
    let name = "n".repeat(60_000);
    let extra = Json::parse(json!({"x": {name.as_str(): 1}}).to_string().as_bytes(), ReadLimits::default())
        .unwrap()
        .into_owned();
    for call in [
        "keys X",
        "omit X",
        "merge (dict) X",
        "deepCopy X",
        "deepEqual X (deepCopy X)",
        "toJson X",
        "print X",
        &format!("get X `{name}`"),
        &format!("hasKey X `{name}`"),
        &format!("unset X `{name}`"),
        &format!("index X `{name}`"),
        &format!("print X.{name}"),
    ] {
        let cost = cost(call, &extra).unwrap();
        assert!(cost >= 60_000 / 64, "{:.40} costs {cost} steps", call);
    }
    let in_loop = |inner: &str| {
        steps(&format!("{{{{ range $.Extra.x }}}}{inner}{{{{ end }}}}{{}}"), &extra).unwrap()
            - steps("{{ range $.Extra.x }}{{ end }}{}", &extra).unwrap()
    };
    assert!(in_loop("{{ range $k, $v := $.Extra.x }}{{ end }}") >= 60_000 / 64);
    for (declared, used) in [
        (format!("{{{{ ${name} := 1 }}}}{{{{ ${} := 1 }}}}", "m".repeat(60_000)), format!("{{{{ $y := ${name} }}}}")),
        (format!("{{{{ define `{name}` }}}}{{{{ end }}}}"), format!("{{{{ template `{name}` }}}}")),
        (String::new(), format!("{{{{ $y := `{name}` }}}}")),
        (String::new(), format!("{{{{ $y := and `{name}` 1 }}}}")),
    ] {
        let with = |uses: usize| steps(&format!("{declared}{}{{}}", used.repeat(uses)), &extra).unwrap();
        let cost = with(3) - with(2);
        assert!(cost >= 10, "{used:.30} costs {cost} steps");
    }
}

#[test]
fn numbers_are_paid_for_by_their_digits() {
    let extra = Json::Null;
    for (call, least) in [
        ("printf `%f` 1e308", 60),
        ("printf `%.1000f` 1.5", 200),
        ("printf `%.1000e` 1.5", 200),
        ("printf `%900f` 1.5", 20),
        ("printf `%999999d` 1", 15_000),
        ("printf `%0999999d` 1", 15_000),
        ("printf `%[1]*d` 999999", 15_000),
        ("divf 1e300 1e-300 1e-300 1e300", 1_000),
        ("until 1000", 1_000),
        ("untilStep 0 1000 1", 1_000),
        ("seq 1 1000", 1_000),
        ("repeat 1000 `a`", 60),
    ] {
        let cost = cost(call, &extra).unwrap();
        assert!(cost >= least, "{call} costs {cost} steps, expected at least {least}");
    }
}

#[test]
fn directives_and_pieces_are_paid_for() {
    let text = |length: usize| {
        Json::parse(json!({"x": "a,".repeat(length)}).to_string().as_bytes(), ReadLimits::default())
            .unwrap()
            .into_owned()
    };
    let pieces = "{{ $t := replace `,` `;` $.Extra.x }}";
    let plain = "{{ $t := $.Extra.x }}";
    let extra = text(5_000);
    for call in ["print $t", "toJson $t", "quote $t", "toString $t", "repeat 2 $t", "cat $t"] {
        let marginal = |start: &str| {
            let with = |uses: usize| {
                steps(&format!("{start}{}{{}}", format!("{{{{ $y := {call} }}}}").repeat(uses)), &extra).unwrap()
            };
            with(3) - with(2)
        };
        assert!(marginal(pieces) > 4 * marginal(plain), "{call}: {} {}", marginal(pieces), marginal(plain));
    }
    let directives = steps(&format!("{{{{ $y := printf `{}` }}}}{{}}", "%d".repeat(1_000)), &Json::Null).unwrap();
    assert!(directives > 1_000, "{directives}");
}
