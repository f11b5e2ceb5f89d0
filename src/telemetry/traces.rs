//! Traces: a span for each request, sent as OTLP over HTTP, continuing the `traceparent` that came (W3C Trace Context).
//!
//! Of the headers that came, only `traceparent` is read: `tracestate` and baggage hold what others wrote. Spans go
//! through a bounded queue to a thread of their own; what finds no room there, or is not taken by the collector, is lost
//! and counted.

use std::fmt;
use std::time::Duration;

use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{Span as _, SpanKind, Status, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor};
use prometheus_client::metrics::counter::Counter;
use tracing::{info, warn};

use super::queue::{Bounds, Queue};
use crate::code::ErrorCode;
use crate::config;

/// As the batches of OpenTelemetry's own processors, but for a shorter wait.
const BOUNDS: Bounds = Bounds { waiting: 2048, portion: 512, linger: Duration::from_secs(1) };
/// How long the collector may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The tracer of one running service.
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// What became of spans.
#[derive(Clone, Debug, Default)]
pub struct TraceCounts {
    /// Spans that the collector took.
    pub exported: Counter,
    /// Spans that found no room in the queue, or that the collector did not take.
    pub lost: Counter,
}

/// A request that is recorded.
pub struct RequestSpan(Span);

/// How a request was answered, as its span tells it.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'t> {
    /// The request, as in its log lines.
    pub request_id: &'t str,
    /// The method of a known route, else nothing.
    pub method: &'t str,
    /// The route, a label from a closed set.
    pub route: &'static str,
    /// The status.
    pub status: u16,
    /// The profile that it names, if there is such a one.
    pub profile: Option<&'t str>,
    /// Why it was refused.
    pub refused: Option<ErrorCode>,
    /// The token that it got.
    pub token: Option<&'t TokenFacts>,
}

/// What a span says of a token.
#[derive(Clone, Debug)]
pub struct TokenFacts {
    /// The key that signed.
    pub kid: String,
    /// The algorithm that signed.
    pub alg: &'static str,
    /// Whether it was signed for an earlier request.
    pub cached: bool,
}

impl Traces {
    /// Starts to send traces as `config` says. Headers for the collector come from the environment, as OpenTelemetry
    /// names it: `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_EXPORTER_OTLP_TRACES_HEADERS`.
    ///
    /// # Errors
    /// Where no client or thread can be made, in words that quote nothing but the configuration.
    pub fn start(config: &config::Traces, counts: TraceCounts) -> Result<Self, String> {
        let resource = Resource::builder()
            .with_service_name("claimsmith")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let mut client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(TIMEOUT);
        if config.endpoint.as_str().starts_with("http://") {
            // Without TLS there need not be root certificates.
            client = client.tls_certs_only([]);
        }
        let client = client.build().map_err(
            |_| "expected root certificates of the system, found none that can be used; name them in SSL_CERT_FILE",
        )?;
        let mut exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpJson)
            .with_endpoint(config.endpoint.as_str())
            .with_timeout(TIMEOUT)
            .build()
            .map_err(|error| format!("expected an exporter of traces, found: {error}"))?;
        exporter.set_resource(&resource);
        let export =
            Export::start(exporter, counts).map_err(|error| format!("expected a thread for traces: {error}"))?;
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample_ratio.as_f64()))))
            .with_span_processor(export)
            .build();
        let tracer = provider.tracer("claimsmith");
        Ok(Self { provider, tracer })
    }

    /// Begins the span of a request that came with this `traceparent`; `None` where it is not recorded.
    pub fn request(&self, traceparent: Option<&str>) -> Option<RequestSpan> {
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &Traceparent(traceparent));
        let span =
            self.tracer.span_builder("request").with_kind(SpanKind::Server).start_with_context(&self.tracer, &parent);
        span.is_recording().then_some(RequestSpan(span))
    }

    /// Sends what is waiting and ends; gives up after `within`.
    pub fn close(&self, within: Duration) {
        if self.provider.shutdown_with_timeout(within).is_err() {
            warn!(seconds = within.as_secs(), "spans may be lost: the collector did not take them in time");
        }
    }
}

impl RequestSpan {
    /// Ends the span with what it tells.
    pub fn end(mut self, answered: &Answered<'_>) {
        let Answered { request_id, method, route, status, profile, refused, token } = *answered;
        self.0.update_name(match route {
            "/hydrate/{profile}" => "hydrate",
            "/issue/{profile}" => "issue",
            other => other,
        });
        let outcome = match (refused, token) {
            (Some(_), _) => "refused",
            (None, Some(_)) => "issued",
            (None, None) => "answered",
        };
        self.0.set_attributes([
            KeyValue::new("http.request.method", method.to_owned()),
            KeyValue::new("http.route", route),
            KeyValue::new("http.response.status_code", i64::from(status)),
            KeyValue::new("claimsmith.request_id", request_id.to_owned()),
            KeyValue::new("claimsmith.outcome", outcome),
        ]);
        if let Some(profile) = profile {
            self.0.set_attribute(KeyValue::new("claimsmith.profile", profile.to_owned()));
        }
        if let Some(TokenFacts { kid, alg, cached }) = token {
            self.0.set_attributes([
                KeyValue::new("claimsmith.kid", kid.clone()),
                KeyValue::new("claimsmith.alg", *alg),
                KeyValue::new("claimsmith.cached", *cached),
            ]);
        }
        if let Some(code) = refused {
            self.0.set_attribute(KeyValue::new("error.type", code.as_str()));
        }
        // The faults of a client are none of a server, say the semantic conventions.
        if status >= 500 {
            self.0.set_status(Status::error(""));
        }
        self.0.end();
    }
}

/// The one header that is read.
struct Traceparent<'h>(Option<&'h str>);

impl Extractor for Traceparent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.filter(|_| key == "traceparent")
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

/// Takes ended spans to the collector.
#[derive(Debug)]
struct Export {
    queue: Queue<SpanData>,
    counts: TraceCounts,
}

impl Export {
    fn start<E: SpanExporter + 'static>(exporter: E, counts: TraceCounts) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = counts.clone();
        let mut is_failing = false;
        let queue = Queue::start("traces", BOUNDS, move |spans: Vec<SpanData>| {
            let count = spans.len() as u64;
            match runtime.block_on(exporter.export(spans)) {
                Ok(()) => {
                    shared.exported.inc_by(count);
                    if std::mem::take(&mut is_failing) {
                        info!("traces are taken again");
                    }
                }
                Err(error) => {
                    shared.lost.inc_by(count);
                    if !std::mem::replace(&mut is_failing, true) {
                        warn!(%error, "traces are lost: the collector does not take them");
                    }
                }
            }
        })?;
        Ok(Self { queue, counts })
    }
}

impl SpanProcessor for Export {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && !self.queue.push(span) {
            self.counts.lost.inc();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        if self.queue.close(timeout) { Ok(()) } else { Err(OTelSdkError::Timeout(timeout)) }
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Traces")
    }
}
