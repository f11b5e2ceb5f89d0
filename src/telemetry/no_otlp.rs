//! Stand-in for trace export in a binary without the feature `otlp`. No value of these types exists.
//!
//! The configuration rejects `traces` in such a binary, so [`Traces::start`] is not reached by way of a file.

use std::time::Duration;

use super::traces::{Answered, SourceAnswered, TraceCounts};
use crate::config;

/// The tracer of one running service.
#[derive(Debug)]
pub enum Traces {}

/// The span of a sampled request.
#[derive(Debug)]
pub enum RequestSpan {}

/// The span of a request, as the parent of other spans.
#[derive(Clone, Debug)]
pub enum SpanParent {}

/// The span of one request to a session source.
#[derive(Debug)]
pub enum SourceSpan {}

impl SourceSpan {
    /// Ends the span.
    pub fn end(self, _answered: &SourceAnswered<'_>) {
        match self {}
    }
}

impl Traces {
    /// Returns an error, because this binary cannot export traces.
    ///
    /// # Errors
    /// Always.
    pub fn start(_config: &config::Traces, _counts: TraceCounts) -> Result<Self, String> {
        Err("this binary was built without the feature `otlp`".to_owned())
    }

    /// Starts the span of a request.
    pub fn request(&self, _traceparent: Option<&str>) -> Option<RequestSpan> {
        match *self {}
    }

    /// Starts the span of a request to a session source.
    pub fn source(&self, _parent: &SpanParent) -> SourceSpan {
        match *self {}
    }

    /// Stops the exporter.
    pub fn close(&self, _within: Duration) {
        match *self {}
    }
}

impl RequestSpan {
    /// Returns the handle with which spans below this one are started.
    pub fn parent(&self) -> SpanParent {
        match *self {}
    }

    /// Ends the span.
    pub fn end(self, _answered: &Answered<'_>) {
        match self {}
    }
}
