//! Stand-in for trace export in a binary without the feature `otlp`. No value of these types exists.
//!
//! The configuration rejects `traces` in such a binary, so [`Traces::start`] is not reached by way of a file.

use std::time::Duration;

use super::traces::{Answered, TraceCounts};
use crate::config;

/// The tracer of one running service.
#[derive(Debug)]
pub enum Traces {}

/// The span of a sampled request.
#[derive(Debug)]
pub enum RequestSpan {}

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

    /// Stops the exporter.
    pub fn close(&self, _within: Duration) {
        match *self {}
    }
}

impl RequestSpan {
    /// Ends the span.
    pub fn end(self, _answered: &Answered<'_>) {
        match self {}
    }
}
