//! `POST /hydrate/{profile}`: the hydrator contract of Oathkeeper.

use super::exchange::{Answer, Call};
use super::posted::issue_posted;
use crate::mint::Placement;
use crate::service::{Delivery, Refusal};

/// Responds with the whole session and the token in it. A successful response is always 200 and never compressed,
/// because Oathkeeper accepts no other response.
pub(super) async fn hydrate(call: Call) -> Result<Answer, Refusal> {
    issue_posted(call, Delivery::InSession, |placement, document, outcome| {
        let token = outcome.token.jws.as_str();
        match placement {
            Placement::Extra(name) => document.with_extra(name, token),
            Placement::Header { name, scheme: None } => document.with_header(name.as_str(), &[token]),
            Placement::Header { name, scheme: Some(scheme) } => {
                document.with_header(name.as_str(), &[scheme, " ", token])
            }
        }
    })
    .await
}
