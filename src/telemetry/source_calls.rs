//! Metrics of the calls of session sources.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::labels::{SourceCallLabels, SourceLabel};

/// The counters and durations of calls, by source.
#[derive(Debug)]
pub(super) struct SourceCallMetrics {
    calls: Family<SourceCallLabels, Counter>,
    durations: Family<SourceLabel, Histogram, fn() -> Histogram>,
}

impl SourceCallMetrics {
    /// Registers the metrics; `histogram` returns an empty one.
    pub(super) fn register(registry: &mut Registry, histogram: fn() -> Histogram) -> Self {
        let (calls, durations) = (Family::default(), Family::new_with_constructor(histogram));
        registry.register("session_source_calls", "Calls of session sources, by result", Family::clone(&calls));
        registry.register_with_unit(
            "session_source_call_duration",
            "Time of a call of a session source",
            Unit::Seconds,
            Family::clone(&durations),
        );
        Self { calls, durations }
    }

    /// Counts one call.
    pub(super) fn count(&self, source: &str, result: &'static str, elapsed: Duration) {
        self.calls.get_or_create(&SourceCallLabels { source: source.to_owned(), result }).inc();
        self.durations.get_or_create(&SourceLabel(source.to_owned())).observe(elapsed.as_secs_f64());
    }
}
