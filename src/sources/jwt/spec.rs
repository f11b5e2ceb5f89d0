//! The settings of a `jwt` source.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::json::MemberPath;
use crate::keys::SignatureAlg;
use crate::remote::RemoteSource;
use crate::sources::AssuranceSpec;

/// The settings of a `jwt` source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtSpec {
    /// The exact `iss`.
    pub issuer: String,
    /// Audiences of which a token needs one; not empty.
    pub audience: Vec<String>,
    /// The algorithms that are accepted, all of them asymmetric; not empty.
    pub algorithms: Vec<SignatureAlg>,
    /// The required `typ`; `None` for the types of plain JWTs and access tokens.
    pub typ: Option<String>,
    /// Where the public keys are.
    pub keys: KeyOrigin,
    /// The path of the subject in the claims.
    pub subject: MemberPath,
    /// The difference between clocks that is tolerated at the beginning of a token.
    pub leeway: Duration,
    /// The time for one fetch of keys.
    pub timeout: Duration,
    /// How a token says how its person was authenticated.
    pub assurance: AssuranceSpec,
}

/// Where the public keys of an issuer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOrigin {
    /// At the `jwks_uri` of this discovery document.
    Discovery(RemoteSource),
    /// In this file.
    File(KeyFile),
    /// At this URL.
    Url(RemoteSource),
}

/// A file with a JWK Set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// The path.
    pub path: PathBuf,
    /// The content, once the file was read.
    pub bytes: Option<Arc<[u8]>>,
}
