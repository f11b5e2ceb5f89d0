//! Compares generated templates with Go: `make peers-go-templates`.
//!
//! The oracle in `tests/peers/go-templates` renders each template with Go, sprig and Oathkeeper's functions. For each
//! template and session the engine must do one of the following:
//!
//! - It makes the claims that Go makes.
//! - It refuses. Refusals are counted by code and message.
//! - It escapes text. Then its claims may differ from Go's, whose JSON that text broke or changed. This counts only if both
//!   wrote the same text before anything was escaped. In addition, the session must have hostile text, or Go makes no claims
//!   and the claims differ from Go's text only in escapes, or Go's text has escapes that JSON does not have.
//!
//! Everything else is wrong and fails the test.

mod generate;
mod session;
mod signatures;
mod words;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::super::text::characters;
use super::super::{GoTemplate, exec};
use crate::json::{Json, NumberComparison, ReadLimits, write_string};
use crate::session::SessionValues;
use crate::templates::{RenderInput, RenderLimits};
use crate::time::Timestamp;
use generate::Case;

/// Templates that are sent to the oracle at once.
const BATCH: u64 = 256;
/// Wrong results and examples of refusals that are shown.
const SHOWN: usize = 40;

/// What the oracle says.
struct Answer {
    text: Vec<u8>,
    claims: Option<Json<'static>>,
    stage: String,
    error: String,
}

impl Answer {
    fn read(line: &str) -> Self {
        let limits = ReadLimits::default();
        let answer = Json::parse(line.as_bytes(), limits).unwrap_or_else(|error| panic!("{error}: {line}"));
        let text = |name| answer.member(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        let base64 = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text("text")).unwrap();
        let claims = answer.member("claims").filter(|claims| **claims != Json::Null).map(|claims| {
            let text = claims.to_string();
            Json::parse(text.as_bytes(), limits).unwrap().into_owned()
        });
        Self { text: base64, claims, stage: text("stage"), error: text("error") }
    }
}

/// What became of one template.
#[derive(Debug)]
enum Verdict {
    Equal,
    /// Neither makes claims.
    BothRefuse,
    /// Text of the session was escaped.
    Safe,
    /// Go makes claims; the reason why there are none here.
    Refused(String),
    Wrong(String),
}

/// What the engine makes of a template: its claims, and the text without escaping.
fn render(case: &Case) -> (Result<String, String>, Option<Vec<u8>>) {
    let limits = RenderLimits { output_bytes: 1 << 20, work: 10_000_000, ..RenderLimits::default() };
    let template = match GoTemplate::parse("t", &case.template) {
        Ok(template) => template,
        Err(error) => return (Err(format!("parse: {error}")), None),
    };
    let session = Json::parse(case.session.as_bytes(), ReadLimits::default()).unwrap();
    let part = |name: &str| session.member(name).cloned().unwrap_or(Json::Null);
    let values = SessionValues { extra: part("extra"), header: part("header"), match_context: part("match_context") };
    let subject = session.member("subject").and_then(Json::as_str).unwrap_or_default();
    let input = RenderInput::of_values(subject, &values, "p", Timestamp::from_seconds(1_768_554_753));
    let claims = template.render(&input, &limits).map_err(|error| error.to_string());
    (claims, exec::run_raw(&template.tree, &input, &limits).ok())
}

fn judge(case: &Case, go: &Answer) -> Verdict {
    let (ours, raw) = render(case);
    let claims = match ours {
        Ok(claims) => claims,
        Err(_) if go.claims.is_none() => return Verdict::BothRefuse,
        Err(error) => return Verdict::Refused(error),
    };
    let Some(raw) = raw else {
        return Verdict::Wrong("claims, but no text".to_owned());
    };
    if go.stage == "parse" || go.stage == "execute" {
        return Verdict::Wrong(format!("Go fails: {}: {}", go.stage, go.error));
    }
    if case.is_hostile && has_member(&claims, session::INJECTED) {
        return Verdict::Wrong(format!("a session added a member: {claims}"));
    }
    let ours = Json::parse(claims.as_bytes(), ReadLimits::default()).unwrap();
    match &go.claims {
        Some(theirs) if ours.is_equivalent(theirs, NumberComparison::AsFloat64) => Verdict::Equal,
        _ if raw != go.text => Verdict::Wrong(format!("the text is {}", String::from_utf8_lossy(&raw))),
        // The text is Go's, so only escaping can have made the difference.
        _ if case.is_hostile => Verdict::Safe,
        // Go quotes bytes that are not UTF-8 with escapes that JSON does not have.
        None if go.error.contains("in string escape code") => Verdict::Safe,
        // Text of the author can break Go's JSON, too, if the session decides where it is, or a function changes it.
        None if without_escapes(claims.as_bytes()) == without_spaces(&go.text) => Verdict::Safe,
        Some(_) => Verdict::Wrong(format!("the claims are {claims}")),
        None => Verdict::Wrong(format!("Go fails to decode ({}), the claims are {claims}", go.error)),
    }
}

/// The characters of a JSON text with its escapes replaced, without ASCII spaces.
fn without_escapes(json: &[u8]) -> String {
    let text = String::from_utf8_lossy(json);
    let mut out = Vec::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let unit = match character {
            '\\' => match characters.next() {
                Some('u') => {
                    let digits: String = characters.by_ref().take(4).collect();
                    u16::from_str_radix(&digits, 16).unwrap()
                }
                Some('b') => 8,
                Some('f') => 12,
                Some('n') => 10,
                Some('r') => 13,
                Some('t') => 9,
                other => other.unwrap() as u16,
            },
            _ => {
                out.extend(character.encode_utf16(&mut [0; 2]).iter());
                continue;
            }
        };
        out.push(unit);
    }
    without_spaces(String::from_utf16_lossy(&out).as_bytes())
}

/// The characters of `text` without ASCII spaces. Go replaces each byte that is not UTF-8.
fn without_spaces(text: &[u8]) -> String {
    let characters = characters(text).map(|(_, character, _)| character.unwrap_or(char::REPLACEMENT_CHARACTER));
    characters.filter(|character| !character.is_ascii_whitespace()).collect()
}

fn has_member(claims: &str, name: &str) -> bool {
    claims.contains(&format!("\"{name}\":"))
}

/// The message without its position, numbers and names.
fn kind(message: &str) -> String {
    let message = message.lines().next().unwrap_or_default();
    let start = message.find("expected").or(message.find("found")).unwrap_or(0);
    message[start..].chars().map(|character| if character.is_ascii_digit() { '0' } else { character }).collect()
}

/// The seed, the seconds to run and the most templates, which the oracle reads from its environment.
fn settings(line: &str) -> (u64, u64, u64) {
    let settings = Json::parse(line.as_bytes(), ReadLimits::default()).unwrap();
    let number = |name: &str| match settings.member(name) {
        Some(Json::Number(number)) => number.token().parse().unwrap(),
        _ => panic!("the oracle gives {name}"),
    };
    (number("seed"), number("seconds"), number("count"))
}

#[test]
fn every_function_is_generated() {
    // The clock differs, and what `fail` says is no claim.
    const EXCEPTED: [&str; 3] = ["ago", "fail", "now"];
    let generated =
        |name: &str| signatures::FUNCTIONS.iter().any(|signature| signature.split(' ').next() == Some(name));
    let elsewhere = ["call", "keys", "printf", "set", "values"];
    for name in super::super::funcs::names() {
        assert!(generated(name) || EXCEPTED.contains(&name) || elsewhere.contains(&name), "{name}");
    }
}

#[test]
#[ignore = "needs Go; run by make peers-go-templates"]
#[expect(clippy::print_stdout, reason = "the counts are shown even if all claims are right")]
fn generated_templates_make_the_claims_that_go_makes() {
    let mut child = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("target/go-templates-oracle"))
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the oracle starts");
    let (mut questions, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut answers = BufReader::new(answers).lines();
    let (seed, seconds, most) = settings(&answers.next().expect("the oracle answers").expect("an answer is text"));
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut refusals: BTreeMap<String, (u64, String)> = BTreeMap::new();
    let mut wrong = Vec::new();
    let (started, mut next) = (Instant::now(), 0);
    while next < most && started.elapsed() < Duration::from_secs(seconds) {
        let cases: Vec<Case> = (next..next + BATCH).map(|index| Case::generate(seed, index)).collect();
        next += BATCH;
        let questions = &mut questions;
        std::thread::scope(|scope| {
            let cases = &cases;
            scope.spawn(move || {
                for case in cases {
                    let mut line = "{\"template\":".to_owned();
                    write_string(&case.template, &mut line);
                    line.push_str(&format!(",\"session\":{}}}\n", case.session));
                    questions.write_all(line.as_bytes()).expect("the oracle reads");
                }
                questions.flush().expect("the oracle reads");
            });
            for (offset, case) in cases.iter().enumerate() {
                let go = Answer::read(&answers.next().expect("the oracle answers").expect("an answer is text"));
                let label = match judge(case, &go) {
                    Verdict::Equal => "equal",
                    Verdict::BothRefuse => "refused by both",
                    Verdict::Safe => "session text escaped",
                    Verdict::Refused(error) => {
                        let entry = refusals.entry(kind(&error)).or_insert((0, case.template.clone()));
                        entry.0 += 1;
                        "refused"
                    }
                    Verdict::Wrong(what) => {
                        if wrong.len() < SHOWN {
                            let text = String::from_utf8_lossy(&go.text).into_owned();
                            wrong.push(format!(
                                "{}:\n  template {}\n  session  {}\n  go       {text} {}\n  ours     {what}",
                                next - BATCH + offset as u64,
                                case.template,
                                case.session,
                                go.error,
                            ));
                        }
                        "WRONG"
                    }
                };
                *counts.entry(label).or_default() += 1;
            }
        });
    }
    drop(questions);
    child.wait().expect("the oracle ends");
    println!("{next} templates of the seed {seed}");
    counts.iter().for_each(|(label, count)| println!("{count:10} {label}"));
    let mut refusals: Vec<_> = refusals.into_iter().collect();
    refusals.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    for (kind, (count, example)) in refusals {
        println!("{count:10} refused: {kind}\n           {}", example.replace('\n', "\\n"));
    }
    wrong.iter().for_each(|what| println!("WRONG {what}"));
    assert!(wrong.is_empty(), "claims differ from Go's");
    let equal = counts.get("equal").copied().unwrap_or_default();
    assert!(next > 0 && equal * 2 > next, "only {equal} of {next} templates have equal claims");
}
