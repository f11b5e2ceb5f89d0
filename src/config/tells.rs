//! What the service tells beside its log: the audit log of issued tokens, and traces.

use std::path::{Path, PathBuf};

use super::fault::Faults;
use super::field::Kind;
use super::read::{Mapping, Misfit, choice, text_as, words};
use super::values::is_base_url;
use super::yaml::{Node, ScalarKind, Value, scalar_kind};

/// The audit log: a line for each token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLog {
    /// Where lines go.
    pub to: AuditTarget,
    /// What a line says of the token's subject.
    pub subject: AuditSubject,
}

/// Where audit lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditTarget {
    /// To the end of this file.
    File(PathBuf),
    /// To standard output.
    Stdout,
}

/// What an audit line says of the token's subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditSubject {
    /// Its SHA-256, in hexadecimal digits.
    Hash,
    /// Nothing.
    None,
    /// The subject itself.
    Plain,
}

/// Where traces go, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traces {
    /// The URL that takes OTLP over HTTP, whole, such as `http://127.0.0.1:4318/v1/traces`.
    pub endpoint: String,
    /// Which part of the traces that begin here is recorded.
    pub sample_ratio: SampleRatio,
}

/// A part of a whole, from none to all, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleRatio(u32);

impl SampleRatio {
    const WHOLE: f64 = 1_000_000.0;

    /// The ratio that `text` writes as a decimal number from 0 to 1.
    fn parse(text: &str) -> Option<Self> {
        let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let ratio: f64 = text.parse().ok().filter(|ratio| is_decimal && (0.0..=1.0).contains(ratio))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and a million")]
        Some(Self((ratio * Self::WHOLE).round() as u32))
    }

    /// As a number from 0 to 1.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / Self::WHOLE
    }
}

pub(super) fn audit(audit: &Mapping<'_>, base_dir: &Path, faults: &mut Faults) -> Option<AuditLog> {
    let to = audit.value("to", faults, |node, kind| match words(node, kind)?.as_str() {
        "stdout" => Ok(AuditTarget::Stdout),
        text => match text.strip_prefix("file://") {
            Some(path) if !path.is_empty() => Ok(AuditTarget::File(base_dir.join(path))),
            _ => Err(Misfit::Kind),
        },
    });
    let subject = audit.value(
        "subject",
        faults,
        choice(|word| match word {
            "hash" => Some(AuditSubject::Hash),
            "none" => Some(AuditSubject::None),
            "plain" => Some(AuditSubject::Plain),
            _ => None,
        }),
    );
    Some(AuditLog { to: to?, subject: subject? })
}

pub(super) fn traces(traces: &Mapping<'_>, faults: &mut Faults) -> Option<Traces> {
    let endpoint = traces.value("endpoint", faults, text_as(|text| is_base_url(text).then(|| text.to_owned())));
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
