//! `check-session`: shows what a check does with a recorded answer of a session source.

use std::io::{self, Read as _};
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};
use uuid::Uuid;

use super::args::{CheckSessionArgs, Global};
use super::output::{self, Failure};
use super::source::Source;
use crate::checks::{Denial, Finding};
use crate::claims::JwtId;
use crate::decision::{Passed, RecordedRequest, Rehearsal, Rehearsed, recorded_source};
use crate::edge::http::denial_status;
use crate::json::{Json, ReadLimits};
use crate::reload::{FileUse, Files};
use crate::sources::{RecordedAnswer, Rejection, SourceLimits};
use crate::time::{Clock as _, SystemClock, Timestamp};

/// Deeper than the limit of sessions, because claims can contain one.
const CLAIMS_LIMITS: ReadLimits = ReadLimits { depth: 1024 };

/// What stands for a token that is not signed.
const UNSIGNED: &str = "<token>";

/// A decision and what it is about, for output.
struct Report<'r> {
    source: &'r str,
    kind: &'static str,
    rehearsed: &'r Rehearsed,
}

pub(super) fn check_session(global: &Global, args: &CheckSessionArgs) -> Result<(), Failure> {
    let at = match args.at.as_deref().map(Timestamp::parse_rfc3339) {
        None => SystemClock.now(),
        Some(Some(at)) => at,
        Some(None) => {
            return Err(Failure::Usage("expected --at to be a time such as 2026-01-16T09:12:33Z".to_owned()));
        }
    };
    let request = RecordedRequest::new(&args.method, args.url.as_deref(), args.browser)
        .map_err(|error| Failure::Usage(format!("--url: {error}")))?;
    let (config, mint) = Source::of(global, &args.oathkeeper.oathkeeper).load()?;
    let Some(check) = config.checks.get(&args.check) else {
        let names: Vec<&str> = config.checks.keys().map(String::as_str).collect();
        let names = if names.is_empty() { "there is none".to_owned() } else { names.join(", ") };
        return Err(Failure::Refused(format!(
            "expected the name of a configured check ({names}), found `{}`",
            args.check
        )));
    };
    let source = recorded_source(check, args.source.as_deref(), &config.sources).map_err(Failure::Refused)?;
    let answer = RecordedAnswer { status: args.status, headers: Vec::new(), body: read(&args.session)? };
    let rehearsal = Rehearsal {
        check,
        source,
        answer: &answer,
        original: request.original(),
        limits: SourceLimits::new(config.limits.body, config.limits.depth),
        at,
        jwt_id: JwtId::new(Uuid::new_v4()),
        is_signed: args.sign,
    };
    let rehearsed = rehearsal.run(&mint).map_err(Failure::Refused)?;
    let report = Report { source: source.0, kind: source.1.type_name(), rehearsed: &rehearsed };
    match global.json {
        true => output::line(&report.json())?,
        false => report.lines().iter().try_for_each(|line| output::line(line))?,
    }
    if let Ok(passed) = &rehearsed.decision
        && let Some(bytes) = passed.oversized()
    {
        output::note(&format!(
            "warning: the response head has about {bytes} bytes, more than some proxies read by default; raise the header \
             buffer of the proxy, such as proxy_buffer_size of nginx, or make the claims smaller"
        ));
    }
    if rehearsed.decision.is_ok() { Ok(()) } else { Err(Failure::Reported) }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    if path != Path::new("-") {
        let read = Files::new().read(path, FileUse::Session);
        return Ok(read.with_context(|| format!("cannot read the answer {}", path.display()))?);
    }
    let mut bytes = Vec::new();
    io::stdin()
        .take(FileUse::Session.most())
        .read_to_end(&mut bytes)
        .context("cannot read the answer from standard input")?;
    Ok(bytes)
}

impl Report<'_> {
    fn lines(&self) -> Vec<String> {
        let Self { source, kind, rehearsed } = self;
        let result = rehearsed.result;
        let reason = result.rejection.map_or_else(String::new, |reason| format!(" ({})", reason.as_str()));
        let mut lines = vec![format!("source {source} ({kind}): {}{reason}", result.result.as_str())];
        for Finding { requirement, expected, found, is_met } in &rehearsed.findings {
            let (state, found) = (if *is_met { "met" } else { "not met" }, found.as_deref().unwrap_or("nothing"));
            lines.push(format!("{requirement}: {state}; expected {expected}, found {found}"));
        }
        match &rehearsed.decision {
            Ok(passed) => {
                lines.push("answer: 200".to_owned());
                lines.extend(headers(passed).into_iter().map(|(name, value)| format!("  {name}: {value}")));
                let metadata = passed.metadata.iter();
                lines.extend(metadata.map(|(name, value)| format!("dynamic metadata of Envoy: {name}: {value}")));
                lines.push(format!("claims: {}", claims(passed).to_pretty()));
            }
            Err(denial) => {
                let [forward_auth, auth_request] = statuses(denial);
                let answer = format!("{forward_auth} at /forward-auth and /ext-authz, {auth_request} at /auth-request");
                lines.push(format!("answer: {answer}: {} [{}]", denial.detail, denial.code));
                lines.extend(denied_headers(denial).into_iter().map(|(name, value)| format!("  {name}: {value}")));
            }
        }
        lines
    }

    fn json(&self) -> String {
        let Self { source, kind, rehearsed } = self;
        let (result, reason) = (rehearsed.result.result.as_str(), rehearsed.result.rejection.map(Rejection::as_str));
        let source = json!({"name": source, "type": kind, "result": result, "reason": reason});
        let finding = |Finding { requirement, expected, found, is_met }: &Finding| json!({"requirement": requirement, "expected": expected, "found": found, "met": is_met});
        let requirements: Vec<Value> = rehearsed.findings.iter().map(finding).collect();
        let pairs = |headers: Vec<(String, String)>| {
            headers.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect::<Vec<_>>()
        };
        let answer = |[forward_auth, auth_request]: [u16; 2], headers| {
            let status = json!({"forward_auth": forward_auth, "auth_request": auth_request});
            json!({"source": source, "requirements": requirements, "status": status, "headers": pairs(headers)})
        };
        match &rehearsed.decision {
            Ok(passed) => {
                let mut document = answer([200, 200], headers(passed)).to_string();
                document.truncate(document.len() - 1);
                // The claims are spliced in, so that their numbers stay exact.
                let metadata: Vec<String> = passed
                    .metadata
                    .iter()
                    .map(|(name, value)| format!("{{\"name\":{},\"value\":{value}}}", Value::from(name.as_str())))
                    .collect();
                let (claims, metadata) = (claims(passed), metadata.join(","));
                format!("{{\"ok\":true,\"claims\":{claims},\"metadata\":[{metadata}],{}}}", &document[1..])
            }
            Err(denial) => {
                let more = answer(statuses(denial), denied_headers(denial));
                output::failure_json(denial.code.as_str(), &denial.detail, &[], more).to_string()
            }
        }
    }
}

/// Returns the status at an endpoint that redirects, and at one that does not.
fn statuses(denial: &Denial) -> [u16; 2] {
    [true, false].map(|follows_redirects| denial_status(denial, follows_redirects))
}

fn headers(passed: &Passed) -> Vec<(String, String)> {
    let (name, scheme) = &passed.token_header;
    let token = passed.token.as_ref().map_or(UNSIGNED, |token| token.as_str());
    let value = scheme.as_ref().map_or_else(|| token.to_owned(), |scheme| format!("{scheme} {token}"));
    let cookies = passed.set_cookies.iter().map(|cookie| ("set-cookie".to_owned(), cookie.clone()));
    let plain = passed.headers.iter().cloned();
    [(name.to_ascii_lowercase(), value)].into_iter().chain(plain).chain(cookies).collect()
}

fn denied_headers(denial: &Denial) -> Vec<(String, String)> {
    let named = |name: &str, value: Option<&str>| value.map(|value| (name.to_owned(), value.to_owned()));
    let login = [named("location", denial.location()), named("www-authenticate", denial.challenge.as_deref())];
    login.into_iter().flatten().chain(denial.headers.iter().cloned()).collect()
}

fn claims(passed: &Passed) -> Json<'_> {
    // They were written by claimsmith, so reading them cannot fail.
    Json::parse(passed.claims.as_str().as_bytes(), CLAIMS_LIMITS).unwrap_or(Json::Null)
}
