//! Data for verifiers: the public keys of profiles, and the issuer of their tokens.

use std::collections::BTreeSet;

use super::generation::ServedGeneration;
use super::issuer::Issuer;
use super::outcome::Refusal;
use crate::code::ErrorCode;
use crate::keys::PublicJwk;
use crate::mint::Profile;

/// The profiles whose tokens a verifier accepts.
#[derive(Clone, Copy, Debug)]
pub enum PublishedProfiles<'n> {
    /// All profiles.
    All,
    /// The profile of this name.
    One(&'n str),
}

/// The metadata of an issuer for verifiers (OpenID Connect Discovery 1.0, section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery<'g> {
    /// `iss` of the tokens.
    pub issuer: &'g str,
    /// The URL of the API listener, without a trailing slash.
    pub public_url: &'g str,
    /// The algorithms of the published keys.
    pub algorithms: BTreeSet<&'static str>,
}

impl Issuer {
    /// Returns the public keys that `generation` publishes now, as JWKs (RFC 7517 section 4). Each key occurs once, and
    /// the order depends only on the keys.
    ///
    /// # Errors
    /// `profile.unknown`.
    pub fn published_keys(
        &self,
        generation: &ServedGeneration,
        profiles: PublishedProfiles<'_>,
    ) -> Result<BTreeSet<String>, Refusal> {
        let profiles = select(generation, profiles)?;
        Ok(self.keys_of(generation, &profiles).map(PublicJwk::to_json).collect())
    }

    /// Returns the discovery data of the issuer that `profiles` have in common.
    ///
    /// # Errors
    /// `profile.unknown`; `request.path` if the profiles have several issuers, or if the URL of the API listener is not
    /// known.
    pub fn discovery<'g>(
        &self,
        generation: &'g ServedGeneration,
        profiles: PublishedProfiles<'_>,
    ) -> Result<Discovery<'g>, Refusal> {
        let profiles = select(generation, profiles)?;
        let issuers: BTreeSet<&str> = profiles.iter().map(|profile| profile.spec().issuer.as_str()).collect();
        let mut issuers = issuers.into_iter();
        let (Some(issuer), None) = (issuers.next(), issuers.next()) else {
            let detail = "the profiles have several issuers, and each has its document at \
                          /{profile}/.well-known/openid-configuration";
            return Err(Refusal::new(ErrorCode::RequestPath, detail));
        };
        let Some(public_url) = &generation.public_url else {
            let detail = "the jwks_uri is unknown, because the api listener has no address of its own; set `public_url` \
                          in the configuration";
            return Err(Refusal::new(ErrorCode::RequestPath, detail));
        };
        let algorithms = self.keys_of(generation, &profiles).map(|key| key.alg().as_str()).collect();
        Ok(Discovery { issuer, public_url, algorithms })
    }

    /// Returns the published keys of `profiles`. A key of several profiles occurs several times.
    fn keys_of<'g>(
        &self,
        generation: &'g ServedGeneration,
        profiles: &[&'g Profile],
    ) -> impl Iterator<Item = &'g PublicJwk> {
        let now = self.now();
        profiles.iter().flat_map(move |profile| generation.mint.published(profile, now))
    }
}

fn select<'g>(generation: &'g ServedGeneration, profiles: PublishedProfiles<'_>) -> Result<Vec<&'g Profile>, Refusal> {
    match profiles {
        PublishedProfiles::All => Ok(generation.mint.profiles().collect()),
        PublishedProfiles::One(name) => {
            let profile = generation.mint.profile(name).ok_or_else(Refusal::unknown_profile)?;
            Ok(vec![profile])
        }
    }
}
