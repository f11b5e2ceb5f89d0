//! The section `traces`: where traces are sent.

use super::fault::Faults;
use super::field::{HTTP_URL, Kind, Presence, Section, field, section};
use super::read::{Mapping, Misfit, text_as};
use super::values::HttpUrl;
use super::yaml::{Node, ScalarKind, Value, scalar_kind};

/// Where traces are sent, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traces {
    /// The full URL of the OTLP over HTTP receiver, such as `http://127.0.0.1:4318/v1/traces`.
    pub endpoint: HttpUrl,
    /// The share of the traces that start here and are recorded.
    pub sample_ratio: SampleRatio,
}

/// A ratio between 0 and 1, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleRatio(u32);

pub(super) static TRACES: Section = section(&[
    field(
        "endpoint",
        "Endpoint",
        "The full URL of the OTLP receiver (HTTP with JSON), such as `http://127.0.0.1:4318/v1/traces`.",
        Kind::Text(HTTP_URL),
        Presence::Required,
        &["http://127.0.0.1:4318/v1/traces"],
    ),
    field(
        "sample_ratio",
        "Sample ratio",
        "The share of new traces that is recorded. A request with a `traceparent` header follows the decision \
         in the header.",
        Kind::Ratio,
        Presence::Default("1"),
        &["0.01", "0"],
    ),
]);

impl SampleRatio {
    const WHOLE: f64 = 1_000_000.0;

    /// Parses a decimal number from 0 to 1.
    fn parse(text: &str) -> Option<Self> {
        let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let ratio: f64 = text.parse().ok().filter(|ratio| is_decimal && (0.0..=1.0).contains(ratio))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and a million")]
        Some(Self((ratio * Self::WHOLE).round() as u32))
    }

    /// As a number from 0 to 1.
    #[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "only trace export reads it"))]
    pub(crate) fn as_f64(self) -> f64 {
        f64::from(self.0) / Self::WHOLE
    }
}

/// Reads the section.
pub(super) fn traces(traces: &Mapping<'_>, faults: &mut Faults) -> Option<Traces> {
    if cfg!(not(feature = "otlp")) {
        let found = "one without it; remove this key or build claimsmith with `otlp`";
        faults.add(traces.path.clone(), "a binary with the feature `otlp`", found, &traces.place);
        return None;
    }
    let endpoint = traces.value("endpoint", faults, text_as(HttpUrl::parse));
    let sample_ratio = traces.value("sample_ratio", faults, ratio);
    Some(Traces { endpoint: endpoint?, sample_ratio: sample_ratio? })
}

fn ratio(node: &Node, _: Kind) -> Result<SampleRatio, Misfit> {
    match &node.value {
        Value::Scalar { text, is_plain } if scalar_kind(text, *is_plain) == ScalarKind::Number => {
            SampleRatio::parse(text).ok_or(Misfit::Kind)
        }
        _ => Err(Misfit::Kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_a_decimal_number_from_none_to_all() {
        for (text, ratio) in
            [("0", 0.0), ("0.25", 0.25), ("1", 1.0), ("1.0", 1.0), (".5", 0.5), ("0.000001", 0.000_001)]
        {
            assert_eq!(SampleRatio::parse(text).map(SampleRatio::as_f64), Some(ratio), "{text}");
        }
        for wrong in ["", "1.1", "-0.5", "+1", "1e-3", "0x1", ".", "half", ".nan"] {
            assert_eq!(SampleRatio::parse(wrong), None, "{wrong}");
        }
    }
}
