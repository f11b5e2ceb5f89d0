//! One member of a JWK Set (RFC 7517 section 4, RFC 7518 section 6, RFC 8037): checked, proven, split into what signs
//! and what is published.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwk::Jwk;
use josekit::jws::{JwsSigner, JwsVerifier};

use super::material::Material;
use super::{SignatureAlg, x5c};
use crate::json::{self, Json};
use crate::time::Timestamp;

/// The name of a key: `kid`. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(String);

impl KeyId {
    /// The id `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The id as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// From when until when a key signs (`nbf` and `exp` of the JWK, NumericDate); without one there is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) not_before: Option<Timestamp>,
    pub(super) expires_at: Option<Timestamp>,
}

/// A key that signs. It proved at load that its public half verifies what it signs.
pub struct SigningKey {
    pub(super) kid: KeyId,
    pub(super) alg: SignatureAlg,
    pub(super) period: Period,
    pub(super) signer: Box<dyn JwsSigner>,
    pub(super) verifier: Arc<dyn JwsVerifier>,
    /// The protected header of everything it signs, encoded.
    pub(super) header: String,
    /// `None` for symmetric keys.
    pub(super) public: Option<PublicJwk>,
}

/// A public key, as it is published. There is no field that a private member could stand in.
#[derive(Clone)]
pub struct PublicJwk {
    pub(super) kid: KeyId,
    pub(super) alg: SignatureAlg,
    pub(super) period: Period,
    pub(super) verifier: Arc<dyn JwsVerifier>,
    material: Material,
    certificates: Vec<String>,
}

/// What a member of a set is.
pub(super) enum Member {
    Public(PublicJwk),
    Signing(SigningKey),
}

impl SigningKey {
    /// Its name, which every token that it signs carries.
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// Its algorithm.
    pub fn alg(&self) -> SignatureAlg {
        self.alg
    }

    /// Its public half; none for symmetric keys.
    pub fn public(&self) -> Option<&PublicJwk> {
        self.public.as_ref()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).field("alg", &self.alg).finish_non_exhaustive()
    }
}

impl PublicJwk {
    /// Its name.
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// Its algorithm.
    pub fn alg(&self) -> SignatureAlg {
        self.alg
    }

    /// The JWK as JSON: `kty`, the public members, `use`, `alg`, `kid`, and `x5c` where the key has certificates.
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

    pub(super) fn is_same_key(&self, other: &PublicJwk) -> bool {
        self.material == other.material
    }
}

impl fmt::Debug for PublicJwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicJwk").field("kid", &self.kid).field("alg", &self.alg).finish_non_exhaustive()
    }
}

/// Reads one member of a set. Notes say what was taken for granted.
///
/// # Errors
/// The reason why it cannot be used: what was expected and what was found, never a value of key material.
pub(super) fn parse(member: &Json<'_>, notes: &mut Vec<String>) -> Result<Member, String> {
    let Json::Object(_) = member else { return Err(format!("expected an object, found {}", member.kind())) };
    let kty = text(member, "kty")?.ok_or("expected the member `kty`, found none")?;
    let material = match kty {
        "EC" | "OKP" | "RSA" => Some(material(member, kty)?),
        "oct" => None,
        _ => return Err("expected kty to be RSA, EC, OKP or oct, found another".to_owned()),
    };
    let kid = match text(member, "kid")? {
        Some(kid) if !kid.is_empty() => KeyId::new(kid),
        _ => {
            let advice = material.as_ref().map_or_else(
                || "; give it one".to_owned(),
                |material| format!("; its RFC 7638 thumbprint would do: \"{}\"", material.thumbprint()),
            );
            return Err(format!("expected the member `kid`, found none{advice}"));
        }
    };
    if text(member, "use")?.is_some_and(|key_use| key_use != "sig") {
        return Err("expected `use` to be \"sig\" or absent, found another use".to_owned());
    }
    let is_private = member.member("d").is_some() || kty == "oct";
    check_operations(member, is_private)?;
    let alg = algorithm(member, kty, material.as_ref(), &kid, notes)?;
    let period = period(member)?;

    let mut public_members = vec!["kty", "crv", "x", "y", "n", "e"];
    if kty == "oct" {
        public_members.push("k");
    }
    let unusable = |_| "expected key material that its algorithm can use, found other".to_owned();
    let verifier: Arc<dyn JwsVerifier> = Arc::from(alg.verifier(&jwk(member, &public_members)?).map_err(unusable)?);
    let public = material.map(|material| {
        let certificates = x5c::certificates(member.member("x5c"), &material).unwrap_or_else(|reason| {
            notes.push(format!("key \"{kid}\": x5c is left out: {reason}"));
            Vec::new()
        });
        PublicJwk { kid: kid.clone(), alg, period, verifier: Arc::clone(&verifier), material, certificates }
    });
    if !is_private {
        return public.map(Member::Public).ok_or_else(|| "expected key material, found none".to_owned());
    }

    let mut private_members = public_members;
    private_members.extend(["d", "p", "q", "dp", "dq", "qi"]);
    if kty == "RSA" {
        let lacking: Vec<_> =
            ["p", "q", "dp", "dq", "qi"].into_iter().filter(|name| member.member(name).is_none()).collect();
        if !lacking.is_empty() {
            return Err(format!(
                "expected an RSA private key with p, q, dp, dq and qi, found no {}",
                lacking.join(", ")
            ));
        }
    }
    let signer = alg.signer(&jwk(member, &private_members)?).map_err(unusable)?;
    let proof = b"claimsmith proves at load that both halves of a key belong together";
    let is_proven = signer.sign(proof).is_ok_and(|signature| verifier.verify(proof, &signature).is_ok());
    if !is_proven {
        return Err("expected the private and the public half to belong together, found that they do not".to_owned());
    }
    let mut header = format!("{{\"alg\":\"{alg}\",\"kid\":");
    json::write_string(kid.as_str(), &mut header);
    header.push_str(",\"typ\":\"JWT\"}");
    let header = URL_SAFE_NO_PAD.encode(header);
    Ok(Member::Signing(SigningKey { kid, alg, period, signer, verifier, header, public }))
}

fn text<'m>(member: &'m Json<'_>, name: &str) -> Result<Option<&'m str>, String> {
    match member.member(name) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!("expected `{name}` to be a string, found {}", other.kind())),
    }
}

/// The bytes of a base64url member. Padding, other alphabets and bits beyond the last byte are refused.
fn bytes(member: &Json<'_>, name: &str) -> Result<Vec<u8>, String> {
    let text = text(member, name)?.ok_or_else(|| format!("expected the member `{name}`, found none"))?;
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| format!("expected `{name}` to be base64url without padding, found other text"))
}

/// The public members, checked and written the one way.
fn material(member: &Json<'_>, kty: &str) -> Result<Material, String> {
    let coordinate = |name: &str, size: usize| {
        let found = bytes(member, name)?;
        if found.len() != size {
            return Err(format!("expected `{name}` to be {size} bytes, found {}", found.len()));
        }
        Ok(URL_SAFE_NO_PAD.encode(found))
    };
    let crv = || text(member, "crv")?.ok_or_else(|| "expected the member `crv`, found none".to_owned());
    match kty {
        "EC" => {
            let (crv, size) = match crv()? {
                "P-256" => ("P-256", 32),
                "P-384" => ("P-384", 48),
                "P-521" => ("P-521", 66),
                "secp256k1" => ("secp256k1", 32),
                _ => return Err("expected crv to be P-256, P-384, P-521 or secp256k1, found another".to_owned()),
            };
            Ok(Material::Ec { crv, x: coordinate("x", size)?, y: coordinate("y", size)? })
        }
        "OKP" => match crv()? {
            "Ed25519" => Ok(Material::Okp { crv: "Ed25519", x: coordinate("x", 32)? }),
            _ => Err("expected crv to be Ed25519, found another, which cannot sign here".to_owned()),
        },
        _ => {
            let (n, e) = (bytes(member, "n")?, bytes(member, "e")?);
            let n: Vec<u8> = n.into_iter().skip_while(|byte| *byte == 0).collect();
            let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
            if bits < 2048 {
                return Err(format!("expected an RSA key of at least 2048 bits, found {bits}"));
            }
            if bits > 16384 {
                return Err(format!("expected an RSA key of at most 16384 bits, found {bits}"));
            }
            let e: Vec<u8> = e.into_iter().skip_while(|byte| *byte == 0).collect();
            if e.len() > 8 || e.is_empty() || e == [1] || e == [2] {
                return Err("expected `e` to be at least 3 and at most 8 bytes long, found another".to_owned());
            }
            Ok(Material::Rsa { n: URL_SAFE_NO_PAD.encode(n), e: URL_SAFE_NO_PAD.encode(e) })
        }
    }
}

fn check_operations(member: &Json<'_>, is_private: bool) -> Result<(), String> {
    let wanted = if is_private { "sign" } else { "verify" };
    match member.member("key_ops") {
        None => Ok(()),
        Some(Json::Array(operations)) if operations.iter().any(|operation| operation.as_str() == Some(wanted)) => {
            Ok(())
        }
        Some(Json::Array(_)) => Err(format!("expected `key_ops` to hold \"{wanted}\" or to be absent, found others")),
        Some(other) => Err(format!("expected `key_ops` to be an array, found {}", other.kind())),
    }
}

fn algorithm(
    member: &Json<'_>,
    kty: &str,
    material: Option<&Material>,
    kid: &KeyId,
    notes: &mut Vec<String>,
) -> Result<SignatureAlg, String> {
    let crv = match material {
        Some(Material::Ec { crv, .. } | Material::Okp { crv, .. }) => Some(*crv),
        _ => None,
    };
    let secret_bytes = if kty == "oct" { bytes(member, "k")?.len() } else { 0 };
    let alg = match text(member, "alg")? {
        Some(name) => SignatureAlg::parse(name)
            .ok_or_else(|| format!("expected `alg` to be one of {}, found another", SignatureAlg::NAMES.join(", ")))?,
        None => {
            let alg = match kty {
                "RSA" => SignatureAlg::Rs256,
                "oct" if secret_bytes >= 64 => SignatureAlg::Hs512,
                "oct" if secret_bytes >= 48 => SignatureAlg::Hs384,
                "oct" => SignatureAlg::Hs256,
                _ => SignatureAlg::ALL
                    .into_iter()
                    .find(|alg| alg.key_type() == (kty, crv))
                    .ok_or("expected the member `alg`, found none")?,
            };
            notes.push(format!("key \"{kid}\" names no alg; taken for {alg}"));
            alg
        }
    };
    let (wanted_kty, wanted_crv) = alg.key_type();
    if wanted_kty != kty || wanted_crv != crv {
        let wanted = wanted_crv.map_or_else(String::new, |crv| format!(" on {crv}"));
        return Err(format!("expected a key of type {wanted_kty}{wanted} for alg {alg}, found another type or curve"));
    }
    if alg.is_symmetric() && secret_bytes < alg.hash_bytes() {
        return Err(format!(
            "expected at least {} bits for {alg}, found {} (RFC 7518 section 3.2)",
            alg.hash_bytes() * 8,
            secret_bytes * 8
        ));
    }
    Ok(alg)
}

fn period(member: &Json<'_>) -> Result<Period, String> {
    let time = |name: &str| match member.member(name) {
        None => Ok(None),
        // A NumericDate may have a fraction; `as` saturates.
        Some(Json::Number(number)) => Ok(Some(Timestamp::from_seconds(number.as_f64().floor() as i64))),
        Some(other) => Err(format!("expected `{name}` to be a NumericDate, found {}", other.kind())),
    };
    let period = Period { not_before: time("nbf")?, expires_at: time("exp")? };
    match (period.not_before, period.expires_at) {
        (Some(from), Some(until)) if from >= until => {
            Err("expected `nbf` to be before `exp`, found it not to be".to_owned())
        }
        _ => Ok(period),
    }
}

/// A josekit key of `names` alone, so that nothing else in the member can change what josekit does.
fn jwk(member: &Json<'_>, names: &[&str]) -> Result<Jwk, String> {
    let mut map = serde_json::Map::new();
    for name in names {
        if let Some(value) = text(member, name)? {
            map.insert((*name).to_owned(), serde_json::Value::String(value.to_owned()));
        }
    }
    Jwk::from_map(map).map_err(|_| "expected a JSON Web Key, found something else".to_owned())
}
