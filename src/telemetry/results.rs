//! The counters of results by profile and caller, with a limited number of series.

use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::labels::{FailureLabels, ISSUED, LOGIN, ProfileLabels, REFUSED, UNKNOWN};
use crate::code::ErrorCode;

/// The most series of failures with the name of a profile or a caller. Later ones are counted without names: reloads can
/// bring new names forever, and an Oathkeeper configuration can have thousands of rules.
const MOST_SERIES: usize = 5_000;

/// The result of a request for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileResult {
    /// A token was returned.
    Issued,
    /// The request only lacks a login, which is usual behind a proxy.
    Login,
    /// No token was returned.
    Refused,
}

impl ProfileResult {
    const ALL: [Self; 3] = [Self::Issued, Self::Login, Self::Refused];

    fn label(self) -> &'static str {
        match self {
            Self::Issued => ISSUED,
            Self::Login => LOGIN,
            Self::Refused => REFUSED,
        }
    }
}

/// What became of requests, by profile and caller.
#[derive(Debug, Default)]
pub(super) struct Results {
    failures: Family<FailureLabels, Counter>,
    named_failures: AtomicUsize,
    profiles: Family<ProfileLabels, Counter>,
}

impl Results {
    /// Returns counters in `registry`. Every code has a series without names from the start.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let results = Self::default();
        registry.register("failures", "Requests refused, by error code", results.failures.clone());
        for code in ErrorCode::ALL {
            drop(results.failures.get_or_create(&labels(*code, UNKNOWN, UNKNOWN)));
        }
        registry.register(
            "profile_requests",
            "Requests for tokens of each profile, by result",
            results.profiles.clone(),
        );
        results
    }

    /// Counts one refused request.
    pub(super) fn failure(&self, code: ErrorCode, profile: &str, caller: &str) {
        let named = labels(code, profile, caller);
        if let Some(counter) = self.failures.get(&named) {
            counter.inc();
            return;
        }
        let has_room = self.named_failures.fetch_add(1, Ordering::Relaxed) < MOST_SERIES;
        if has_room {
            self.failures.get_or_create(&named).inc();
        } else {
            self.named_failures.fetch_sub(1, Ordering::Relaxed);
            self.failures.get_or_create(&labels(code, UNKNOWN, UNKNOWN)).inc();
        }
    }

    /// Counts one request for a token of `profile`.
    pub(super) fn profile_request(&self, profile: &str, result: ProfileResult) {
        self.profiles.get_or_create(&ProfileLabels { profile: profile.to_owned(), result: result.label() }).inc();
    }

    /// Gives `profile` its series.
    pub(super) fn profile(&self, profile: &str) {
        for result in ProfileResult::ALL.map(ProfileResult::label) {
            drop(self.profiles.get_or_create(&ProfileLabels { profile: profile.to_owned(), result }));
        }
    }
}

fn labels(code: ErrorCode, profile: &str, caller: &str) -> FailureLabels {
    FailureLabels { code, profile: profile.to_owned(), caller: caller.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;

    #[test]
    fn names_stop_making_series_at_the_limit_and_failures_are_still_counted() {
        let mut registry = Registry::default();
        let results = Results::register(&mut registry);
        let extra = 100;
        for index in 0..MOST_SERIES + extra {
            results.failure(ErrorCode::SessionInvalid, &format!("p{index}"), "c");
        }
        results.failure(ErrorCode::SessionInvalid, "p0", "c");
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let series = text.lines().filter(|line| line.starts_with("failures_total{")).count();
        assert_eq!(series, ErrorCode::ALL.len() + MOST_SERIES);
        let has = |line: &str| text.lines().any(|found| found == line);
        assert!(has(r#"failures_total{code="session.invalid",profile="p0",caller="c"} 2"#));
        let unnamed = format!(r#"failures_total{{code="session.invalid",profile="unknown",caller="unknown"}} {extra}"#);
        assert!(has(&unnamed), "{unnamed}");
    }
}
