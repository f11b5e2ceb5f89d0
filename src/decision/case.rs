//! Recorded cases of checks: an answer of a source, a request, and what the check must decide.

use std::collections::BTreeMap;
use std::fmt;

use super::rehearsal::{Passed, Rehearsal};
use crate::checks::{Check, Denial, OriginalRequest};
use crate::claims::JwtId;
use crate::code::ErrorCode;
use crate::json::{Json, NumberComparison, Object, ReadLimits};
use crate::mint::{BuildFault, CheckCaseFile, Mint};
use crate::sources::{RecordedAnswer, SourceKind, SourceLimits};
use crate::templates::differences;
use crate::time::Timestamp;

/// Deeper than the limit of sessions, because a case contains one.
const CASE_LIMITS: ReadLimits = ReadLimits { depth: 1024 };

const MEMBERS: [&str; 9] = ["answer", "at", "check", "claims", "denial", "headers", "id", "request", "source"];

/// A recorded case of a check. `Debug` shows no value of the session.
pub(crate) struct CheckCase {
    check: String,
    source: Option<String>,
    at: Timestamp,
    request: RecordedRequest,
    answer: RecordedAnswer,
    expected: Expected,
}

enum Expected {
    Claims { claims: Json<'static>, headers: Option<Json<'static>> },
    Denial { code: String, location: Option<String> },
}

/// The request of a client that was recorded.
pub(crate) struct RecordedRequest {
    method: String,
    /// The scheme, the host and the path, each empty if it is not known.
    url: [String; 3],
    accepts_html: bool,
}

/// What a case is run with.
#[derive(Clone, Copy)]
pub(crate) struct CaseContext<'c> {
    pub(crate) mint: &'c Mint,
    pub(crate) checks: &'c BTreeMap<String, Check>,
    pub(crate) sources: &'c BTreeMap<String, SourceKind>,
    pub(crate) limits: SourceLimits,
}

/// The result of a case. It passed if there are no differences.
#[derive(Default)]
pub(crate) struct CaseResult {
    /// The claims of the template, if the check lets the request pass.
    pub(crate) claims: Option<Json<'static>>,
    /// Why it does not.
    pub(crate) denial: Option<(ErrorCode, String)>,
    /// Where the result differs from the recorded one.
    pub(crate) differences: Vec<String>,
}

impl RecordedRequest {
    /// Returns a request. Without a URL, it is one for `/` of an unknown host.
    ///
    /// # Errors
    /// Returns an error if `url` is not an http or https URL.
    pub(crate) fn new(method: &str, url: Option<&str>, accepts_html: bool) -> Result<Self, String> {
        let parts = match url {
            None => Some(["", "", "/"]),
            Some(url) => url.split_once("://").map(|(scheme, rest)| {
                let (host, uri) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                [scheme, host, if uri.is_empty() { "/" } else { uri }]
            }),
        };
        let parts = parts.filter(|[scheme, host, _]| {
            url.is_none() || matches!(*scheme, "http" | "https") && !host.is_empty() && host.is_ascii()
        });
        let parts = parts.ok_or("expected an http or https URL, found other text")?;
        Ok(Self { method: method.to_owned(), url: parts.map(str::to_owned), accepts_html })
    }

    /// Returns it as a check reads it.
    pub(crate) fn original(&self) -> OriginalRequest<'_> {
        let [scheme, host, uri] = &self.url;
        OriginalRequest { method: &self.method, scheme, host, uri, accepts_html: self.accepts_html }
    }
}

impl CheckCase {
    /// Reads a case.
    ///
    /// # Errors
    /// Returns what was expected.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let case = Json::parse(text, CASE_LIMITS).map_err(|error| format!("cannot read the case: {error}"))?;
        let members = object(&case, "the case")?;
        known_members(members, &MEMBERS, "the case")?;
        let at = text_of(members, "at")?.and_then(Timestamp::parse_rfc3339);
        let expected = match (members.member("claims"), members.member("denial")) {
            (Some(claims), None) => Expected::Claims {
                claims: claims.clone().into_owned(),
                headers: members.member("headers").map(|headers| headers.clone().into_owned()),
            },
            (None, Some(denial)) => {
                let denial = object(denial, "`denial`")?;
                known_members(denial, &["code", "location"], "`denial`")?;
                Expected::Denial {
                    code: required_text(denial, "code")?.to_owned(),
                    location: text_of(denial, "location")?.map(str::to_owned),
                }
            }
            _ => return Err("expected either `claims` or `denial`, objects".to_owned()),
        };
        Ok(Self {
            check: required_text(members, "check")?.to_owned(),
            source: text_of(members, "source")?.map(str::to_owned),
            at: at.ok_or("expected `at`, a time as RFC 3339 writes it, such as 2026-01-16T09:12:33Z")?,
            request: request(members.member("request"))?,
            answer: answer(members.member("answer"))?,
            expected,
        })
    }

    /// Returns the name of its check.
    pub(crate) fn check(&self) -> &str {
        &self.check
    }

    /// Runs the case.
    ///
    /// # Errors
    /// Returns what is wrong with the case.
    pub(crate) fn run(&self, context: CaseContext<'_>) -> Result<CaseResult, String> {
        let CaseContext { mint, checks, sources, limits } = context;
        let Some(check) = checks.get(&self.check) else {
            return Err(format!("expected `check` to be the name of a configured check, found `{}`", self.check));
        };
        let source = recorded_source(check, self.source.as_deref(), sources)?;
        let rehearsal = Rehearsal {
            check,
            source,
            answer: &self.answer,
            original: self.request.original(),
            limits,
            at: self.at,
            jwt_id: JwtId::new(uuid::Uuid::nil()),
            is_signed: false,
        };
        let decision = rehearsal.run(mint)?.decision;
        let differences = self.expected.differences(&decision);
        Ok(match decision {
            Ok(passed) => CaseResult { claims: Some(passed.private.to_json()), differences, ..CaseResult::default() },
            Err(denial) => {
                CaseResult { denial: Some((denial.code, denial.detail)), differences, ..CaseResult::default() }
            }
        })
    }
}

impl Expected {
    fn differences(&self, decision: &Result<Passed, Denial>) -> Vec<String> {
        match (self, decision) {
            (Expected::Claims { claims, headers }, Ok(passed)) => {
                let found = passed.private.to_json();
                let mut lines = differences(claims, &found, NumberComparison::Exact);
                if let Some(headers) = headers {
                    let found = passed.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                    let found: BTreeMap<&str, &str> = found.collect();
                    lines.extend(header_differences(headers, &found));
                }
                lines
            }
            (Expected::Claims { .. }, Err(Denial { code, detail, .. })) => {
                vec![format!("expected claims, found: {detail} [{code}]")]
            }
            (Expected::Denial { code, .. }, Ok(_)) => vec![format!("expected the denial {code}, found claims")],
            (Expected::Denial { code, location }, Err(denial)) => {
                let mut lines = Vec::new();
                if code != denial.code.as_str() {
                    lines.push(format!("code: expected {code}, found {}: {}", denial.code, denial.detail));
                }
                if let Some(expected) = location
                    && denial.location() != Some(expected)
                {
                    let found = denial.location().unwrap_or("none");
                    lines.push(format!("location: expected {expected}, found {found}"));
                }
                lines
            }
        }
    }
}

/// Returns a line for each header of `expected` that is not in `found`, whose names are in lower case.
fn header_differences(expected: &Json<'_>, found: &BTreeMap<&str, &str>) -> Vec<String> {
    let Json::Object(expected) = expected else { return vec!["expected `headers` to be an object".to_owned()] };
    let differs = |(name, value): (&str, &Json<'_>)| {
        let found = found.get(name.to_ascii_lowercase().as_str()).copied();
        let is_equal = value.as_str().is_some() && value.as_str() == found;
        (!is_equal).then(|| format!("headers.{name}: expected {value}, found {}", found.unwrap_or("nothing")))
    };
    expected.iter().filter_map(differs).collect()
}

/// Returns the source of `check` that an answer was recorded of: the one that is named, or the first that needs a credential.
///
/// # Errors
/// Returns an error if the check has no such source.
pub(crate) fn recorded_source<'s>(
    check: &'s Check,
    name: Option<&str>,
    sources: &'s BTreeMap<String, SourceKind>,
) -> Result<(&'s str, &'s SourceKind), String> {
    let mut of_check = check.sources.iter().filter_map(|name| Some((name.as_str(), sources.get(name)?)));
    let found = match name {
        Some(name) => of_check.find(|(other, _)| *other == name),
        None => of_check.clone().find(|(_, kind)| !kind.takes_everyone()).or_else(|| of_check.next()),
    };
    found.ok_or_else(|| format!("expected a source of the check ({}), found another name", check.sources.join(", ")))
}

/// Runs the cases of `files` whose check is configured. Returns the faults, and a note for each case whose check is not
/// configured, although a check uses the template that the case is beside.
pub(crate) fn run_case_files(files: &[CheckCaseFile], context: CaseContext<'_>) -> (Vec<BuildFault>, Vec<String>) {
    let (mut faults, mut notes) = (Vec::new(), Vec::new());
    let is_used = |template: &str| {
        let profiles = context.checks.values().filter_map(|check| context.mint.profile(&check.profile));
        profiles.into_iter().any(|profile| profile.spec().template.as_str() == template)
    };
    for CheckCaseFile { name, template, text } in files {
        let mut reject = |message: String| {
            let fault = BuildFault::new(ErrorCode::TemplateRecordedCase, format!("template {template}"), {
                format!("{name}: {message}")
            });
            faults.push(fault.in_file(name, message));
        };
        let case = match CheckCase::parse(text) {
            Ok(case) => case,
            Err(message) => {
                reject(message);
                continue;
            }
        };
        if !context.checks.contains_key(case.check()) {
            if is_used(template) {
                notes.push(format!("{name}: not run, because there is no check `{}`", case.check()));
            }
            continue;
        }
        match case.run(context) {
            Ok(CaseResult { differences, .. }) if differences.is_empty() => {}
            Ok(CaseResult { differences, .. }) => reject(format!(
                "the check `{}` does not decide as recorded\n  {}",
                case.check(),
                differences.join("\n  ")
            )),
            Err(message) => reject(message),
        }
    }
    (faults, notes)
}

fn request(value: Option<&Json<'_>>) -> Result<RecordedRequest, String> {
    let Some(value) = value else { return RecordedRequest::new("GET", None, false) };
    let members = object(value, "`request`")?;
    known_members(members, &["accepts_html", "method", "url"], "`request`")?;
    let accepts_html = match members.member("accepts_html") {
        None => false,
        Some(Json::Bool(accepts_html)) => *accepts_html,
        Some(_) => return Err("expected `request.accepts_html` to be true or false".to_owned()),
    };
    let method = text_of(members, "method")?.unwrap_or("GET");
    RecordedRequest::new(method, text_of(members, "url")?, accepts_html)
}

fn answer(value: Option<&Json<'_>>) -> Result<RecordedAnswer, String> {
    let mut answer = RecordedAnswer { status: 200, headers: Vec::new(), body: Vec::new() };
    let Some(value) = value else { return Ok(answer) };
    let members = object(value, "`answer`")?;
    known_members(members, &["body", "headers", "status"], "`answer`")?;
    if let Some(status) = members.member("status") {
        let number = match status {
            Json::Number(number) => number.as_i64().and_then(|status| u16::try_from(status).ok()),
            _ => None,
        };
        answer.status = number.ok_or("expected `answer.status` to be an HTTP status")?;
    }
    if let Some(headers) = members.member("headers") {
        for (name, value) in object(headers, "`answer.headers`")?.iter() {
            let value = value.as_str().ok_or("expected the values of `answer.headers` to be strings")?;
            answer.headers.push((name.to_owned(), value.to_owned()));
        }
    }
    if let Some(body) = members.member("body") {
        answer.body = body.to_string().into_bytes();
    }
    Ok(answer)
}

fn object<'j, 'a>(value: &'j Json<'a>, name: &str) -> Result<&'j Object<'a>, String> {
    match value {
        Json::Object(members) => Ok(members),
        other => Err(format!("expected {name} to be an object, found {}", other.kind())),
    }
}

fn known_members(members: &Object<'_>, known: &[&str], name: &str) -> Result<(), String> {
    match members.iter().find(|(member, _)| !known.contains(member)) {
        Some((member, _)) => Err(format!("expected {name} to have only {}, found `{member}`", known.join(", "))),
        None => Ok(()),
    }
}

fn text_of<'j>(members: &'j Object<'_>, name: &str) -> Result<Option<&'j str>, String> {
    match members.member(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or_else(|| format!("expected `{name}` to be a string")),
    }
}

fn required_text<'j>(members: &'j Object<'_>, name: &str) -> Result<&'j str, String> {
    text_of(members, name)?.ok_or_else(|| format!("expected the member `{name}`, a string"))
}

impl fmt::Debug for CheckCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckCase").field("check", &self.check).finish_non_exhaustive()
    }
}
