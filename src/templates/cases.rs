//! Recorded cases: a session and the claims that a template must make of it.

use std::fmt;

use super::{ClaimTemplate, RenderInput, RenderLimits};
use crate::claims::{PrivateClaims, RegisteredInTemplate};
use crate::code::ErrorCode;
use crate::json::{Json, NumberComparison, ReadLimits};
use crate::session::Session;
use crate::time::Timestamp;

/// A session and the claims that were recorded for it.
#[derive(Clone)]
pub struct RecordedCase {
    /// The name that faults use, usually the session's file.
    pub name: String,
    /// The session's text.
    pub session: Vec<u8>,
    /// The text of the claims.
    pub claims: Vec<u8>,
}

/// How a case came out otherwise than recorded. A case is the operator's own sample, so its claims may be shown; they
/// are shown by path and not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseFault {
    /// The stable code: of the failure, or [`ErrorCode::TemplateRecordedCase`] for other claims.
    pub code: ErrorCode,
    /// The case.
    pub case: String,
    /// What was expected and what was found, a line for each difference.
    pub message: String,
}

impl fmt::Display for CaseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.case, self.message)?;
        // The error of a template includes its code.
        let code = format!("[{}]", self.code);
        if self.message.contains(&code) { Ok(()) } else { write!(f, " {code}") }
    }
}

impl RecordedCase {
    /// Renders the case's session and compares the claims, numbers exactly; registered claims of the template stand for
    /// what `registered` says. Returns the claims.
    ///
    /// # Errors
    /// [`CaseFault`] where the session or the claims cannot be read, the template refuses, or the claims differ.
    pub fn run(
        &self,
        template: &ClaimTemplate,
        profile: &str,
        registered: RegisteredInTemplate,
        now: Timestamp,
        limits: &RenderLimits,
    ) -> Result<PrivateClaims, CaseFault> {
        let fault = |code, message: String| CaseFault { code, case: self.name.clone(), message };
        let session = Session::parse_for(&self.session, ReadLimits::default(), template.selection())
            .map_err(|error| fault(error.code(), error.to_string()))?;
        let expected = Json::parse(&self.claims, ReadLimits::default()).map_err(|error| {
            fault(ErrorCode::TemplateRecordedCase, format!("the recorded claims are not readable: {error}"))
        })?;
        let values = session.values();
        let input = RenderInput::new(&session, &values, profile, now);
        let rendered = template.render(&input, limits).map_err(|error| {
            // The session is a file of the author, and read again whole, because `values` has only what the template reads.
            let whole = Session::parse(&self.session, ReadLimits::default());
            let error = match whole {
                Ok(session) => error.with_names_of(&session.values()),
                Err(_) => error,
            };
            fault(
                error.code(),
                error
                    .fault()
                    .map_or_else(|| error.to_string(), |fault| format!("the template makes no claims of it\n{fault}")),
            )
        })?;
        let (found, _) = PrivateClaims::parse_with(&rendered, None, registered)
            .map_err(|error| fault(error.code(), error.to_string()))?;
        let differences = differences(&expected, &found.to_json(), NumberComparison::Exact);
        if differences.is_empty() {
            return Ok(found);
        }
        Err(fault(
            ErrorCode::TemplateRecordedCase,
            format!("the claims differ from the recorded ones\n  {}", differences.join("\n  ")),
        ))
    }
}

/// A line for each place where `found` is not `expected`, at most twenty.
pub(crate) fn differences(expected: &Json<'_>, found: &Json<'_>, numbers: NumberComparison) -> Vec<String> {
    let mut lines = Vec::new();
    compare("claims", expected, found, numbers, &mut lines);
    lines.truncate(20);
    lines
}

fn compare(path: &str, expected: &Json<'_>, found: &Json<'_>, numbers: NumberComparison, lines: &mut Vec<String>) {
    match (expected, found) {
        (Json::Object(left), Json::Object(right)) => {
            for (name, value) in left.iter() {
                let path = format!("{path}.{name}");
                match right.member(name) {
                    Some(other) => compare(&path, value, other, numbers, lines),
                    None => lines.push(format!("{path}: expected {value}, found nothing")),
                }
            }
            for (name, value) in right.iter().filter(|(name, _)| left.member(name).is_none()) {
                lines.push(format!("{path}.{name}: expected nothing, found {value}"));
            }
        }
        (Json::Array(left), Json::Array(right)) if left.len() == right.len() => {
            for (index, (value, other)) in left.iter().zip(right).enumerate() {
                compare(&format!("{path}[{index}]"), value, other, numbers, lines);
            }
        }
        _ if expected.is_equivalent(found, numbers) => {}
        _ => lines.push(format!("{path}: expected {expected}, found {found}")),
    }
}
