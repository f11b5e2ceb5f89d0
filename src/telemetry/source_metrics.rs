//! Metrics of session sources.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::labels::{SourceLabel, SourceReasonLabels, SourceResultLabels};

/// What a session source uses when metrics are scraped.
#[derive(Clone, Copy, Debug, Default)]
pub struct SourceGauges {
    /// Entries of its session cache.
    pub sessions: usize,
    /// Bytes of its session cache.
    pub bytes: u64,
    /// Whether it is not called because it failed.
    pub is_open: bool,
}

/// The metrics of all session sources.
#[derive(Debug)]
pub struct SourceMetrics {
    calls: Family<SourceResultLabels, Counter>,
    durations: Family<SourceLabel, Histogram, fn() -> Histogram>,
    lookups: Family<SourceResultLabels, Counter>,
    extensions: Family<SourceResultLabels, Counter>,
    rejections: Family<SourceReasonLabels, Counter>,
    sessions: Family<SourceLabel, Gauge>,
    bytes: Family<SourceLabel, Gauge>,
    open: Family<SourceLabel, Gauge>,
}

impl SourceMetrics {
    /// Registers the metrics; `histogram` returns an empty one.
    pub(super) fn register(registry: &mut Registry, histogram: fn() -> Histogram) -> Self {
        let metrics = Self {
            calls: Family::default(),
            durations: Family::new_with_constructor(histogram),
            lookups: Family::default(),
            extensions: Family::default(),
            rejections: Family::default(),
            sessions: Family::default(),
            bytes: Family::default(),
            open: Family::default(),
        };
        registry.register("session_source_calls", "Calls of session sources, by result", metrics.calls.clone());
        registry.register_with_unit(
            "session_source_call_duration",
            "Time of a call of a session source",
            Unit::Seconds,
            metrics.durations.clone(),
        );
        registry.register("session_cache_lookups", "Lookups in session caches, by result", metrics.lookups.clone());
        registry.register("session_extensions", "Extensions of sessions, by result", metrics.extensions.clone());
        registry.register("session_rejections", "Credentials without a session, by reason", metrics.rejections.clone());
        registry.register("session_cache_sessions", "Entries of session caches", metrics.sessions.clone());
        registry.register_with_unit("session_cache_size", "Size of session caches", Unit::Bytes, metrics.bytes.clone());
        registry.register(
            "session_source_open",
            "1 while a session source is not called because it failed",
            metrics.open.clone(),
        );
        metrics
    }

    /// Counts one call; it was refused and not made if it took no time.
    pub fn call(&self, source: &str, result: &'static str, elapsed: Option<Duration>) {
        self.calls.get_or_create(&labels(source, result)).inc();
        if let Some(elapsed) = elapsed {
            self.durations.get_or_create(&SourceLabel(source.to_owned())).observe(elapsed.as_secs_f64());
        }
    }

    /// Counts one lookup in a session cache.
    pub fn lookup(&self, source: &str, result: &'static str) {
        self.lookups.get_or_create(&labels(source, result)).inc();
    }

    /// Counts one extension.
    pub fn extension(&self, source: &str, result: &'static str) {
        self.extensions.get_or_create(&labels(source, result)).inc();
    }

    /// Counts one credential without a session.
    pub fn rejection(&self, source: &str, reason: &'static str) {
        self.rejections.get_or_create(&SourceReasonLabels { source: source.to_owned(), reason }).inc();
    }

    /// Sets the gauges of `sources`, and removes those of other sources.
    pub(super) fn set<'s>(&self, sources: impl Iterator<Item = (&'s str, SourceGauges)>) {
        self.sessions.clear();
        self.bytes.clear();
        self.open.clear();
        for (source, SourceGauges { sessions, bytes, is_open }) in sources {
            let label = SourceLabel(source.to_owned());
            self.sessions.get_or_create(&label).set(i64::try_from(sessions).unwrap_or(i64::MAX));
            self.bytes.get_or_create(&label).set(i64::try_from(bytes).unwrap_or(i64::MAX));
            self.open.get_or_create(&label).set(i64::from(is_open));
        }
    }
}

fn labels(source: &str, result: &'static str) -> SourceResultLabels {
    SourceResultLabels { source: source.to_owned(), result }
}
