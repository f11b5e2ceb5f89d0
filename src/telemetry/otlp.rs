//! Trace export: one span per request, sent as OTLP over HTTP. A span continues the trace of the request's `traceparent`
//! header (W3C Trace Context).
//!
//! `traceparent` is the only trace header that is read, because clients control the content of `tracestate` and baggage.
//! A thread exports spans from a bounded queue. If the queue is full or an export fails, spans are dropped and counted.

use std::fmt;
use std::time::Duration;

use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor};
use tracing::{info, warn};

use super::queue::{Bounds, Queue};
use super::traces::{Answered, SourceAnswered, TokenFacts, TraceCounts};
use crate::config;
use crate::remote::{built_now, http_client};
use crate::sources::CallResult;

/// The defaults of OpenTelemetry's batch processor, but with a shorter delay.
const BOUNDS: Bounds = Bounds { waiting: 2048, portion: 512, linger: Duration::from_secs(1) };
/// The timeout of one export.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The tracer of one running service.
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// The span of a sampled request.
#[derive(Debug)]
pub struct RequestSpan(Span);

impl Traces {
    /// Starts the exporter of `config`. Headers for the collector come from OpenTelemetry's environment variables
    /// `OTEL_EXPORTER_OTLP_HEADERS` and `OTEL_EXPORTER_OTLP_TRACES_HEADERS`.
    ///
    /// # Errors
    /// Returns a message if the HTTP client or the thread cannot be created. It quotes only the configuration.
    pub fn start(config: &config::Traces, counts: TraceCounts) -> Result<Self, String> {
        let resource = Resource::builder()
            .with_service_name("claimsmith")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let url = config.endpoint.as_str();
        let client = built_now(http_client(url).timeout(TIMEOUT), url)?;
        let mut exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpJson)
            .with_endpoint(url)
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

    /// Starts the span of a request with this `traceparent` header. Returns `None` if the request is not sampled.
    pub fn request(&self, traceparent: Option<&str>) -> Option<RequestSpan> {
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &Traceparent(traceparent));
        let span =
            self.tracer.span_builder("request").with_kind(SpanKind::Server).start_with_context(&self.tracer, &parent);
        span.is_recording().then_some(RequestSpan(span))
    }

    /// Starts the span of a request to a session source, below the span of the request that needs it.
    pub fn source(&self, parent: &SpanParent) -> SourceSpan {
        let context = Context::new().with_remote_span_context(parent.0.clone());
        SourceSpan(
            self.tracer
                .span_builder("session source")
                .with_kind(SpanKind::Client)
                .start_with_context(&self.tracer, &context),
        )
    }

    /// Exports the queued spans and stops the exporter, within `within` at most.
    pub fn close(&self, within: Duration) {
        if self.provider.shutdown_with_timeout(within).is_err() {
            warn!(seconds = within.as_secs(), "spans may be lost: the collector did not accept them in time");
        }
    }
}

impl RequestSpan {
    /// Returns the handle with which spans below this one are started.
    pub fn parent(&self) -> SpanParent {
        SpanParent(self.0.span_context().clone())
    }

    /// Sets the span's attributes and ends the span.
    pub fn end(mut self, answered: &Answered<'_>) {
        let Answered { request_id, method, route, name, status, profile, refused, token } = *answered;
        self.0.update_name(name);
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
                KeyValue::new("claimsmith.kid", kid.to_owned()),
                KeyValue::new("claimsmith.alg", alg),
                KeyValue::new("claimsmith.cached", cached),
            ]);
        }
        if let Some(code) = refused {
            self.0.set_attribute(KeyValue::new("error.type", code.as_str()));
        }
        // By the semantic conventions, 4xx is not an error of a server span.
        if status >= 500 {
            self.0.set_status(Status::error(""));
        }
        self.0.end();
    }
}

/// The span of a request, as the parent of other spans.
#[derive(Clone, Debug)]
pub struct SpanParent(SpanContext);

/// The span of one request to a session source.
#[derive(Debug)]
pub struct SourceSpan(Span);

impl SourceSpan {
    /// Sets the span's attributes and ends the span.
    pub fn end(mut self, answered: &SourceAnswered<'_>) {
        self.0.set_attributes([
            KeyValue::new("claimsmith.source", answered.source.to_owned()),
            KeyValue::new("claimsmith.source.result", answered.result.as_str()),
            KeyValue::new("claimsmith.source.cached", answered.is_cached),
            KeyValue::new("claimsmith.source.shared", answered.is_shared),
        ]);
        if matches!(answered.result, CallResult::Failed(_)) {
            self.0.set_attribute(KeyValue::new("error.type", answered.result.as_str()));
            self.0.set_status(Status::error(""));
        }
        self.0.end();
    }
}

/// The only request header that the propagator can read.
struct Traceparent<'h>(Option<&'h str>);

impl Extractor for Traceparent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.filter(|_| key == "traceparent")
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

/// A span processor that queues ended spans for export.
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
                        info!("trace export recovered");
                    }
                }
                Err(error) => {
                    shared.lost.inc_by(count);
                    if !std::mem::replace(&mut is_failing, true) {
                        warn!(%error, "spans are lost: the trace collector rejects them or cannot be reached");
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
