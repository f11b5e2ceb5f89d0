//! What is counted and measured. Every metric name and label stands here or in `readings`; `docs/operations.md` explains
//! each, and a test holds it to what is served.
//!
//! Labels come from closed sets: routes, profile names, names of callers, algorithms, error codes, key sets as the
//! configuration calls them, without the queries of URLs.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::readings::{ReadMetrics, Readings};
use super::{AuditCounts, TraceCounts};
use crate::code::ErrorCode;
use crate::mint::Origin;
use crate::time::Timestamp;

/// The metrics of one running service.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabel, Histogram>,
    /// The usual answers, which are not looked for among the others.
    usual: [UsualAnswer; USUAL_ROUTES.len()],
    issued: Family<IssuedLabels, Counter>,
    failures: Family<CodeLabel, Counter>,
    lookups: [Counter; 2],
    cached_tokens: Gauge,
    cached_bytes: Gauge,
    ready: Gauge,
    generation: Gauge,
    reloads: Family<ResultLabel, Counter>,
    reload_refused: Gauge,
    rotations: Family<ResultLabel, Counter>,
    rotation_refused: Gauge,
    keys_skipped: Family<KeySetLabel, Gauge>,
    source_ages: Family<SourceLabel, Gauge>,
    source_failing: Family<SourceLabel, Gauge>,
    source_failures: Family<SourceFailureLabels, Counter>,
    generation_time: Gauge,
    audit: AuditCounts,
    traces: TraceCounts,
    read: ReadMetrics,
    /// Held while gauges are replaced and while they are written out, so that no answer has half of them.
    scrape: Mutex<()>,
    callers: Family<CallerLabels, Counter>,
    in_flight: Gauge,
    connections: Gauge,
    unused_connections: Counter,
    cut: Family<CutLabel, Counter>,
    certificate_end: Gauge,
}

/// Why a connection was closed although its client may have wanted to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cut {
    /// Its client did not take an answer within `limits.request`.
    Answer,
    /// Its TLS handshake failed, or was not done within `limits.request`.
    Handshake,
    /// What came is no HTTP, or HTTP that can be read in two ways.
    Malformed,
    /// Its address has as many as it may, and those that are told so besides.
    Peer,
    /// No whole request head came within `limits.request`.
    Request,
}

impl Cut {
    const ALL: &[Cut] = &[Cut::Answer, Cut::Handshake, Cut::Malformed, Cut::Peer, Cut::Request];

    fn as_str(self) -> &'static str {
        match self {
            Cut::Answer => "answer",
            Cut::Handshake => "handshake",
            Cut::Malformed => "malformed",
            Cut::Peer => "peer",
            Cut::Request => "request",
        }
    }
}

/// The counters of one caller, at hand so that a request looks nothing up.
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

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct RequestLabels {
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct RouteLabel {
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct IssuedLabels {
    profile: String,
    alg: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct CodeLabel(ErrorCode);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct CutLabel(Cut);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ResultLabel(&'static str);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct CallerLabels {
    caller: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct KeySetLabel(pub(super) String);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct SourceLabel(String);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct SourceFailureLabels {
    source: String,
    code: ErrorCode,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics at zero. Every error code has its series from the start, so that a rate over it is never absent.
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
        let usual = USUAL_ROUTES.map(|route| UsualAnswer {
            route,
            count: requests.get_or_create_owned(&RequestLabels { route, status: USUAL_STATUS }),
            duration: durations.get_or_create_owned(&RouteLabel { route }),
        });
        let issued = Family::default();
        registry.register("tokens_issued", "Tokens signed", issued.clone());
        let failures = Family::<CodeLabel, Counter>::default();
        registry.register("failures", "Requests refused, by error code", failures.clone());
        for code in ErrorCode::ALL {
            let _ = failures.get_or_create(&CodeLabel(*code));
        }
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
        let read = ReadMetrics::default();
        read.register(&mut registry);
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
        let cut = Family::<CutLabel, Counter>::default();
        registry.register(
            "connections_cut",
            "Connections of the api listener that were closed for what their client did or did not do",
            cut.clone(),
        );
        for reason in Cut::ALL {
            drop(cut.get_or_create(&CutLabel(*reason)));
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
            usual,
            issued,
            failures,
            lookups,
            cached_tokens,
            cached_bytes,
            ready,
            generation,
            reloads,
            reload_refused,
            rotations,
            rotation_refused,
            keys_skipped,
            source_ages,
            source_failing,
            source_failures,
            generation_time,
            audit,
            traces,
            read,
            scrape: Mutex::default(),
            callers,
            in_flight,
            connections,
            unused_connections,
            cut,
            certificate_end,
        }
    }

    /// The counters of `caller`, which then have their series.
    pub fn caller(&self, caller: &str) -> CallerCounters {
        let counter = |result| self.callers.get_or_create(&CallerLabels { caller: caller.to_owned(), result }).clone();
        CallerCounters { issued: counter(ISSUED), refused: counter(REFUSED) }
    }

    /// How much is going on at this moment.
    pub fn load(&self, requests: usize, connections: usize) {
        self.in_flight.set(i64::try_from(requests).unwrap_or(i64::MAX));
        self.connections.set(i64::try_from(connections).unwrap_or(i64::MAX));
    }

    /// A connection ended without a request.
    pub fn unused_connection(&self) {
        self.unused_connections.inc();
    }

    /// A connection was closed for what its client did, or did not do.
    pub fn cut(&self, reason: Cut) {
        self.cut.get_or_create(&CutLabel(reason)).inc();
    }

    /// When the certificate of the api listener ends.
    pub fn certificate_ends(&self, seconds: i64) {
        self.certificate_end.set(seconds);
    }

    /// Counts one answered request.
    pub fn request(&self, route: &'static str, status: u16, seconds: f64) {
        if status == USUAL_STATUS
            && let Some(usual) = self.usual.iter().find(|usual| usual.route == route)
        {
            usual.count.inc();
            usual.duration.observe(seconds);
            return;
        }
        self.requests.get_or_create(&RequestLabels { route, status }).inc();
        self.durations.get_or_create(&RouteLabel { route }).observe(seconds);
    }

    /// Counts one signed token.
    pub fn issued(&self, profile: &str, alg: &'static str) {
        self.issued.get_or_create(&IssuedLabels { profile: profile.to_owned(), alg }).inc();
    }

    /// Counts one request that a token signed before could have answered.
    pub fn looked_up(&self, origin: Origin) {
        let [hits, misses] = &self.lookups;
        match origin {
            Origin::Cached => hits.inc(),
            Origin::Signed => misses.inc(),
        };
    }

    /// Tells what the token cache holds.
    pub fn token_cache(&self, tokens: usize, bytes: u64) {
        self.cached_tokens.set(i64::try_from(tokens).unwrap_or(i64::MAX));
        self.cached_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Counts one refused request.
    pub fn failure(&self, code: ErrorCode) {
        self.failures.get_or_create(&CodeLabel(code)).inc();
    }

    /// Tells whether readiness answers 200.
    pub fn set_ready(&self, is_ready: bool) {
        self.ready.set(i64::from(is_ready));
    }

    /// Where the audit log counts.
    pub fn audit_counts(&self) -> AuditCounts {
        self.audit.clone()
    }

    /// Where traces are counted.
    pub fn trace_counts(&self) -> TraceCounts {
        self.traces.clone()
    }

    /// The generation that is served was taken over at `now`.
    pub fn taken(&self, now: Timestamp) {
        self.generation_time.set(now.seconds());
    }

    /// A new generation is served since `now`.
    pub fn reloaded(&self, now: Timestamp) {
        self.taken(now);
        self.generation.inc();
        self.reloads.get_or_create(&ResultLabel(REPLACED)).inc();
        self.reload_refused.set(0);
    }

    /// A change was refused.
    pub fn reload_refused(&self) {
        self.reloads.get_or_create(&ResultLabel(REFUSED)).inc();
        self.reload_refused.set(1);
    }

    /// What was refused is gone.
    pub fn reload_restored(&self) {
        self.reload_refused.set(0);
    }

    /// Key files were rotated, or needed not to be.
    pub fn rotated(&self, count: u64) {
        self.rotations.get_or_create(&ResultLabel(ROTATED)).inc_by(count);
        self.rotation_refused.set(0);
    }

    /// A key file could not be rotated.
    pub fn rotation_refused(&self) {
        self.rotations.get_or_create(&ResultLabel(REFUSED)).inc();
        self.rotation_refused.set(1);
    }

    /// How many members of the key sets, by name, are passed over; those of earlier sets are forgotten.
    pub fn keys_skipped<'s>(&self, sets: impl Iterator<Item = (&'s str, usize)>) {
        let _scrape = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.keys_skipped.clear();
        for (name, count) in sets {
            let label = KeySetLabel(name.to_owned());
            self.keys_skipped.get_or_create(&label).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// How each key source is doing, by name: how long ago it last gave a good set, and whether it fails. Those of
    /// earlier are forgotten.
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

    /// A key source was asked, and gave no good set.
    pub fn key_source_failed(&self, source: String, code: ErrorCode) {
        self.source_failures.get_or_create_owned(&SourceFailureLabels { source, code }).inc();
    }

    /// All metrics in the OpenMetrics text format, with these readings.
    pub fn text(&self, readings: &Readings) -> String {
        let _scrape = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.read.set(readings);
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// A token that was given out on one route.
#[derive(Debug)]
struct UsualAnswer {
    route: &'static str,
    count: Counter,
    duration: Histogram,
}

/// The label of what Oathkeeper's hydrator calls.
pub const HYDRATE_ROUTE: &str = "/hydrate/{profile}";
/// The label of what gives the token alone.
pub const ISSUE_ROUTE: &str = "/issue/{profile}";

const USUAL_ROUTES: [&str; 2] = [HYDRATE_ROUTE, ISSUE_ROUTE];
const USUAL_STATUS: u16 = 200;

/// The content type of [`Metrics::text`].
pub const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const HIT: &str = "hit";
const MISS: &str = "miss";
const REPLACED: &str = "replaced";
const ISSUED: &str = "issued";
const REFUSED: &str = "refused";
const ROTATED: &str = "rotated";

/// From a cached answer to one that is about to time out.
const DURATION_BUCKETS: [f64; 13] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct BuildLabels;

impl EncodeLabelSet for BuildLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("version", env!("CARGO_PKG_VERSION"))].encode(encoder)
    }
}

impl EncodeLabelSet for RequestLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("route", self.route.to_owned()), ("status", self.status.to_string())].encode(encoder)
    }
}

impl EncodeLabelSet for RouteLabel {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("route", self.route)].encode(encoder)
    }
}

impl EncodeLabelSet for IssuedLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("profile", self.profile.as_str()), ("alg", self.alg)].encode(encoder)
    }
}

impl EncodeLabelSet for CutLabel {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("reason", self.0.as_str())].encode(encoder)
    }
}

impl EncodeLabelSet for ResultLabel {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("result", self.0)].encode(encoder)
    }
}

impl EncodeLabelSet for CallerLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("caller", self.caller.as_str()), ("result", self.result)].encode(encoder)
    }
}

impl EncodeLabelSet for KeySetLabel {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("set", self.0.as_str())].encode(encoder)
    }
}

impl EncodeLabelSet for SourceLabel {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("source", self.0.as_str())].encode(encoder)
    }
}

impl EncodeLabelSet for SourceFailureLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("source", self.source.as_str()), ("code", self.code.as_str())].encode(encoder)
    }
}

impl EncodeLabelSet for CodeLabel {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("code", self.0.as_str())].encode(encoder)
    }
}
