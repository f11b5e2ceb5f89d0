//! When to ask again: pure functions of an answer's headers, of failures in a row, and of chance.

use std::time::Duration;

use super::RefreshPolicy;

/// What an answer says of its own freshness (RFC 9111 section 4.2).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Freshness<'h> {
    /// `Cache-Control`, all of its lines joined by commas.
    pub(super) cache_control: Option<&'h str>,
    /// `Age`
    pub(super) age: Option<&'h str>,
    /// `Expires`
    pub(super) expires: Option<&'h str>,
    /// `Date`
    pub(super) date: Option<&'h str>,
}

impl Freshness<'_> {
    /// For how long the answer need not be asked for again.
    pub(super) fn lifetime(&self, policy: &RefreshPolicy) -> Duration {
        self.stated().unwrap_or(policy.default).clamp(policy.least, policy.most)
    }

    fn stated(&self) -> Option<Duration> {
        let directives = self.cache_control.unwrap_or_default().split(',').map(str::trim);
        let mut max_age = None;
        for directive in directives {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-cache" | "no-store" => return Some(Duration::ZERO),
                // What cannot be read is stale (RFC 9111 section 4.2.1).
                "max-age" if max_age.is_none() => {
                    max_age = Some(value.trim().trim_matches('"').parse::<u64>().unwrap_or_default());
                }
                _ => {}
            }
        }
        if let Some(seconds) = max_age {
            let age = self.age.and_then(|age| age.trim().parse::<u64>().ok()).unwrap_or_default();
            return Some(Duration::from_secs(seconds.saturating_sub(age)));
        }
        let expires = httpdate::parse_http_date(self.expires?);
        let date = self.date.and_then(|date| httpdate::parse_http_date(date).ok());
        match (expires, date) {
            (Ok(expires), Some(date)) => Some(expires.duration_since(date).unwrap_or_default()),
            (Err(_), _) => Some(Duration::ZERO),
            (Ok(_), None) => None,
        }
    }
}

/// How long after a good answer, fresh for `lifetime`, the next look is: up to a fifth earlier by `chance` (0 to 1), so
/// that a fleet that started together does not ask together.
pub(super) fn after_success(lifetime: Duration, chance: f64) -> Duration {
    lifetime.mul_f64(1.0 - 0.2 * chance.clamp(0.0, 1.0))
}

/// How long after the failure that is the `failures`th in a row the next look is: twice as long each time, with up to half
/// of it taken off by `chance`, and no sooner than the source itself asked for.
pub(super) fn after_failure(
    failures: u32,
    retry_after: Option<Duration>,
    policy: &RefreshPolicy,
    chance: f64,
) -> Duration {
    let doubled = policy.least.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let longest = policy.default.max(policy.least);
    let backoff = doubled.min(longest).mul_f64(1.0 - 0.5 * chance.clamp(0.0, 1.0));
    backoff.max(retry_after.unwrap_or_default().min(policy.most))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn an_answer_is_fresh_for_as_long_as_it_says_within_bounds() {
        let policy = RefreshPolicy::default();
        let lifetime = |cache_control: Option<&str>, age: Option<&str>| {
            Freshness { cache_control, age, ..Freshness::default() }.lifetime(&policy)
        };
        assert_eq!(lifetime(Some("public, max-age=600"), None), seconds(600));
        assert_eq!(lifetime(Some("Max-Age=\"600\""), Some("100")), seconds(500));
        assert_eq!(lifetime(Some("max-age=1"), None), policy.least);
        assert_eq!(lifetime(Some("max-age=99999999"), None), policy.most);
        assert_eq!(lifetime(Some("max-age=600, no-cache"), None), policy.least);
        assert_eq!(lifetime(Some("max-age=soon"), None), policy.least);
        assert_eq!(lifetime(Some("public"), None), policy.default);
        assert_eq!(lifetime(None, None), policy.default);
    }

    #[test]
    fn expires_counts_where_there_is_no_max_age() {
        let policy = RefreshPolicy::default();
        let lifetime = |expires, date| Freshness { expires, date, ..Freshness::default() }.lifetime(&policy);
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(lifetime(Some("Sun, 06 Nov 1994 08:59:37 GMT"), Some(date)), seconds(600));
        assert_eq!(lifetime(Some("0"), Some(date)), policy.least);
        assert_eq!(lifetime(Some(date), None), policy.default);
    }

    #[test]
    fn failures_wait_longer_each_time_up_to_a_bound_and_as_asked() {
        let policy = RefreshPolicy::default();
        let wait = |failures, retry_after| after_failure(failures, retry_after, &policy, 0.0);
        assert_eq!([1, 2, 3].map(|failures| wait(failures, None)), [seconds(10), seconds(20), seconds(40)]);
        assert_eq!(wait(40, None), policy.default);
        assert_eq!(wait(1, Some(seconds(120))), seconds(120));
        assert_eq!(wait(1, Some(seconds(999_999))), policy.most);
        assert_eq!(after_failure(2, None, &policy, 1.0), seconds(10));
        assert_eq!((after_success(seconds(100), 0.0), after_success(seconds(100), 1.0)), (seconds(100), seconds(80)));
    }
}
