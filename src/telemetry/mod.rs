//! Telemetry: log lines, metrics, an audit log of issued tokens, traces.
//!
//! No label or field contains a value of a session, a token or a key, except the subject in an audit log that is
//! configured to record it. Other crates log from `warn` on only, because some of them quote header values below that.

mod audit;
mod gauges;
mod labels;
mod metrics;
#[cfg(not(feature = "otlp"))]
#[path = "no_otlp.rs"]
mod otlp;
#[cfg(feature = "otlp")]
mod otlp;
mod queue;
mod results;
mod source_metrics;
mod traces;

pub(crate) use audit::{Audit, Issued, Refused};
pub use gauges::{Gauges, KeySetGauges, ProfileGauges};
pub(crate) use labels::{CloseReason, UNKNOWN};
pub use metrics::Metrics;
pub(crate) use metrics::{CacheLookup, CallerCounters, METRICS_CONTENT_TYPE, RouteMetrics};
pub(crate) use otlp::{RequestSpan, SourceSpan, SpanParent, Traces};
pub use results::ProfileResult;
pub use source_metrics::SourceGauges;
pub(crate) use traces::{Answered, SourceAnswered, TokenFacts};

use std::fmt::Debug;
use std::io::IsTerminal as _;

use tracing::field::Field;
use tracing::{Level, error};
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::config::LogFormat;
use crate::escape;

/// Returns a subscriber that writes log lines of `level` and above to `writer`. Use [`init_logging`] for standard error.
pub(crate) fn subscriber<W>(level: Level, format: LogFormat, writer: W) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    let targets =
        Targets::new().with_default(LevelFilter::WARN).with_target("claimsmith", LevelFilter::from_level(level));
    let layer = match format {
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(writer).boxed(),
        LogFormat::Text => {
            let ansi = std::io::stderr().is_terminal();
            let fields = fmt::format::debug_fn(write_field).delimited(" ");
            fmt::layer().fmt_fields(fields).with_ansi(ansi).with_target(false).with_writer(writer).boxed()
        }
    };
    tracing_subscriber::registry().with(layer.with_filter(targets))
}

/// Writes the message or a field of an event, so that no value can start another line.
fn write_field(out: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    let value = format!("{value:?}");
    match field.name() {
        "message" => out.write_str(&escape::line(&value)),
        name => write!(out, "{name}={}", escape::line(&value)),
    }
}

/// Writes log lines of the whole process to standard error. Panics are logged with their location only, because the
/// message of a panic can quote what it failed on. A second call does nothing.
pub(crate) fn init_logging(level: Level, format: LogFormat) {
    if tracing::subscriber::set_global_default(subscriber(level, format, std::io::stderr)).is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
            error!(%place, "panic; this is a bug in claimsmith");
        }));
    }
}
