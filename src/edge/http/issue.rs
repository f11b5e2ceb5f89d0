//! `POST /issue/{profile}`: the token for a posted session, for any HTTP client.

use super::exchange::{Answer, Call};
use super::posted::issue_posted;
use crate::json;
use crate::service::{Delivery, Refusal};

/// Responds with the token only.
pub(super) async fn issue(call: Call) -> Result<Answer, Refusal> {
    issue_posted(call, Delivery::Alone, |_, _, outcome| {
        let mut body = String::from("{\"token\":");
        json::write_string(outcome.token.jws.as_str(), &mut body);
        body.push_str(",\"token_type\":\"Bearer\",\"expires_in\":");
        body.push_str(&outcome.expires_in().to_string());
        body.push_str(",\"jti\":");
        outcome.token.jti.write_json(&mut body);
        body.push('}');
        body
    })
    .await
}
