//! Answers of sources that were recorded, read without a call.

use std::fmt;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::anonymous::Anonymous;
use super::http::Answer;
use super::{Rejection, Resolution, SourceKind, SourceLimits, introspection, jwt, kratos};
use crate::time::Timestamp;

/// An answer of a source. `Debug` does not show its body.
#[derive(Clone)]
pub struct RecordedAnswer {
    /// The status.
    pub status: u16,
    /// The headers. Without a media type, it is JSON.
    pub headers: Vec<(String, String)>,
    /// The body. For a `jwt` source, the claims of the token.
    pub body: Vec<u8>,
}

impl SourceKind {
    /// Returns what `answer` says at `now`. For a `jwt` source, the body is the claims of a token whose signature was
    /// verified. An anonymous source needs no answer.
    ///
    /// # Errors
    /// Returns what is wrong with the status or a header.
    pub fn read_recorded(
        &self,
        answer: &RecordedAnswer,
        limits: SourceLimits,
        now: Timestamp,
    ) -> Result<Resolution, String> {
        let SourceLimits { body, depth } = limits;
        if answer.body.len() > body {
            return Err(format!("expected at most {body} bytes (limits.body), found more"));
        }
        Ok(match self {
            SourceKind::Anonymous(spec) => Anonymous::new(spec).resolve(),
            SourceKind::Introspection(spec) => introspection::read(answer.to_answer()?, spec, depth, now),
            SourceKind::Jwt(spec) => match std::str::from_utf8(&answer.body) {
                Ok(claims) => jwt::read_claims(claims, spec, depth, now),
                Err(_) => Resolution::NoSession(Rejection::Malformed),
            },
            SourceKind::Kratos(spec) => kratos::read(answer.to_answer()?, spec, depth),
        })
    }
}

impl RecordedAnswer {
    fn to_answer(&self) -> Result<Answer, String> {
        let status = StatusCode::from_u16(self.status)
            .map_err(|_| format!("expected a status from 100 to 999, found {}", self.status))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let pair = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok());
            let (name, value) = pair.ok_or("expected headers with valid names and values, found another one")?;
            headers.append(name, value);
        }
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        Ok(Answer { status, headers, body: self.body.clone() })
    }
}

impl fmt::Debug for RecordedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedAnswer").field("status", &self.status).field("bytes", &self.body.len()).finish()
    }
}
