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
use std::io::{self, IsTerminal as _};

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
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(Escaped(writer)).boxed(),
        LogFormat::Text => {
            let ansi = io::stderr().is_terminal();
            let fields = fmt::format::debug_fn(write_field).delimited(" ");
            fmt::layer().fmt_fields(fields).with_ansi(ansi).with_target(false).with_writer(writer).boxed()
        }
    };
    tracing_subscriber::registry().with(layer.with_filter(targets))
}

/// Writers of JSON lines in which every character that is not shown as itself is escaped. JSON itself does that only for C0.
struct Escaped<W>(W);

impl<'w, W: fmt::MakeWriter<'w>> fmt::MakeWriter<'w> for Escaped<W> {
    type Writer = Escaped<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        Escaped(self.0.make_writer())
    }
}

impl<W: io::Write> io::Write for Escaped<W> {
    /// Writes whole lines: each event comes in one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(escape::lines(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
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
    if tracing::subscriber::set_global_default(subscriber(level, format, io::stderr)).is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
            error!(%place, "panic; this is a bug in claimsmith");
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_format_shows_a_hostile_character() {
        for char in escape::testing::HOSTILE {
            for format in [LogFormat::Json, LogFormat::Text] {
                let log = Log::default();
                let writer = log.clone();
                tracing::subscriber::with_default(subscriber(Level::TRACE, format, move || writer.clone()), || {
                    let _span = tracing::info_span!("request", profile = format!("s{char}s")).entered();
                    error!(kid = format!("k{char}k"), path = ?format!("p{char}p"), "m{char}m");
                });
                let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
                let case = format!("{char:?} {format:?} {text:?}");
                assert_eq!(escape::lines(&text), text, "{case}");
                assert_eq!(text.matches('\n').count(), 1, "{case}");
                if format == LogFormat::Json {
                    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
                    assert_eq!(line["message"], format!("m{char}m"), "{case}");
                    assert_eq!(line["kid"], format!("k{char}k"), "{case}");
                    assert_eq!(line["span"]["profile"], format!("s{char}s"), "{case}");
                }
            }
        }
    }
}
