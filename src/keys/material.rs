//! The public members of a key (RFC 7518 section 6, RFC 8037 section 2) in their canonical encoding.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::{BigNum, BigNumContext, BigNumRef};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::{HasPublic, Id, PKeyRef};
use sha2::{Digest as _, Sha256};

use super::kid::KeyId;

/// The public members of a key, in the base64url encoding of RFC 7518 and RFC 8037.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Material {
    Ec { crv: &'static str, x: String, y: String },
    Okp { crv: &'static str, x: String },
    Rsa { n: String, e: String },
}

impl Material {
    /// Returns the public members of an OpenSSL key. `None` if no supported algorithm has its type, curve and parameters.
    pub(super) fn of_key<T: HasPublic>(key: &PKeyRef<T>) -> Option<Self> {
        match key.id() {
            Id::EC => {
                let key = key.ec_key().ok()?;
                let (crv, size) = match key.group().curve_name()? {
                    Nid::X9_62_PRIME256V1 => ("P-256", 32),
                    Nid::SECP384R1 => ("P-384", 48),
                    Nid::SECP521R1 => ("P-521", 66),
                    Nid::SECP256K1 => ("secp256k1", 32),
                    _ => return None,
                };
                let (mut x, mut y, mut context) =
                    (BigNum::new().ok()?, BigNum::new().ok()?, BigNumContext::new().ok()?);
                key.public_key().affine_coordinates(key.group(), &mut x, &mut y, &mut context).ok()?;
                let coordinate = |number: BigNum| Some(URL_SAFE_NO_PAD.encode(number.to_vec_padded(size).ok()?));
                Some(Material::Ec { crv, x: coordinate(x)?, y: coordinate(y)? })
            }
            Id::ED25519 => {
                Some(Material::Okp { crv: "Ed25519", x: URL_SAFE_NO_PAD.encode(key.raw_public_key().ok()?) })
            }
            Id::RSA => {
                let key = key.rsa().ok()?;
                let number = |number: &BigNumRef| URL_SAFE_NO_PAD.encode(number.to_vec());
                Some(Material::Rsa { n: number(key.n()), e: number(key.e()) })
            }
            _ => None,
        }
    }

    /// Returns the members and their values, including `kty`.
    pub(super) fn members(&self) -> Vec<(&'static str, &str)> {
        match self {
            Material::Ec { crv, x, y } => vec![("kty", "EC"), ("crv", crv), ("x", x), ("y", y)],
            Material::Okp { crv, x } => vec![("kty", "OKP"), ("crv", crv), ("x", x)],
            Material::Rsa { n, e } => vec![("kty", "RSA"), ("n", n), ("e", e)],
        }
    }

    /// Returns `kty` and `crv`, in the form of [`super::SignatureAlg::key_type`].
    pub(super) fn key_type(&self) -> (&'static str, Option<&'static str>) {
        match self {
            Material::Ec { crv, .. } => ("EC", Some(crv)),
            Material::Okp { crv, .. } => ("OKP", Some(crv)),
            Material::Rsa { .. } => ("RSA", None),
        }
    }

    /// Returns the members that RFC 7638 section 3.2 hashes, in its order.
    pub(super) fn to_json(&self) -> String {
        match self {
            Material::Ec { crv, x, y } => format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#),
            Material::Okp { crv, x } => format!(r#"{{"crv":"{crv}","kty":"OKP","x":"{x}"}}"#),
            Material::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
        }
    }

    /// Returns the RFC 7638 thumbprint.
    pub(super) fn thumbprint(&self) -> KeyId {
        KeyId::from_thumbprint(&Sha256::digest(self.to_json().as_bytes()).into())
    }
}

/// Returns `true` if the RSA modulus `n` is the product of `p` and `q`.
pub(super) fn is_product(n: &BigNumRef, p: &BigNumRef, q: &BigNumRef) -> Result<bool, ErrorStack> {
    let (mut product, mut context) = (BigNum::new_secure()?, BigNumContext::new_secure()?);
    product.checked_mul(p, q, &mut context)?;
    Ok(*product == *n)
}
