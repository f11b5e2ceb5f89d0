//! Public keys as they are published (RFC 7517 section 4).

use std::fmt;

use super::alg::SignatureAlg;
use super::kid::KeyId;
use super::material::Material;
use super::period::Period;
use crate::json;

/// A public key as it is published. It has no field for private members.
#[derive(Clone)]
pub struct PublicJwk {
    pub(super) kid: KeyId,
    pub(super) alg: SignatureAlg,
    pub(super) period: Period,
    pub(super) material: Material,
    /// The values of `x5c`.
    pub(super) certificates: Vec<String>,
}

impl PublicJwk {
    /// Returns the key ID.
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// Returns the algorithm.
    pub(crate) fn alg(&self) -> SignatureAlg {
        self.alg
    }

    /// Returns the JWK as JSON: `kty`, the public members, `use`, `alg`, `kid`, and `x5c` if the key has certificates.
    pub fn to_json(&self) -> String {
        let mut text = self.material.to_json();
        text.pop();
        text.push_str(",\"use\":\"sig\",\"alg\":\"");
        text.push_str(self.alg.as_str());
        text.push_str("\",\"kid\":");
        json::write_string(self.kid.as_str(), &mut text);
        if !self.certificates.is_empty() {
            text.push_str(",\"x5c\":[\"");
            text.push_str(&self.certificates.join("\",\""));
            text.push_str("\"]");
        }
        text.push('}');
        text
    }

    /// Returns `true` if `other` has the same key material, regardless of its `kid`.
    pub(super) fn is_same_key(&self, other: &PublicJwk) -> bool {
        self.material == other.material
    }
}

impl fmt::Debug for PublicJwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicJwk").field("kid", &self.kid).field("alg", &self.alg).finish_non_exhaustive()
    }
}
