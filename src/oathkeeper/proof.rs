//! Runs both forms of a template over the same sessions: recorded ones, and ones generated from the paths that the
//! template reads.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::claims::{PrivateClaims, RegisteredInTemplate};
use crate::json::{Json, NumberComparison, ReadLimits};
use crate::session::Session;
use crate::templates::{ClaimTemplate, RenderInput, RenderLimits, differences};
use crate::time::Timestamp;

/// The recorded sessions of the sample templates.
const SAMPLES: [(&str, &str); 3] = [
    ("a Kratos session", include_str!("../../templates/session/kratos.session.json")),
    ("a Kratos session with more members", include_str!("../../templates/identity/kratos.session.json")),
    ("an OAuth 2.0 introspection", include_str!("../../templates/introspection/client.session.json")),
];
/// The most sessions for one template.
const MOST_SESSIONS: usize = 600;
/// Two times. A template that reads no clock renders the same claims at both.
const TIMES: [i64; 2] = [1_700_000_000, 1_800_000_000];

/// The difference that an operator has to check.
pub(super) const LENIENT: &str = "Oathkeeper makes no token, the import makes one";

/// A template that makes no claims for any trial.
#[derive(Clone, Debug)]
pub(crate) struct Fruitless {
    /// The number of trials and the error of the first one.
    pub(crate) message: String,
    /// Whether all trials had the same error, so that other sessions cannot be expected to do better.
    pub(crate) is_certain: bool,
}

/// The result of a comparison.
pub(super) struct Proof {
    /// The number of sessions.
    pub(super) tried: usize,
    /// The number of sessions with equal claims.
    pub(super) same: usize,
    /// The number of sessions that both forms reject.
    pub(super) refused: usize,
    /// The differences, each with an example and its frequency.
    pub(super) differences: Vec<Difference>,
    /// A session and its claims, equal in both forms.
    pub(super) case: Option<(String, String)>,
}

/// One kind of difference.
pub(super) struct Difference {
    pub(super) session: String,
    pub(super) what: String,
    pub(super) count: usize,
}

impl Proof {
    /// Compares both forms; `paths` are those that the original reads.
    pub(super) fn of(
        original: &ClaimTemplate,
        converted: &ClaimTemplate,
        paths: &[Vec<String>],
        profile: &str,
    ) -> Self {
        let mut proof = Self { tried: 0, same: 0, refused: 0, differences: Vec::new(), case: None };
        // The kind of the value matters more than its path, so one example of each kind is enough.
        let mut seen: BTreeMap<(String, bool), usize> = BTreeMap::new();
        for trial in trials(paths).into_iter().take(MOST_SESSIONS) {
            let Ok(session) = Session::parse(trial.text.as_bytes(), ReadLimits::default()) else { continue };
            proof.tried += 1;
            let [before, after] = [original, converted].map(|template| claims(template, &session, profile, TIMES[0]));
            let what = match (&before, &after) {
                (Some(before), Some(after)) => {
                    let different = differences(before, after, NumberComparison::AsFloat64);
                    if different.is_empty() {
                        proof.same += 1;
                        let is_timeless = claims(converted, &session, profile, TIMES[1]).as_ref() == Some(after);
                        if proof.case.is_none() && is_timeless {
                            proof.case = Some((trial.text.clone(), after.to_string()));
                        }
                        continue;
                    }
                    different.join("; ").replace("expected", "Oathkeeper gives").replace("found", "the import gives")
                }
                (None, None) => {
                    proof.refused += 1;
                    continue;
                }
                (None, Some(_)) => LENIENT.to_owned(),
                (Some(_), None) => "Oathkeeper makes a token, the import makes none".to_owned(),
            };
            let key = (trial.kind.clone(), before.is_some());
            match seen.get(&key).and_then(|index| proof.differences.get_mut(*index)) {
                Some(known) => known.count += 1,
                None => {
                    seen.insert(key, proof.differences.len());
                    proof.differences.push(Difference { session: trial.name, what, count: 1 });
                }
            }
        }
        proof
    }

    /// Runs one template over the sessions. Returns `None` if one of them gets claims.
    pub(super) fn fruitless(template: &ClaimTemplate, paths: &[Vec<String>]) -> Option<Fruitless> {
        let mut errors = Vec::new();
        for trial in trials(paths).into_iter().take(MOST_SESSIONS) {
            let Ok(session) = Session::parse(trial.text.as_bytes(), ReadLimits::default()) else { continue };
            errors.push(try_claims(template, &session, "profile", TIMES[0]).err()?);
        }
        let first = errors.first()?;
        let is_certain = errors.iter().all(|error| error == first);
        let message = format!("makes no claims for any of {} trial sessions: {first}", errors.len());
        Some(Fruitless { message, is_certain })
    }

    /// Returns the number of sessions whose claims differ.
    pub(super) fn differing(&self) -> usize {
        self.tried - self.same - self.refused
    }
}

/// Returns the claims of a token without the registered ones; `None` if there is no token.
fn claims(template: &ClaimTemplate, session: &Session<'_>, profile: &str, now: i64) -> Option<Json<'static>> {
    try_claims(template, session, profile, now).ok()
}

/// As [`claims`], with the reason if there is no token.
fn try_claims(
    template: &ClaimTemplate,
    session: &Session<'_>,
    profile: &str,
    now: i64,
) -> Result<Json<'static>, String> {
    let values = session.values();
    let input = RenderInput::new(session, &values, profile, Timestamp::from_seconds(now));
    let text = template.render(&input, &RenderLimits::default()).map_err(|error| error.to_string())?;
    let (claims, _) =
        PrivateClaims::parse_with(&text, None, RegisteredInTemplate::Override).map_err(|error| error.to_string())?;
    Ok(claims.to_json())
}

struct Trial {
    name: String,
    /// The kind of value that is tried, whatever its path.
    kind: String,
    text: String,
}

fn trials(paths: &[Vec<String>]) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |name: String, kind: String, session: Value| {
        trials.push(Trial { name, kind, text: session.to_string() });
    };
    let full = |value: &dyn Fn(&[String]) -> Option<Value>| {
        let mut session = empty();
        for path in paths {
            if let Some(value) = value(path) {
                put(&mut session, path, value);
            }
        }
        session
    };
    let word = |path: &[String]| Some(Value::String(format!("value of {}", path.last().map_or("", String::as_str))));
    add("a session with text everywhere".to_owned(), "text".to_owned(), full(&word));
    for (name, sample) in SAMPLES {
        if let Ok(session) = serde_json::from_str(sample) {
            add(name.to_owned(), name.to_owned(), session);
        }
    }
    add("a session with nothing in it".to_owned(), "nothing".to_owned(), empty());
    let values = values();
    for (kind, value) in &values {
        add(format!("a session with {kind} everywhere"), format!("{kind} everywhere"), full(&|_| Some(value.clone())));
    }
    for path in paths {
        let dotted = path.join(".");
        for (kind, value) in &values {
            let session = full(&|other| if other == path.as_slice() { Some(value.clone()) } else { word(other) });
            add(format!("`{dotted}` is {kind}"), kind.clone(), session);
        }
        let session = full(&|other| if other == path.as_slice() { None } else { word(other) });
        add(format!("`{dotted}` is missing"), "missing".to_owned(), session);
        for end in 2..path.len() {
            let above = &path[..end];
            let session = full(&|other| if other.starts_with(above) { None } else { word(other) });
            add(format!("`{}` is missing, above `{dotted}`", above.join(".")), "missing above".to_owned(), session);
        }
    }
    trials
}

fn values() -> Vec<(String, Value)> {
    [
        ("text that tries to add claims", json!("\",\"admin\":true,\"x\":\"")),
        ("text with a line break and signs", json!("a\n\t\\\u{1}<&>\u{2028}é🚀{{x}}")),
        ("empty text", json!("")),
        ("a small number", json!(42)),
        ("a large number", json!(1_700_000_000)),
        ("a fraction", json!(0.5)),
        ("zero", json!(0)),
        ("true", json!(true)),
        ("false", json!(false)),
        ("null", Value::Null),
        ("a list of text", json!(["a", "b"])),
        ("an empty list", json!([])),
        ("an object", json!({"k": "v", "n": 1})),
    ]
    .map(|(kind, value)| (kind.to_owned(), value))
    .to_vec()
}

fn empty() -> Value {
    json!({"subject": "subject-1", "extra": {}, "header": {}, "match_context": {
        "regexp_capture_groups": ["first", "second"], "url": {"Scheme": "https", "Host": "api.example.org", "Path": "/a"},
        "method": "GET", "header": {}}})
}

/// Sets `value` at a path of a template, if a session can contain it there.
fn put(session: &mut Value, path: &[String], value: Value) {
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    match names.as_slice() {
        ["Subject"] => {
            if let Value::String(text) = value
                && !text.is_empty()
            {
                session["subject"] = Value::String(text);
            }
        }
        ["Extra", names @ ..] if !names.is_empty() => {
            let mut place = &mut session["extra"];
            for name in names {
                if !place.is_object() {
                    *place = json!({});
                }
                place = &mut place[*name];
            }
            // Keep an object, because a longer path may start with this one.
            if !place.is_object() {
                *place = value;
            }
        }
        ["Header", name] => session["header"][*name] = json!(["header value"]),
        _ => {}
    }
}
