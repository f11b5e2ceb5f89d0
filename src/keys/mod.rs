//! Keys: JWK Sets (RFC 7517) in; signatures (RFC 7515), public keys and verified tokens out.
//!
//! [`KeySet`] has the private keys of an operator. When a key set is loaded, each private key signs a text, and its
//! public key verifies the signature. The choice of the signing key depends only on the set and the time.
//! [`SigningKey::sign`] signs only a [`ClaimsSet`](crate::claims::ClaimsSet), and puts its own `kid` into the header.
//! [`VerifyingSet`] has public keys of any issuer. No type shows private members in `Debug`. Only [`GeneratedKey`] and
//! [`KeySetText`] return them, as the text of a key file. josekit, openssl and aws-lc-rs are not used outside this
//! module.
//!
//! ```
//! use std::time::Duration;
//!
//! use claimsmith::claims::{ClaimsSet, JwtId, PrivateClaims, Registered};
//! use claimsmith::keys::{self, KeyId, KeySet, SignatureAlg, TokenType, VerifyingSet};
//! use claimsmith::time::{Timestamp, Ttl};
//!
//! let key = keys::generate(SignatureAlg::Es256, None, &KeyId::parse("2026-11")?)?;
//! let set = KeySet::parse(key.to_set().as_bytes())?;
//! let now = Timestamp::from_seconds(1_800_000_000);
//! let registered = Registered {
//!     issuer: "https://id.example.org/",
//!     subject: "zoe",
//!     audience: None,
//!     issued_at: now,
//!     expires_at: now.after(Duration::from_secs(900)),
//!     jwt_id: JwtId::new(uuid::Uuid::nil()),
//!     scope: None,
//!     actor: None,
//! };
//! let claims = ClaimsSet::new(&PrivateClaims::parse("{}", None)?, &registered);
//! let token = set.signer(now, None)?.sign(&claims, &TokenType::JWT)?;
//!
//! let public = VerifyingSet::parse(set.public_set().as_bytes(), &[SignatureAlg::Es256])?;
//! assert_eq!(public.verify(token.as_str())?.claims(), claims.as_str());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Files
//! Each file imports only from files in the lines above its own:
//!
//! 1. `alg`, `kid`, `period`, `typ`: algorithms, key IDs, key times and token types
//! 2. `material`, `primitive`: public members in their canonical encoding; signatures by aws-lc-rs
//! 3. `public_jwk`, `x5c`: published keys and their certificates
//! 4. `signing`: signing keys and tokens
//! 5. `jwk`: one member of a key set
//! 6. `ring`, `verify`: signing key sets and verifying key sets
//! 7. `generate`: new keys
//! 8. `edit`, `pem`: changes to key files, and imported keys

mod alg;
mod edit;
mod generate;
mod jwk;
mod kid;
mod material;
mod pem;
mod period;
mod primitive;
mod public_jwk;
mod ring;
mod signing;
#[cfg(test)]
mod testing;
mod typ;
#[cfg(test)]
mod vectors;
mod verify;
mod x5c;

pub use alg::SignatureAlg;
pub use edit::{AddedKey, EditError, KeySetText, PolicyError, Rotation, RotationPolicy, rotate};
pub(crate) use edit::{add_key, replace_keys};
pub use generate::{GenerateError, GeneratedKey, generate};
pub use jwk::NotAKeySet;
pub use kid::{KeyId, KeyIdError};
pub use pem::{NoPem, PemError, import_pem};
pub use period::KeyState;
pub use public_jwk::PublicJwk;
pub use ring::{KeySet, KeySetError, NoSigner, SkippedKey};
pub use signing::{CompactJws, SignError, SigningKey};
pub use typ::TokenType;
pub use verify::{TimeError, VerifiedToken, VerifyError, VerifyingSet, check_times, verify};

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    #[test]
    fn files_import_only_from_files_above_them() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/keys");
        let text = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
        let list = text("mod.rs");
        let lines = list.lines().filter(|line| line.starts_with("//! ") && line.as_bytes()[4].is_ascii_digit());
        let (mut above, mut checked) = (Vec::new(), 0);
        for line in lines {
            let names: Vec<_> = line.split(':').next().unwrap().split('`').skip(1).step_by(2).collect();
            for name in &names {
                let file = if *name == "edit" { "edit/mod.rs".to_owned() } else { format!("{name}.rs") };
                let text = text(&file);
                let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
                let code = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<String>();
                for path in code.split("super::").skip(1) {
                    let other: String = path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    assert!(above.contains(&other), "{name} imports `super::{other}`");
                }
                checked += 1;
            }
            above.extend(names.into_iter().map(str::to_owned));
        }
        let modules = list.lines().filter(|line| line.starts_with("mod ") && line.ends_with(';')).count();
        assert_eq!(checked + ["testing", "vectors"].len(), modules, "each file has a place in the list");
    }
}
