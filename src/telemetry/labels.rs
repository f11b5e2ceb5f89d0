//! The label sets of metrics. Values come from closed sets: routes, profile names, caller names, algorithms, error codes,
//! and key sets under their configured names, without the queries of URLs.

use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};

use crate::code::ErrorCode;
use crate::escape;

/// The label of a profile or a caller that is not configured, or not known.
pub(crate) const UNKNOWN: &str = "unknown";

/// The labels of what became of a request.
pub(super) const ISSUED: &str = "issued";
pub(super) const LOGIN: &str = "login";
pub(super) const REFUSED: &str = "refused";

/// Why a connection was closed although its client might have continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The client did not read a response within `limits.request`.
    Answer,
    /// The connection was idle, never authenticated, and made room for another.
    Evicted,
    /// The TLS handshake failed, or took longer than `limits.request`.
    Handshake,
    /// The bytes were not HTTP, or HTTP that can be read in two ways.
    Malformed,
    /// The address reached its connection limit, including the connections that get an error response.
    Peer,
    /// The client pipelined more requests than fit into the buffers of the connection.
    Pipeline,
    /// No complete request head came within `limits.request`.
    Request,
}

impl CloseReason {
    pub(super) const ALL: &[CloseReason] = &[
        CloseReason::Answer,
        CloseReason::Evicted,
        CloseReason::Handshake,
        CloseReason::Malformed,
        CloseReason::Peer,
        CloseReason::Pipeline,
        CloseReason::Request,
    ];

    fn as_str(self) -> &'static str {
        match self {
            CloseReason::Answer => "answer",
            CloseReason::Evicted => "evicted",
            CloseReason::Handshake => "handshake",
            CloseReason::Malformed => "malformed",
            CloseReason::Peer => "peer",
            CloseReason::Pipeline => "pipeline",
            CloseReason::Request => "request",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RequestLabels {
    pub(super) route: &'static str,
    pub(super) status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RouteLabel {
    pub(super) route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct IssuedLabels {
    pub(super) profile: String,
    pub(super) alg: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ShadowLabels {
    pub(super) profile: String,
    pub(super) result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct FailureLabels {
    pub(super) code: ErrorCode,
    pub(super) profile: String,
    pub(super) caller: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ProfileLabels {
    pub(super) profile: String,
    pub(super) result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct CloseLabel(pub(super) CloseReason);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ResultLabel(pub(super) &'static str);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct CallerLabels {
    pub(super) caller: String,
    pub(super) result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct KeySetLabel(pub(super) String);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SourceLabel(pub(super) String);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SourceFailureLabels {
    pub(super) source: String,
    pub(super) code: ErrorCode,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SourceResultLabels {
    pub(super) source: String,
    pub(super) result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SourceReasonLabels {
    pub(super) source: String,
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct BuildLabels;

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

impl EncodeLabelSet for ShadowLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("profile", self.profile.as_str()), ("result", self.result)].encode(encoder)
    }
}

impl EncodeLabelSet for CloseLabel {
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
        [("set", escape::line(&self.0))].encode(encoder)
    }
}

impl EncodeLabelSet for SourceLabel {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("source", escape::line(&self.0))].encode(encoder)
    }
}

impl EncodeLabelSet for SourceFailureLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("source", escape::line(&self.source)), ("code", self.code.as_str().into())].encode(encoder)
    }
}

impl EncodeLabelSet for SourceResultLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("source", self.source.as_str()), ("result", self.result)].encode(encoder)
    }
}

impl EncodeLabelSet for SourceReasonLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("source", self.source.as_str()), ("reason", self.reason)].encode(encoder)
    }
}

impl EncodeLabelSet for FailureLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (profile, caller) = (self.profile.as_str(), self.caller.as_str());
        [("code", self.code.as_str()), ("profile", profile), ("caller", caller)].encode(encoder)
    }
}

impl EncodeLabelSet for ProfileLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("profile", self.profile.as_str()), ("result", self.result)].encode(encoder)
    }
}
