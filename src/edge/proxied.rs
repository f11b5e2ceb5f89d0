//! What the adapters for proxies share: which descriptions of an original request, and which header names, are accepted.

use crate::checks::is_lookalike;
use crate::code::ErrorCode;
use crate::service::{Refusal, SECRET_HEADER};

/// The header with a session token of Kratos.
pub(super) const SESSION_TOKEN: &str = "x-session-token";

/// The longest text of a description. A longer one does not fit into the request heads of most servers either.
const LONGEST: usize = 16 << 10;

/// Returns the refusal of a missing or ambiguous description.
pub(super) fn metadata_refused(expected: &str, found: &str) -> Refusal {
    let detail = format!("expected the proxy to send {expected}, found {found}; configure it in the proxy");
    Refusal::new(ErrorCode::RequestMetadata, detail)
}

/// Returns `true` if `text` has only visible ASCII, and not too much of it.
pub(super) fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Returns `true` for a method.
pub(super) fn is_method(text: &str) -> bool {
    is_plain(text) && text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
}

/// Returns `true` for a host with an optional port.
pub(super) fn is_host(text: &str) -> bool {
    let is_of_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]~!$&'()*+;=%".contains(&byte);
    is_plain(text) && text.bytes().all(is_of_host)
}

/// Returns `true` for a path with an optional query. It is never decoded, because the service behind the proxy could
/// decode it differently.
pub(super) fn is_uri(text: &str) -> bool {
    is_plain(text) && text.starts_with('/')
}

/// Returns `true` if a client accepts HTML by name in one of its `Accept` headers, as browsers do for pages.
pub(super) fn accepts_html<'v>(values: impl Iterator<Item = &'v str>) -> bool {
    let mut ranges = values.flat_map(|value| value.split(','));
    ranges.any(|range| range.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("text/html")))
}

/// Returns `true` if the name of a header has only letters, digits and dashes.
pub(super) fn is_usual(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Refuses names that another reader could take for a header that is read here: for one of `metadata`, for a session
/// token or for the secret of a caller.
pub(super) fn refuse_lookalikes(unusual: &[&str], metadata: &[&str]) -> Result<(), Refusal> {
    for name in metadata.iter().chain(&[SESSION_TOKEN, SECRET_HEADER]) {
        if unusual.iter().any(|other| is_lookalike(other, name)) {
            let detail =
                format!("expected no header whose name is {name} with other characters for its dashes, found one");
            return Err(Refusal::new(ErrorCode::RequestLookalike, detail));
        }
    }
    Ok(())
}
