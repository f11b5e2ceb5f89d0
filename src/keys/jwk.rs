//! One member of a JWK Set (RFC 7517 section 4, RFC 7518 section 6, RFC 8037): parsed, checked, and split into a
//! signing key, a published key and a verifying key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwk::Jwk;
use josekit::jws::JwsVerifier;
use openssl::bn::BigNum;
use thiserror::Error;
use zeroize::Zeroizing;

use super::alg::SignatureAlg;
use super::kid::KeyId;
use super::material::{Material, is_product};
use super::period::Period;
use super::primitive;
use super::public_jwk::PublicJwk;
use super::signing::SigningKey;
use super::x5c;
use crate::json::{Json, Object, ReadLimits};
use crate::time::Timestamp;

/// A member of a set of private keys.
pub(super) enum Member {
    Public(PublicJwk),
    Signing(Box<SigningKey>),
}

/// The verifying part of a member.
pub(super) struct VerifyingKey {
    pub(super) kid: KeyId,
    pub(super) alg: SignatureAlg,
    pub(super) verifier: Box<dyn JwsVerifier>,
    /// `true` if the member can also sign, because it has a private key or a symmetric key.
    pub(super) is_secret: bool,
}

/// The bytes are not a JWK Set.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct NotAKeySet {
    message: String,
}

impl NotAKeySet {
    fn found(found: &str) -> Self {
        let message = format!("expected a JWK Set, an object with the member `keys`, an array, found {found}");
        Self { message }
    }
}

/// A nesting limit far above the depth of any registered member of a JWK Set.
const SET_LIMITS: ReadLimits = ReadLimits { depth: 16 };

/// Returns the members of the JWK Set `bytes`, unchecked.
pub(super) fn members(bytes: &[u8]) -> Result<Vec<Json<'_>>, NotAKeySet> {
    take_members(&mut root(bytes)?)
}

/// Parses the root object of a JWK Set.
pub(super) fn root(bytes: &[u8]) -> Result<Object<'_>, NotAKeySet> {
    if bytes.trim_ascii_start().starts_with(b"-----BEGIN ") {
        return Err(NotAKeySet::found("PEM: `claimsmith keys add SET --from FILE` adds its key to a set"));
    }
    match Json::parse(bytes, SET_LIMITS) {
        Ok(Json::Object(root)) => Ok(root),
        Ok(other) => Err(NotAKeySet::found(other.kind())),
        Err(error) => Err(NotAKeySet { message: format!("expected a JWK Set in JSON: {error}") }),
    }
}

/// Removes `keys` from the root object of a JWK Set, and returns the members in it.
pub(super) fn take_members<'a>(root: &mut Object<'a>) -> Result<Vec<Json<'a>>, NotAKeySet> {
    match root.remove("keys") {
        Some(Json::Array(members)) => Ok(members),
        Some(other) => Err(NotAKeySet::found(&format!("`keys` to be {}", other.kind()))),
        None if root.member("kty").is_some() => Err(NotAKeySet::found("a single JWK: put it into {\"keys\":[…]}")),
        None => Err(NotAKeySet::found("an object without `keys`")),
    }
}

/// Parses a member of a set of private keys. If it has a private key, checks that the key pair matches. Adds
/// assumptions to `notes`.
///
/// # Errors
/// Returns the reason why the member cannot be used: the expected and the found value, without key material.
pub(super) fn parse(member: &Json<'_>, notes: &mut Vec<String>) -> Result<Member, String> {
    let Public { kty, kid, alg, period, material, verifier, is_secret } = Public::parse(member, notes)?;
    let public = material.map(|material| {
        let certificates = x5c::certificates(member.member("x5c"), &material).unwrap_or_else(|reason| {
            notes.push(format!("key \"{kid}\": x5c is left out: {reason}"));
            Vec::new()
        });
        PublicJwk { kid: kid.clone(), alg, period, material, certificates }
    });
    if !is_secret {
        return public.map(Member::Public).ok_or_else(|| "expected key material, found none".to_owned());
    }
    if kty == "RSA" {
        check_primes(member)?;
    }
    let read = |name: &str| bytes(member, name).ok().map(Zeroizing::new);
    let signer = match primitive::signer(alg, &read) {
        Some(signer) => signer,
        None => alg
            .signer(&jwk(member, &[verifying_members(kty), PRIVATE_MEMBERS].concat())?)
            .map_err(|_| format!("expected private members that form a key for {alg}, found ones that do not"))?,
    };
    SigningKey::verified(kid, alg, period, signer, verifier.as_ref(), public)
        .map(|key| Member::Signing(Box::new(key)))
        .map_err(|_| "expected the private and the public half to belong together, found that they do not".to_owned())
}

/// Parses the verifying part of a member, and does not read its private key.
///
/// # Errors
/// Returns the errors of [`parse`].
pub(super) fn verifying_key(member: &Json<'_>) -> Result<VerifyingKey, String> {
    let Public { kid, alg, verifier, is_secret, .. } = Public::parse(member, &mut Vec::new())?;
    Ok(VerifyingKey { kid, alg, verifier, is_secret })
}

/// The common part of private and public members.
struct Public<'m> {
    kty: &'m str,
    kid: KeyId,
    alg: SignatureAlg,
    period: Period,
    /// `None` for symmetric keys.
    material: Option<Material>,
    verifier: Box<dyn JwsVerifier>,
    is_secret: bool,
}

/// The private members of an asymmetric key.
const PRIVATE_MEMBERS: &[&str] = &["d", "p", "q", "dp", "dq", "qi"];

/// Returns the members that a verifier of a `kty` key reads.
fn verifying_members(kty: &str) -> &'static [&'static str] {
    match kty {
        "oct" => &["kty", "k"],
        _ => &["kty", "crv", "x", "y", "n", "e"],
    }
}

impl<'m> Public<'m> {
    fn parse(member: &'m Json<'_>, notes: &mut Vec<String>) -> Result<Self, String> {
        let Json::Object(_) = member else { return Err(format!("expected an object, found {}", member.kind())) };
        let kty = text(member, "kty")?.ok_or("expected the member `kty`, found none")?;
        let material = match kty {
            "EC" | "OKP" | "RSA" => Some(material(member, kty)?),
            "oct" => None,
            _ => return Err("expected `kty` to be RSA, EC, OKP or oct, found another type".to_owned()),
        };
        let parsed = text(member, "kid")?.filter(|kid| !kid.is_empty()).map(KeyId::parse).transpose();
        let kid = parsed.map_err(|error| format!("{error}; rename the key"))?.ok_or_else(|| {
            let advice = material.as_ref().map_or_else(
                || "; give it one".to_owned(),
                |material| format!("; its RFC 7638 thumbprint can be its kid: \"{}\"", material.thumbprint()),
            );
            format!("expected the member `kid`, found none{advice}")
        })?;
        if text(member, "use")?.is_some_and(|key_use| key_use != "sig") {
            return Err("expected `use` to be \"sig\" or absent, found another use".to_owned());
        }
        // Any of them discloses an RSA key, even without `d`.
        let is_secret = kty == "oct" || PRIVATE_MEMBERS.iter().any(|name| member.member(name).is_some());
        check_operations(member, is_secret)?;
        let alg = algorithm(member, kty, material.as_ref(), &kid, notes)?;
        let period = period(member)?;
        let verifier = alg.verifier(&jwk(member, verifying_members(kty))?).map_err(|_| match kty {
            "EC" => "expected `x` and `y` to be a point on its curve, found that they are not".to_owned(),
            _ => format!("expected public members that form a key for {alg}, found ones that do not"),
        })?;
        Ok(Self { kty, kid, alg, period, material, verifier, is_secret })
    }
}

fn text<'m>(member: &'m Json<'_>, name: &str) -> Result<Option<&'m str>, String> {
    match member.member(name) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!("expected `{name}` to be a string, found {}", other.kind())),
    }
}

/// Decodes a base64url member. Rejects padding, other alphabets and stray bits after the last byte.
fn bytes(member: &Json<'_>, name: &str) -> Result<Vec<u8>, String> {
    let text = text(member, name)?.ok_or_else(|| format!("expected the member `{name}`, found none"))?;
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| format!("expected `{name}` to be base64url without padding, found text that is not"))
}

/// Parses the public members and normalizes their encoding.
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
                _ => {
                    return Err("expected `crv` to be P-256, P-384, P-521 or secp256k1, found another curve".to_owned());
                }
            };
            Ok(Material::Ec { crv, x: coordinate("x", size)?, y: coordinate("y", size)? })
        }
        "OKP" => match crv()? {
            "Ed25519" => Ok(Material::Okp { crv: "Ed25519", x: coordinate("x", 32)? }),
            _ => Err("expected `crv` to be Ed25519, found a curve that is not supported for signatures".to_owned()),
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
                return Err(
                    "expected `e` to be at least 3 and at most 8 bytes long, found an unsuitable exponent".to_owned()
                );
            }
            Ok(Material::Rsa { n: URL_SAFE_NO_PAD.encode(n), e: URL_SAFE_NO_PAD.encode(e) })
        }
    }
}

/// Checks that `p` and `q` are the factors of `n`, because OpenSSL signs with only `d` if the primes are wrong. The
/// test signature would not detect wrong primes.
fn check_primes(member: &Json<'_>) -> Result<(), String> {
    if member.member("oth").is_some() {
        return Err("expected an RSA private key with two primes, found more (`oth`)".to_owned());
    }
    let lacking: Vec<_> =
        ["p", "q", "dp", "dq", "qi"].into_iter().filter(|name| member.member(name).is_none()).collect();
    if !lacking.is_empty() {
        return Err(format!("expected an RSA private key with p, q, dp, dq and qi, found no {}", lacking.join(", ")));
    }
    let number = |name| {
        let bytes = Zeroizing::new(bytes(member, name)?);
        BigNum::from_slice(&bytes).map_err(|_| format!("expected `{name}` to be a number, found bytes that are not"))
    };
    let (n, p, q) = (number("n")?, number("p")?, number("q")?);
    match is_product(&n, &p, &q) {
        Ok(true) => Ok(()),
        _ => Err("expected `p` and `q` to be the factors of `n`, found that they are not".to_owned()),
    }
}

/// Checks that `key_ops`, if present, allows the use of the key.
fn check_operations(member: &Json<'_>, is_private: bool) -> Result<(), String> {
    let wanted = if is_private { "sign" } else { "verify" };
    match member.member("key_ops") {
        None => Ok(()),
        Some(Json::Array(operations)) if operations.iter().any(|operation| operation.as_str() == Some(wanted)) => {
            Ok(())
        }
        Some(Json::Array(_)) => {
            Err(format!("expected `key_ops` to contain \"{wanted}\" or to be absent, found other operations"))
        }
        Some(other) => Err(format!("expected `key_ops` to be an array, found {}", other.kind())),
    }
}

/// Returns the algorithm of the key. If the member names none, infers it and adds a note.
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
        Some(name) => SignatureAlg::parse(name).ok_or_else(|| {
            format!("expected `alg` to be one of {}, found another algorithm", SignatureAlg::NAMES.join(", "))
        })?,
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
            notes.push(format!("key \"{kid}\" has no alg; assuming {alg}"));
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

/// Parses `nbf` and `exp`.
fn period(member: &Json<'_>) -> Result<Period, String> {
    let time = |name: &str| match member.member(name) {
        None => Ok(None),
        Some(Json::Number(number)) => Ok(Some(Timestamp::from_numeric_date(number.as_f64()))),
        Some(other) => Err(format!("expected `{name}` to be a NumericDate, found {}", other.kind())),
    };
    let period = Period { not_before: time("nbf")?, expires_at: time("exp")? };
    match (period.not_before, period.expires_at) {
        (Some(from), Some(until)) if from >= until => {
            Err("expected `nbf` to be before `exp`, found it at or after `exp`".to_owned())
        }
        _ => Ok(period),
    }
}

/// Builds a josekit key from the members `names` only, so that no other member can change josekit's behavior.
fn jwk(member: &Json<'_>, names: &[&str]) -> Result<Jwk, String> {
    let mut map = serde_json::Map::new();
    for name in names {
        if let Some(value) = text(member, name)? {
            map.insert((*name).to_owned(), serde_json::Value::String(value.to_owned()));
        }
    }
    Jwk::from_map(map).map_err(|_| "expected a JSON Web Key, found members that josekit does not accept".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::testing::kid;
    use super::super::{KeySet, KeySetError, generate};
    use super::*;

    type Members = serde_json::Map<String, serde_json::Value>;

    fn member(alg: SignatureAlg) -> Members {
        let generated = generate(alg, None, &kid("k")).unwrap();
        let mut set: serde_json::Value = serde_json::from_str(generated.to_set()).unwrap();
        serde_json::from_value(set["keys"][0].take()).unwrap()
    }

    /// Returns a new key for `alg` with `members` replaced, or removed if the value is null.
    fn altered(alg: SignatureAlg, members: &[(&str, serde_json::Value)]) -> Members {
        let mut member = member(alg);
        for (name, value) in members {
            match value {
                serde_json::Value::Null => member.remove(*name),
                value => member.insert((*name).to_owned(), value.clone()),
            };
        }
        member
    }

    fn read(member: &Members) -> Result<KeySet, KeySetError> {
        KeySet::parse(serde_json::json!({ "keys": [member] }).to_string().as_bytes())
    }

    #[track_caller]
    fn assert_skipped(member: &Members, part: &str) {
        let Err(KeySetError::NoSigningKey { skipped, .. }) = read(member) else { panic!("{part}: it signs") };
        let reason = &skipped.first().expect("the member is skipped").reason;
        assert!(reason.starts_with("expected ") && reason.contains(part), "{part}: {reason}");
        for name in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            let value = member.get(name).and_then(serde_json::Value::as_str).filter(|value| value.len() > 8);
            assert!(value.is_none_or(|value| !reason.contains(value)), "{reason} shows {name}");
        }
    }

    #[test]
    fn halves_that_do_not_belong_together_are_refused_for_every_type() {
        for alg in [SignatureAlg::EdDsa, SignatureAlg::Es256, SignatureAlg::Es256k, SignatureAlg::Es512] {
            assert_skipped(&altered(alg, &[("d", member(alg)["d"].clone())]), "belong together");
        }
        let (rsa, other) = (member(SignatureAlg::Rs256), member(SignatureAlg::Rs256));
        let with = |names: &[&str]| {
            let mut mixed = rsa.clone();
            mixed.extend(names.iter().map(|name| ((*name).to_owned(), other[*name].clone())));
            mixed
        };
        assert_skipped(&with(&["n"]), "factors of `n`");
        assert_skipped(&with(&["p", "q"]), "factors of `n`");
        assert_skipped(&with(&["d", "dp", "dq", "qi"]), "belong together");
    }

    #[test]
    fn types_and_curves_that_do_not_sign_are_refused() {
        let x: String = std::iter::repeat_n('A', 43).collect();
        for crv in ["Ed448", "X25519", "X448"] {
            let member = altered(SignatureAlg::EdDsa, &[("crv", crv.into()), ("x", x.clone().into())]);
            assert_skipped(&member, "`crv` to be Ed25519");
        }
        assert_skipped(&altered(SignatureAlg::Es256, &[("crv", "P-224".into())]), "`crv` to be P-256");
        assert_skipped(&altered(SignatureAlg::Es256, &[("kty", "AKP".into())]), "`kty` to be RSA");
        assert_skipped(&altered(SignatureAlg::Es256, &[("x", x.into())]), "a point on its curve");
    }

    #[test]
    fn an_alg_that_does_not_fit_the_key_is_refused() {
        for (alg, name, part) in [
            (SignatureAlg::EdDsa, "ES256", "type EC on P-256"),
            (SignatureAlg::Es256, "ES384", "type EC on P-384"),
            (SignatureAlg::Es256, "ES256K", "type EC on secp256k1"),
            (SignatureAlg::Es256, "HS256", "type oct"),
            (SignatureAlg::Hs256, "RS256", "type RSA"),
            (SignatureAlg::Hs256, "HS384", "at least 384 bits"),
            (SignatureAlg::Rs256, "RSA-OAEP", "`alg` to be one of"),
            (SignatureAlg::Rs256, "none", "`alg` to be one of"),
        ] {
            assert_skipped(&altered(alg, &[("alg", name.into())]), part);
        }
    }

    #[test]
    fn rsa_keys_are_of_2048_bits_and_of_two_primes_that_they_name() {
        let small = Jwk::generate_rsa_key(1024).unwrap();
        let mut members: Members = small.as_ref().clone();
        members.insert("kid".to_owned(), "k".into());
        assert_skipped(&members, "at least 2048 bits, found 1024");
        let oth = serde_json::json!([{ "r": "AQAB", "d": "AQAB", "t": "AQAB" }]);
        assert_skipped(&altered(SignatureAlg::Rs256, &[("oth", oth)]), "two primes");
        let null = serde_json::Value::Null;
        assert_skipped(&altered(SignatureAlg::Ps512, &[("dp", null.clone()), ("qi", null)]), "found no dp, qi");
        assert_skipped(&altered(SignatureAlg::Rs256, &[("e", "AQ".into())]), "`e` to be at least 3");
    }

    #[test]
    fn members_that_say_that_a_key_is_for_something_else_are_heeded() {
        assert_skipped(&altered(SignatureAlg::Es256, &[("use", "enc".into())]), "\"sig\"");
        assert_skipped(
            &altered(SignatureAlg::Es256, &[("key_ops", serde_json::json!(["verify"]))]),
            "contain \"sign\"",
        );
        assert_skipped(&altered(SignatureAlg::Es256, &[("key_ops", "sign".into())]), "an array, found a string");
        assert!(read(&altered(SignatureAlg::Es256, &[("key_ops", serde_json::json!(["sign", "verify"]))])).is_ok());
    }

    #[test]
    fn a_key_without_a_name_is_offered_one_where_that_is_public() {
        let null = serde_json::Value::Null;
        let nameless = altered(SignatureAlg::Es256, &[("kid", null.clone())]);
        assert_skipped(&nameless, "thumbprint can be its kid: \"");
        assert_skipped(&altered(SignatureAlg::Es256, &[("kid", "".into())]), "thumbprint can be its kid: \"");
        // The thumbprint of a symmetric key is a digest of the secret.
        assert_skipped(&altered(SignatureAlg::Hs256, &[("kid", null)]), "found none; give it one");
    }

    #[test]
    fn members_of_other_types_or_alphabets_are_refused() {
        for (alg, name, value, part) in [
            (SignatureAlg::EdDsa, "x", "AAAA", "`x` to be 32 bytes, found 3"),
            (SignatureAlg::Es256, "x", "a+b=", "base64url without padding"),
            (SignatureAlg::Es256, "d", "", "expected "),
            (SignatureAlg::Rs256, "p", "", "factors"),
            (SignatureAlg::Hs256, "k", "", "at least 256 bits for HS256, found 0"),
        ] {
            // Without `alg`, so that a bad value is also tried for inference.
            let members = [(name, value.into()), ("alg", serde_json::Value::Null)];
            assert_skipped(&altered(alg, &members), part);
        }
        assert_skipped(&altered(SignatureAlg::Es256, &[("d", 7.into())]), "`d` to be a string");
        assert_skipped(&altered(SignatureAlg::Es256, &[("kid", 7.into())]), "`kid` to be a string");
        assert_skipped(&altered(SignatureAlg::Es256, &[("nbf", "7".into())]), "`nbf` to be a NumericDate");
        assert_skipped(&altered(SignatureAlg::Es256, &[("nbf", 7.into()), ("exp", 7.into())]), "before `exp`");
    }

    #[test]
    fn what_is_inferred_for_a_missing_alg_is_what_the_key_can_do() {
        for (alg, inferred) in [
            (SignatureAlg::EdDsa, SignatureAlg::EdDsa),
            (SignatureAlg::Es256k, SignatureAlg::Es256k),
            (SignatureAlg::Es512, SignatureAlg::Es512),
            (SignatureAlg::Hs384, SignatureAlg::Hs384),
            (SignatureAlg::Ps512, SignatureAlg::Rs256),
        ] {
            let set = read(&altered(alg, &[("alg", serde_json::Value::Null)])).unwrap();
            assert_eq!(set.signing_keys().next().unwrap().alg(), inferred);
            assert!(set.notes()[0].contains(inferred.as_str()));
        }
    }
}
