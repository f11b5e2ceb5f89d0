//! Metrics. Every name is here or in `gauges`; `docs/operations.md` explains each, and a test compares it with what is
//! served.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::audit::AuditCounts;
use super::gauges::{Gauges, ScrapedMetrics};
use super::labels::{
    BuildLabels, CallerLabels, CloseLabel, CloseReason, ISSUED, IssuedLabels, KeySetLabel, REFUSED, RequestLabels,
    ResultLabel, RouteLabel, ShadowLabels, SourceFailureLabels, SourceLabel,
};
use super::results::{ProfileResult, Results};
use super::source_metrics::{SourceGauges, SourceMetrics};
use super::traces::TraceCounts;
use crate::code::ErrorCode;
use crate::time::Timestamp;

/// The metrics of one running service.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabel, Histogram>,
    issued: Family<IssuedLabels, Counter>,
    shadow: Family<ShadowLabels, Counter>,
    results: Results,
    lookups: [Counter; 2],
    cached_tokens: Gauge,
    cached_bytes: Gauge,
    ready: Gauge,
    generation: Gauge,
    reloads: Family<ResultLabel, Counter>,
    reload_refused: Gauge,
    files_failing: Gauge,
    oathkeeper_faults: Gauge,
    rotations: Family<ResultLabel, Counter>,
    rotation_refused: Gauge,
    keys_skipped: Family<KeySetLabel, Gauge>,
    source_ages: Family<SourceLabel, Gauge>,
    source_failing: Family<SourceLabel, Gauge>,
    source_failures: Family<SourceFailureLabels, Counter>,
    session_sources: SourceMetrics,
    generation_time: Gauge,
    audit: AuditCounts,
    traces: TraceCounts,
    scraped: ScrapedMetrics,
    /// Held while gauges are replaced and while they are encoded, so that no scrape sees half of them.
    scrape: Mutex<()>,
    callers: Family<CallerLabels, Counter>,
    in_flight: Gauge,
    connections: Gauge,
    unused_connections: Counter,
    closed: Family<CloseLabel, Counter>,
    certificate_end: Gauge,
}

/// The counters of one caller, kept at hand so that a request needs no lookup.
#[derive(Clone, Debug)]
pub struct CallerCounters {
    issued: Counter,
    refused: Counter,
}

impl CallerCounters {
    /// Counts one request of the caller.
    pub fn count(&self, is_issued: bool) {
        if is_issued {
            self.issued.inc()
        } else {
            self.refused.inc()
        };
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Returns metrics at zero. Every error code has its series from the start, so that a rate over it is never absent.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("claimsmith");
        let requests = Family::<RequestLabels, Counter>::default();
        registry.register("http_requests", "Requests answered on the api listener", requests.clone());
        let durations = Family::<RouteLabel, Histogram>::new_with_constructor(|| Histogram::new(DURATION_BUCKETS));
        registry.register_with_unit(
            "http_request_duration",
            "Time from the request head to the answer",
            Unit::Seconds,
            durations.clone(),
        );
        let issued = Family::default();
        registry.register("tokens_issued", "Tokens signed", issued.clone());
        let shadow = Family::default();
        registry.register("shadow_comparisons", "Requests of profiles in shadow mode, by result", shadow.clone());
        let results = Results::register(&mut registry);
        let lookups = Family::<ResultLabel, Counter>::default();
        registry.register(
            "token_cache_lookups",
            "Requests that could be answered with a token signed before, by whether they were",
            lookups.clone(),
        );
        let lookups = [HIT, MISS].map(|word| lookups.get_or_create_owned(&ResultLabel(word)));
        let cached_tokens = Gauge::default();
        registry.register("token_cache_tokens", "Tokens in the cache", cached_tokens.clone());
        let cached_bytes = Gauge::default();
        registry.register_with_unit(
            "token_cache_size",
            "What the token cache holds",
            Unit::Bytes,
            cached_bytes.clone(),
        );
        let ready = Gauge::default();
        registry.register("ready", "1 while readiness answers 200", ready.clone());
        let generation = Gauge::default();
        generation.set(1);
        registry.register("generation", "Generations served since the start, the first included", generation.clone());
        let counted = |words: [&'static str; 2]| {
            let family = Family::<ResultLabel, Counter>::default();
            words.into_iter().for_each(|word| drop(family.get_or_create(&ResultLabel(word))));
            family
        };
        let reloads = counted([REPLACED, REFUSED]);
        registry.register("reloads", "Changes of files, by what became of them", reloads.clone());
        let reload_refused = Gauge::default();
        registry.register(
            "reload_refused",
            "1 while files hold a change that cannot be used, and the last good generation is served",
            reload_refused.clone(),
        );
        let files_failing = Gauge::default();
        registry.register(
            "files_failing",
            "Files that cannot be read, and whose last good content is used",
            files_failing.clone(),
        );
        let oathkeeper_faults = Gauge::default();
        registry.register(
            "oathkeeper_faults",
            "Parts of an Oathkeeper configuration that are not served as written",
            oathkeeper_faults.clone(),
        );
        let rotations = counted([ROTATED, REFUSED]);
        registry.register("key_rotations", "Rotations of key files by this process", rotations.clone());
        let rotation_refused = Gauge::default();
        registry.register("key_rotation_refused", "1 while a key file cannot be rotated", rotation_refused.clone());
        let keys_skipped = Family::default();
        registry.register(
            "keys_skipped",
            "Members of a key set that cannot be used and are passed over",
            keys_skipped.clone(),
        );
        let source_ages = Family::default();
        registry.register_with_unit(
            "key_source_age",
            "Time since a key source on the network last gave or confirmed a good set",
            Unit::Seconds,
            source_ages.clone(),
        );
        let source_failing = Family::default();
        registry.register(
            "key_source_failing",
            "1 while a key source on the network fails, and its last good set is used",
            source_failing.clone(),
        );
        let source_failures = Family::default();
        registry.register(
            "key_source_failures",
            "Questions to a key source on the network that gave no good set, by error code",
            source_failures.clone(),
        );
        let session_sources = SourceMetrics::register(&mut registry, || Histogram::new(DURATION_BUCKETS));
        let generation_time = Gauge::default();
        registry.register_with_unit(
            "generation_taken_timestamp",
            "When the generation that is served was taken over, since 1970",
            Unit::Seconds,
            generation_time.clone(),
        );
        let (audit, traces) = (AuditCounts::default(), TraceCounts::default());
        registry.register("audit_lines", "Lines of the audit log that were written", audit.written.clone());
        registry.register("audit_lines_lost", "Lines of the audit log that were lost", audit.lost.clone());
        registry.register("trace_spans", "Spans that the collector took", traces.exported.clone());
        registry.register("trace_spans_lost", "Spans that were lost", traces.lost.clone());
        let scraped = ScrapedMetrics::default();
        scraped.register(&mut registry);
        let callers = Family::default();
        registry.register("caller_requests", "Requests of each caller, by what became of them", callers.clone());
        let in_flight = Gauge::default();
        registry.register("requests_in_flight", "Requests for tokens that are worked on", in_flight.clone());
        let connections = Gauge::default();
        registry.register("connections", "Connections open on the api listener", connections.clone());
        let unused_connections = Counter::default();
        registry.register(
            "connections_unused",
            "Connections of the api listener that ended before a whole request head came",
            unused_connections.clone(),
        );
        let closed = Family::<CloseLabel, Counter>::default();
        registry.register(
            "connections_cut",
            "Connections of the api listener that were closed for what their client did or did not do",
            closed.clone(),
        );
        for reason in CloseReason::ALL {
            drop(closed.get_or_create(&CloseLabel(*reason)));
        }
        let certificate_end = Gauge::default();
        registry.register_with_unit(
            "certificate_end_timestamp",
            "When the certificate of the api listener ends, as a Unix time; 0 without TLS",
            Unit::Seconds,
            certificate_end.clone(),
        );
        let build = Family::<BuildLabels, Gauge>::default();
        registry.register("build_info", "The version that runs; always 1", build.clone());
        build.get_or_create(&BuildLabels).set(1);
        Self {
            registry,
            requests,
            durations,
            issued,
            shadow,
            results,
            lookups,
            cached_tokens,
            cached_bytes,
            ready,
            generation,
            reloads,
            reload_refused,
            files_failing,
            oathkeeper_faults,
            rotations,
            rotation_refused,
            keys_skipped,
            source_ages,
            source_failing,
            source_failures,
            session_sources,
            generation_time,
            audit,
            traces,
            scraped,
            scrape: Mutex::default(),
            callers,
            in_flight,
            connections,
            unused_connections,
            closed,
            certificate_end,
        }
    }

    /// Returns the counters of `caller`, which then have their series.
    pub fn caller(&self, caller: &str) -> CallerCounters {
        let counter = |result| self.callers.get_or_create(&CallerLabels { caller: caller.to_owned(), result }).clone();
        CallerCounters { issued: counter(ISSUED), refused: counter(REFUSED) }
    }

    /// Sets the current load.
    pub fn load(&self, requests: usize, connections: usize) {
        self.in_flight.set(i64::try_from(requests).unwrap_or(i64::MAX));
        self.connections.set(i64::try_from(connections).unwrap_or(i64::MAX));
    }

    /// Counts a connection that ended without a request.
    pub fn unused_connection(&self) {
        self.unused_connections.inc();
    }

    /// Counts a connection that was closed for what its client did, or did not do.
    pub fn connection_closed(&self, reason: CloseReason) {
        self.closed.get_or_create(&CloseLabel(reason)).inc();
    }

    /// Sets the expiry of the API listener certificate.
    pub fn certificate_ends(&self, seconds: i64) {
        self.certificate_end.set(seconds);
    }

    /// Returns the handle of a route. If it issues tokens, the counters of its successful responses are kept at hand, and
    /// have their series from the start.
    pub fn route(&self, label: &'static str, span: &'static str, issues_tokens: bool) -> RouteMetrics {
        let usual = issues_tokens.then(|| UsualResponse {
            count: self.requests.get_or_create_owned(&RequestLabels { route: label, status: USUAL_STATUS }),
            duration: self.durations.get_or_create_owned(&RouteLabel { route: label }),
        });
        RouteMetrics { label, span, usual }
    }

    /// Counts one response on `route`.
    pub fn request(&self, route: &RouteMetrics, status: u16, seconds: f64) {
        if status == USUAL_STATUS
            && let Some(usual) = &route.usual
        {
            usual.count.inc();
            usual.duration.observe(seconds);
            return;
        }
        let route = route.label;
        self.requests.get_or_create(&RequestLabels { route, status }).inc();
        self.durations.get_or_create(&RouteLabel { route }).observe(seconds);
    }

    /// Counts one signed token.
    pub fn issued(&self, profile: &str, alg: &'static str) {
        self.issued.get_or_create(&IssuedLabels { profile: profile.to_owned(), alg }).inc();
    }

    /// Sets the number of parts of an Oathkeeper configuration that are not served as written.
    pub fn oathkeeper_faults(&self, count: usize) {
        self.oathkeeper_faults.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts one comparison in shadow mode.
    pub fn shadow_compared(&self, profile: &str, result: &'static str) {
        self.shadow.get_or_create(&ShadowLabels { profile: profile.to_owned(), result }).inc();
    }

    /// Counts one lookup in the token cache.
    pub fn cache_lookup(&self, lookup: CacheLookup) {
        let [hits, misses] = &self.lookups;
        match lookup {
            CacheLookup::Hit => hits.inc(),
            CacheLookup::Miss => misses.inc(),
        };
    }

    /// Sets the size of the token cache.
    pub fn token_cache(&self, tokens: usize, bytes: u64) {
        self.cached_tokens.set(i64::try_from(tokens).unwrap_or(i64::MAX));
        self.cached_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Returns the metrics of session sources.
    pub fn session_sources(&self) -> &SourceMetrics {
        &self.session_sources
    }

    /// Sets what each session source uses, and removes earlier sources.
    pub fn set_session_sources<'s>(&self, sources: impl Iterator<Item = (&'s str, SourceGauges)>) {
        let _scrape = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.session_sources.set(sources);
    }

    /// Counts one refused request. `profile` and `caller` must be configured names, or [`UNKNOWN`](super::UNKNOWN).
    pub fn failure(&self, code: ErrorCode, profile: &str, caller: &str) {
        self.results.failure(code, profile, caller);
    }

    /// Counts one request for a token of `profile`, which must be a configured name, or [`UNKNOWN`](super::UNKNOWN).
    pub fn profile_request(&self, profile: &str, result: ProfileResult) {
        self.results.profile_request(profile, result);
    }

    /// Gives each of `profiles` its series, so that a rate over it is never absent.
    pub fn profiles<'p>(&self, profiles: impl Iterator<Item = &'p str>) {
        profiles.for_each(|profile| self.results.profile(profile));
    }

    /// Sets whether readiness returns 200.
    pub fn set_ready(&self, is_ready: bool) {
        self.ready.set(i64::from(is_ready));
    }

    /// Returns the counters of the audit log.
    pub fn audit_counts(&self) -> AuditCounts {
        self.audit.clone()
    }

    /// Returns the counters of traces.
    pub fn trace_counts(&self) -> TraceCounts {
        self.traces.clone()
    }

    /// Sets the time since which the current generation is served.
    pub fn generation_since(&self, now: Timestamp) {
        self.generation_time.set(now.seconds());
    }

    /// Counts a reload; the new generation is served since `now`.
    pub fn reloaded(&self, now: Timestamp) {
        self.generation_since(now);
        self.generation.inc();
        self.reloads.get_or_create(&ResultLabel(REPLACED)).inc();
        self.reload_refused.set(0);
    }

    /// Sets the number of files that cannot be read.
    pub fn files_failing(&self, count: usize) {
        self.files_failing.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts a rejected change.
    pub fn reload_refused(&self) {
        self.reloads.get_or_create(&ResultLabel(REFUSED)).inc();
        self.reload_refused.set(1);
    }

    /// Resets the gauge of a rejected change.
    pub fn reload_restored(&self) {
        self.reload_refused.set(0);
    }

    /// Counts rotated key files, and resets the gauge of a failed rotation.
    pub fn rotated(&self, count: u64) {
        self.rotations.get_or_create(&ResultLabel(ROTATED)).inc_by(count);
        self.rotation_refused.set(0);
    }

    /// Counts a failed rotation.
    pub fn rotation_refused(&self) {
        self.rotations.get_or_create(&ResultLabel(REFUSED)).inc();
        self.rotation_refused.set(1);
    }

    /// Sets how many members of each key set are skipped, and removes earlier key sets.
    pub fn keys_skipped<'s>(&self, sets: impl Iterator<Item = (&'s str, usize)>) {
        let _scrape = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.keys_skipped.clear();
        for (name, count) in sets {
            let label = KeySetLabel(name.to_owned());
            self.keys_skipped.get_or_create(&label).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Sets the age of each key source's last good set and whether the source is failing, and removes earlier sources.
    pub fn key_sources(&self, sources: impl Iterator<Item = (String, Option<Duration>, bool)>) {
        let _scrape = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.source_ages.clear();
        self.source_failing.clear();
        for (source, age, is_failing) in sources {
            let label = SourceLabel(source);
            if let Some(age) = age {
                self.source_ages.get_or_create(&label).set(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
            }
            self.source_failing.get_or_create(&label).set(i64::from(is_failing));
        }
    }

    /// Counts a failed refresh of a key source.
    pub fn key_source_failed(&self, source: String, code: ErrorCode) {
        self.source_failures.get_or_create_owned(&SourceFailureLabels { source, code }).inc();
    }

    /// Returns all metrics in the OpenMetrics text format, with these gauges.
    pub fn text(&self, gauges: &Gauges) -> String {
        let _scrape = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.scraped.set(gauges);
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Whether the token cache had the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheLookup {
    /// It had.
    Hit,
    /// It had not.
    Miss,
}

/// The metrics of one route.
#[derive(Debug)]
pub struct RouteMetrics {
    label: &'static str,
    span: &'static str,
    usual: Option<UsualResponse>,
}

impl RouteMetrics {
    /// Returns `true` if the route issues tokens.
    pub fn issues_tokens(&self) -> bool {
        self.usual.is_some()
    }

    /// Returns the value of the label `route`.
    pub fn label(&self) -> &'static str {
        self.label
    }

    /// Returns the name of the route's spans.
    pub fn span(&self) -> &'static str {
        self.span
    }
}

/// The counters of a route's successful responses.
#[derive(Debug)]
struct UsualResponse {
    count: Counter,
    duration: Histogram,
}

const USUAL_STATUS: u16 = 200;

/// The content type of [`Metrics::text`].
pub(crate) const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const HIT: &str = "hit";
const MISS: &str = "miss";
const REPLACED: &str = "replaced";
const ROTATED: &str = "rotated";

/// From a cached response to one that is about to time out.
const DURATION_BUCKETS: [f64; 13] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];
