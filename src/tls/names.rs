//! The names in client certificates, and the names that callers are identified by.

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::RdnSequence;

use super::seconds;
use crate::time::Timestamp;

/// The name by which a client certificate identifies a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateName {
    /// The whole subject, in the normal form that [`CertificateName::subject`] returns.
    Subject(String),
    /// The only URI among the subject alternative names.
    Spiffe(String),
    /// A DNS name among the subject alternative names, in lower case.
    Dns(String),
}

impl CertificateName {
    /// Parses a subject in the form of RFC 4514: `CN=oathkeeper,O=Example`.
    pub fn subject(text: &str) -> Option<Self> {
        let parts: RdnSequence = text.parse().ok()?;
        (!parts.is_empty()).then(|| Self::Subject(parts.to_string()))
    }

    /// Parses a SPIFFE ID with a path: `spiffe://example.org/ns/auth/sa/oathkeeper`.
    pub fn spiffe(text: &str) -> Option<Self> {
        let (domain, path) = text.strip_prefix("spiffe://")?.split_once('/')?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_domain = |byte: u8| is_plain(byte) && !byte.is_ascii_uppercase();
        let is_segment = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(is_plain);
        let is_id = !domain.is_empty() && domain.bytes().all(is_domain) && path.split('/').all(is_segment);
        is_id.then(|| Self::Spiffe(text.to_owned()))
    }

    /// Parses a DNS name without wildcards.
    pub fn dns(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        let is_name = text.len() <= 253 && text.split('.').all(|part| !part.is_empty() && part.bytes().all(is_plain));
        is_name.then(|| Self::Dns(text.to_ascii_lowercase()))
    }
}

/// The names in a trusted client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateIdentity {
    subject: String,
    uris: Vec<String>,
    dns: Vec<String>,
    /// The last second in which the certificate is valid.
    ends: Timestamp,
}

impl CertificateIdentity {
    /// Parses `certificate`; `None` if it is not one.
    pub(super) fn parse(certificate: &CertificateDer<'_>) -> Option<Self> {
        let certificate = Certificate::from_der(certificate).ok()?;
        let certificate = certificate.tbs_certificate();
        let mut names = Self {
            subject: certificate.subject().to_string(),
            uris: Vec::new(),
            dns: Vec::new(),
            ends: seconds(certificate.validity().not_after.to_unix_duration()),
        };
        let alternatives = certificate.get_extension::<SubjectAltName>().ok()?;
        for name in alternatives.into_iter().flat_map(|(_, alternatives)| alternatives.0) {
            match name {
                GeneralName::UniformResourceIdentifier(uri) => names.uris.push(uri.as_str().to_owned()),
                GeneralName::DnsName(name) => names.dns.push(name.as_str().to_ascii_lowercase()),
                _ => {}
            }
        }
        Some(names)
    }

    /// Returns `true` if the certificate is no longer valid at `now`.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now > self.ends
    }

    /// Returns `true` if `name` is in the certificate. A certificate with several URIs is not a SPIFFE identity.
    pub fn has_name(&self, name: &CertificateName) -> bool {
        match name {
            CertificateName::Subject(subject) => self.subject == *subject,
            CertificateName::Spiffe(id) => self.uris == [id.as_str()],
            CertificateName::Dns(name) => self.dns.contains(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn params(names: &[&str], common_name: &str) -> CertificateParams {
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params
    }

    fn names_of(params: &CertificateParams) -> CertificateIdentity {
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        CertificateIdentity::parse(certificate.der()).unwrap()
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    #[test]
    fn identity_has_only_complete_names() {
        let mut params = params(&["Oathkeeper.auth.svc"], "oathkeeper, O=Evil");
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.subject_alt_names.push(uri("spiffe://example.org/ns/auth/sa/oathkeeper"));
        let names = names_of(&params);
        let is = |name: Option<CertificateName>| names.has_name(&name.unwrap());
        assert!(is(CertificateName::subject("O=Example,CN=oathkeeper\\, O=Evil")), "{names:?}");
        assert!(is(CertificateName::spiffe("spiffe://example.org/ns/auth/sa/oathkeeper")));
        assert!(is(CertificateName::dns("oathkeeper.AUTH.svc")));
        for subject in ["CN=oathkeeper", "O=Evil,CN=oathkeeper", "O=Example,CN=oathkeeper", "O=Example"] {
            assert!(!is(CertificateName::subject(subject)), "{subject}");
        }
        assert!(!is(CertificateName::dns("auth.svc")) && !is(CertificateName::dns("example.org")));
        assert!(!is(CertificateName::spiffe("spiffe://example.org/ns/auth/sa/oath")));
    }

    #[test]
    fn certificate_with_two_uris_has_no_spiffe_id() {
        let mut params = params(&[], "x");
        params.subject_alt_names = vec![uri("spiffe://example.org/a"), uri("spiffe://example.org/b")];
        let names = names_of(&params);
        assert!(!names.has_name(&CertificateName::spiffe("spiffe://example.org/a").unwrap()));
    }

    #[test]
    fn invalid_names_are_rejected() {
        for text in ["", "oathkeeper", "CN", "CN=a\\"] {
            let parsed = CertificateName::subject(text);
            assert!(parsed.is_none() || text == "CN=a\\", "{text}: {parsed:?}");
        }
        for text in [
            "spiffe://example.org",
            "spiffe://example.org/",
            "spiffe:///a",
            "spiffe://Example.org/a",
            "spiffe://example.org/a/../b",
            "spiffe://example.org/a?b",
            "https://example.org/a",
        ] {
            assert_eq!(CertificateName::spiffe(text), None, "{text}");
        }
        for text in ["", "*.example.org", "a..b", "a b"] {
            assert_eq!(CertificateName::dns(text), None, "{text}");
        }
    }
}
