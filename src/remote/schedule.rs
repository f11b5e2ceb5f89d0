//! The time of the next fetch: pure functions of response headers, consecutive failures and chance.

use std::time::Duration;

use super::policy::RefreshPolicy;

/// The response headers that define freshness (RFC 9111, section 4.2).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Freshness<'h> {
    /// All `Cache-Control` lines, joined by commas.
    pub(super) cache_control: Option<&'h str>,
    /// `Age`
    pub(super) age: Option<&'h str>,
    /// `Expires`
    pub(super) expires: Option<&'h str>,
    /// `Date`
    pub(super) date: Option<&'h str>,
}

impl Freshness<'_> {
    /// Returns how long the response stays fresh, within the limits of `policy`.
    pub(super) fn lifetime(&self, policy: &RefreshPolicy) -> Duration {
        self.specified().unwrap_or(policy.default_interval).clamp(policy.min_interval, policy.max_interval)
    }

    fn specified(&self) -> Option<Duration> {
        let directives = self.cache_control.unwrap_or_default().split(',').map(str::trim);
        let mut max_age = None;
        for directive in directives {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-cache" | "no-store" => return Some(Duration::ZERO),
                // RFC 9111, section 4.2.1: a response with invalid freshness information is stale.
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

/// Returns the delay after a successful fetch that is fresh for `lifetime`. `chance` (0 to 1) shortens it by up to a fifth,
/// so that replicas that started together do not fetch together.
pub(super) fn after_success(lifetime: Duration, chance: f64) -> Duration {
    lifetime.mul_f64(1.0 - 0.2 * chance.clamp(0.0, 1.0))
}

/// Returns the delay after `failures` consecutive failures. It doubles with each failure, `chance` (0 to 1) shortens it by up
/// to half, and it is never shorter than the `Retry-After` of the source.
pub(super) fn after_failure(
    failures: u32,
    retry_after: Option<Duration>,
    policy: &RefreshPolicy,
    chance: f64,
) -> Duration {
    let doubled = policy.min_interval.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let longest = policy.default_interval.max(policy.min_interval);
    let backoff = doubled.min(longest).mul_f64(1.0 - 0.5 * chance.clamp(0.0, 1.0));
    backoff.max(retry_after.unwrap_or_default().min(policy.max_interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn response_freshness_is_clamped_to_the_policy() {
        let policy = RefreshPolicy::default();
        let lifetime = |cache_control: Option<&str>, age: Option<&str>| {
            Freshness { cache_control, age, ..Freshness::default() }.lifetime(&policy)
        };
        assert_eq!(lifetime(Some("public, max-age=600"), None), seconds(600));
        assert_eq!(lifetime(Some("Max-Age=\"600\""), Some("100")), seconds(500));
        assert_eq!(lifetime(Some("max-age=1"), None), policy.min_interval);
        assert_eq!(lifetime(Some("max-age=99999999"), None), policy.max_interval);
        assert_eq!(lifetime(Some("max-age=600, no-cache"), None), policy.min_interval);
        assert_eq!(lifetime(Some("max-age=soon"), None), policy.min_interval);
        assert_eq!(lifetime(Some("public"), None), policy.default_interval);
        assert_eq!(lifetime(None, None), policy.default_interval);
    }

    #[test]
    fn expires_is_used_without_max_age() {
        let policy = RefreshPolicy::default();
        let lifetime = |expires, date| Freshness { expires, date, ..Freshness::default() }.lifetime(&policy);
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(lifetime(Some("Sun, 06 Nov 1994 08:59:37 GMT"), Some(date)), seconds(600));
        assert_eq!(lifetime(Some("0"), Some(date)), policy.min_interval);
        assert_eq!(lifetime(Some(date), None), policy.default_interval);
    }

    #[test]
    fn failures_back_off_up_to_a_limit_and_honor_retry_after() {
        let policy = RefreshPolicy::default();
        let wait = |failures, retry_after| after_failure(failures, retry_after, &policy, 0.0);
        assert_eq!([1, 2, 3].map(|failures| wait(failures, None)), [seconds(10), seconds(20), seconds(40)]);
        assert_eq!(wait(40, None), policy.default_interval);
        assert_eq!(wait(1, Some(seconds(120))), seconds(120));
        assert_eq!(wait(1, Some(seconds(999_999))), policy.max_interval);
        assert_eq!(after_failure(2, None, &policy, 1.0), seconds(10));
        assert_eq!((after_success(seconds(100), 0.0), after_success(seconds(100), 1.0)), (seconds(100), seconds(80)));
    }
}
