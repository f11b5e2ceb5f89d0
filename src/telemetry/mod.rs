//! What claimsmith tells its operator: log lines, metrics, an audit log of issued tokens, traces.
//!
//! Nothing of a session, a token or a key is ever a label or a field, but for the subject in an audit log that is told
//! to name it. Log lines of other crates are let through from `warn` on, since some of them quote header values below.

mod audit;
mod metrics;
#[cfg(not(feature = "otlp"))]
#[path = "no_otlp.rs"]
mod otlp;
#[cfg(feature = "otlp")]
mod otlp;
mod queue;
mod readings;
mod traces;

pub use audit::{Audit, AuditCounts, Issued};
pub use metrics::{CallerCounters, Cut, HYDRATE_ROUTE, ISSUE_ROUTE, METRICS_CONTENT_TYPE, Metrics};
pub use otlp::{RequestSpan, Traces};
pub use readings::{KeyReading, ProfileReading, Readings};
pub use traces::{Answered, TokenFacts, TraceCounts};

use std::io::IsTerminal as _;

use tracing::{Level, error};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, fmt};

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// A JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Sends log lines of `level` and above to `writer`; where that is standard error, use [`init_logging`].
pub fn subscriber<W>(level: Level, format: LogFormat, writer: W) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    let targets =
        Targets::new().with_default(LevelFilter::WARN).with_target("claimsmith", LevelFilter::from_level(level));
    let layer = match format {
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(writer).boxed(),
        LogFormat::Text => {
            fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_target(false).with_writer(writer).boxed()
        }
    };
    tracing_subscriber::registry().with(layer.with_filter(targets))
}

/// Sends log lines to standard error for the whole process, and panics with them: by their place alone, since the
/// message of a panic may quote the text it tripped over. A second call changes nothing.
pub fn init_logging(level: Level, format: LogFormat) {
    if tracing::subscriber::set_global_default(subscriber(level, format, std::io::stderr)).is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
            error!(%place, "panic; this is a fault of claimsmith");
        }));
    }
}
