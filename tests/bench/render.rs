//! What it costs to get from a session's text to its claims: the shipped templates against the same claims written by hand
//! with serde_json, and how the cost grows with the session and with the template.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use claimsmith::json::ReadLimits;
use claimsmith::session::Session;
use claimsmith::templates::{ClaimTemplate, CompileOptions, RenderInput, RenderLimits, Syntax, TemplateText};
use claimsmith::time::Timestamp;
use serde_json::{Map, Value, json};

const NOW: Timestamp = Timestamp::from_seconds(1_772_272_800);
const LIMITS: RenderLimits = RenderLimits { output_bytes: 8 << 20, depth: 512, work: 100_000_000 };

/// The shipped templates, and Oathkeeper's own of the same claims as the first.
const TEMPLATES: [(&str, Syntax, &str, ByHand); 4] = [
    ("session", Syntax::Handlebars, include_str!("../../templates/session/claims.hbs"), whole),
    ("identity", Syntax::Handlebars, include_str!("../../templates/identity/claims.hbs"), identity),
    ("introspection", Syntax::Handlebars, include_str!("../../templates/introspection/claims.hbs"), introspection),
    ("session, in Go", Syntax::Go, "{ \"session\": {{ .Extra | toJson }} }", whole),
];

type ByHand = fn(&Value) -> String;

/// Measures and prints both tables; a round takes about `length` for each row and side.
pub(crate) fn measure(rounds: usize, length: Duration) {
    println!("| template | session | rendered ns | by hand ns | ratio (least–most) |\n| --- | --- | --- | --- | --- |");
    for (name, syntax, text, by_hand) in TEMPLATES {
        let template = compile(syntax, text);
        for target in [2 << 10, 8 << 10] {
            let extra = extra_of(target);
            let text = session_of(&extra);
            let read_by_hand = |text: &str| by_hand(&serde_json::from_str::<Value>(text).unwrap()["extra"]);
            let rendered: Value = serde_json::from_str(&render(&template, &text)).unwrap();
            assert_eq!(rendered, serde_json::from_str::<Value>(&read_by_hand(&text)).unwrap(), "{name}");
            let mut figures = Vec::new();
            for _ in 0..rounds {
                let ours = nanos(length, || drop(black_box(render(&template, black_box(&text)))));
                let theirs = nanos(length, || drop(black_box(read_by_hand(black_box(&text)))));
                figures.push((ours / theirs, ours, theirs));
            }
            figures.sort_by(|left, right| left.0.total_cmp(&right.0));
            let (ratio, ours, theirs) = figures[figures.len() / 2];
            let (least, most) = (figures[0].0, figures[figures.len() - 1].0);
            println!(
                "| {name} | {:.1} KiB | {ours:.0} | {theirs:.0} | {ratio:.2} ({least:.2}–{most:.2}) |",
                text.len() as f64 / 1024.0
            );
        }
    }
    println!("\n| grows with | from | to | cost of a unit, last / first |\n| --- | --- | --- | --- |");
    let whole = &compile(Syntax::Handlebars, TEMPLATES[0].2);
    growth("session bytes", rounds, length, &[1, 4, 16, 64, 256], |kib| {
        let text = session_of(&extra_of(kib << 10));
        (text.len(), move |length| nanos(length, || drop(black_box(render(whole, black_box(&text))))))
    });
    let text = session_of(&extra_of(2 << 10));
    growth("template members", rounds, length, &[4, 16, 64, 256], |count| {
        let mut template = String::from("{");
        for index in 0..count {
            let comma = if index > 0 { "," } else { "" };
            write!(template, "{comma}\"m{index}\": \"{{{{Extra.identity.traits.email}}}}\"").unwrap();
        }
        template.push('}');
        let template = compile(Syntax::Handlebars, &template);
        let text = &text;
        (count, move |length| nanos(length, || drop(black_box(render(&template, black_box(text))))))
    });
}

/// Prints how the cost of one unit changes from the smallest size to the largest.
fn growth<M: FnMut(Duration) -> f64>(
    what: &str,
    rounds: usize,
    length: Duration,
    sizes: &[usize],
    mut at: impl FnMut(usize) -> (usize, M),
) {
    let mut units = BTreeMap::new();
    for size in sizes {
        let (count, mut measure) = at(*size);
        let mut figures: Vec<f64> = (0..rounds).map(|_| measure(length) / count as f64).collect();
        figures.sort_by(f64::total_cmp);
        units.insert(count, figures[rounds / 2]);
    }
    let (first, last) = (units.first_key_value().unwrap(), units.last_key_value().unwrap());
    println!("| {what} | {} | {} | {:.2} |", first.0, last.0, last.1 / first.1);
}

fn compile(syntax: Syntax, text: &str) -> ClaimTemplate {
    let template = TemplateText { name: "bench".to_owned(), text: text.to_owned() };
    ClaimTemplate::compile(syntax, &template, &[], CompileOptions::default()).unwrap()
}

fn render(template: &ClaimTemplate, text: &str) -> String {
    let session = Session::parse_for(text.as_bytes(), ReadLimits::default(), template.selection()).unwrap();
    template.render(&RenderInput::new(&session, &session.values(), "bench", NOW), &LIMITS).unwrap()
}

/// Nanoseconds that one call takes, over as many calls as fit into `length`.
fn nanos(length: Duration, mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut calls = 0u32;
    while start.elapsed() < length {
        for _ in 0..16 {
            call();
        }
        calls += 16;
    }
    start.elapsed().as_nanos() as f64 / f64::from(calls)
}

/// A Kratos session, and what an introspection would add, of about `bytes`; it grows by devices.
fn extra_of(bytes: usize) -> Value {
    let mut extra = json!({
        "active": true, "authenticated_at": "2026-02-28T10:00:00Z", "authenticator_assurance_level": "aal1",
        "expires_at": "2099-01-01T00:00:00Z", "id": "0e6f7c1d-5c1f-4a2b-9f0b-3a4f0a1b2c3d",
        "identity": {"id": "7a1f3c5e-0b52-4b7e-9c39-2f6a1c7d9e10", "schema_id": "default", "state": "active",
            "metadata_public": {"roles": ["editor", "billing"], "tenant": "acme"},
            "traits": {"email": "ann@example.com", "name": {"first": "Ann", "last": "O'Neil \"A\""}}},
        "client_id": "web", "scope": "openid profile orders:read", "username": "ann",
        "ext": {"email": "ann@example.com", "roles": ["editor"]}, "devices": []
    });
    let mut index = 0;
    while extra.to_string().len() + 200 < bytes {
        let device = json!({"id": format!("5d0a8c0e-2b7c-4b0f-8f6e-{index:012}"), "ip_address": "203.0.113.7",
            "location": "Berlin, DE", "user_agent": "Mozilla/5.0 (X11; Linux x86_64)", "trusted": index % 2 == 0, "n": index});
        extra["devices"].as_array_mut().unwrap().push(device);
        index += 1;
    }
    extra
}

fn session_of(extra: &Value) -> String {
    json!({"subject": "7a1f3c5e-0b52-4b7e-9c39-2f6a1c7d9e10", "extra": extra, "header": {}, "match_context": null})
        .to_string()
}

/// The claims of `templates/session`, without a copy of the session.
fn whole(extra: &Value) -> String {
    serde_json::to_string(&BTreeMap::from([("session", extra)])).unwrap()
}

fn identity(extra: &Value) -> String {
    let identity = &extra["identity"];
    let traits = &identity["traits"];
    let mut claims = Map::new();
    claims.insert("identity".to_owned(), identity["id"].clone());
    claims.insert("email".to_owned(), traits["email"].clone());
    if let (Some(first), Some(last)) = (traits["name"]["first"].as_str(), traits["name"]["last"].as_str()) {
        claims.insert("name".to_owned(), Value::String(format!("{first} {last}")));
    }
    let roles = &identity["metadata_public"]["roles"];
    claims.insert("roles".to_owned(), if roles.is_null() { json!([]) } else { roles.clone() });
    claims.insert("aal".to_owned(), extra["authenticator_assurance_level"].clone());
    let time = extra["authenticated_at"].as_str().and_then(Timestamp::parse_rfc3339).unwrap();
    claims.insert("auth_time".to_owned(), json!(time.seconds()));
    serde_json::to_string(&claims).unwrap()
}

fn introspection(extra: &Value) -> String {
    let mut claims = Map::new();
    claims.insert("client_id".to_owned(), extra["client_id"].clone());
    let scopes: Vec<&str> = extra["scope"].as_str().map(|scope| scope.split(' ').collect()).unwrap_or_default();
    claims.insert("scp".to_owned(), json!(scopes));
    for (name, value) in [("username", &extra["username"]), ("email", &extra["ext"]["email"])] {
        if !value.is_null() {
            claims.insert(name.to_owned(), value.clone());
        }
    }
    claims.insert("roles".to_owned(), extra["ext"]["roles"].clone());
    serde_json::to_string(&claims).unwrap()
}
