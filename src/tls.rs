//! TLS of the api listener: a certificate with its key, and who vouches for the certificates of callers.
//!
//! [`Tls::parse`] takes bytes and proves them; [`LiveTls`] is what handshakes are made from, and is swapped as a whole, so
//! that a new certificate touches no open connection. Sessions are never resumed: a resumed one would carry a caller past
//! a client CA that has changed meanwhile.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, ServerConnection, SignatureScheme,
};
use sha2::{Digest as _, Sha256};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::RdnSequence;

use crate::time::{Clock, Timestamp};

/// What a caller's certificate must be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateName {
    /// Its whole subject, in the one form that [`CertificateName::subject`] makes of it.
    Subject(String),
    /// The only URI among its alternative names.
    Spiffe(String),
    /// A DNS name among its alternative names, in lower case.
    Dns(String),
}

impl CertificateName {
    /// A subject as RFC 4514 writes it: `CN=oathkeeper,O=Example`.
    pub fn subject(text: &str) -> Option<Self> {
        let parts: RdnSequence = text.parse().ok()?;
        (!parts.is_empty()).then(|| Self::Subject(parts.to_string()))
    }

    /// A SPIFFE ID with a path: `spiffe://example.org/ns/auth/sa/oathkeeper`.
    pub fn spiffe(text: &str) -> Option<Self> {
        let (domain, path) = text.strip_prefix("spiffe://")?.split_once('/')?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_domain = |byte: u8| is_plain(byte) && !byte.is_ascii_uppercase();
        let is_segment = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(is_plain);
        let is_id = !domain.is_empty() && domain.bytes().all(is_domain) && path.split('/').all(is_segment);
        is_id.then(|| Self::Spiffe(text.to_owned()))
    }

    /// A DNS name without wildcards.
    pub fn dns(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        let is_name = text.len() <= 253 && text.split('.').all(|part| !part.is_empty() && part.bytes().all(is_plain));
        is_name.then(|| Self::Dns(text.to_ascii_lowercase()))
    }
}

/// What a certificate that was vouched for calls its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolderNames {
    subject: String,
    uris: Vec<String>,
    dns: Vec<String>,
    /// The last second of the certificate.
    ends: Timestamp,
}

impl HolderNames {
    fn parse(certificate: &CertificateDer<'_>) -> Option<Self> {
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

    /// Whether the holder is called `name`. A certificate with several URIs is no SPIFFE identity.
    pub fn include(&self, name: &CertificateName) -> bool {
        match name {
            CertificateName::Subject(subject) => self.subject == *subject,
            CertificateName::Spiffe(id) => self.uris == [id.as_str()],
            CertificateName::Dns(name) => self.dns.contains(name),
        }
    }
}

/// Who vouches for the certificates of callers.
pub struct ClientAuthority {
    verifier: Arc<dyn ClientCertVerifier>,
    /// Of the roots' bytes, so that a reload of the same roots is no other authority.
    digest: [u8; 32],
    is_required: bool,
}

/// The certificates that a client showed in its handshake, its own first.
#[derive(Clone, Debug)]
pub struct ClientChain(Vec<CertificateDer<'static>>);

impl ClientChain {
    /// What the client of `connection` showed, if it did.
    pub fn of(connection: &ServerConnection) -> Option<Self> {
        connection.peer_certificates().map(|chain| Self(chain.to_vec()))
    }
}

impl ClientAuthority {
    /// Whether both have the same roots.
    pub fn is_same(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    /// Whether nobody connects without a certificate.
    pub fn is_required(&self) -> bool {
        self.is_required
    }

    /// The names in the first certificate of `chain`, where these roots vouch for it at `now`.
    pub fn names(&self, chain: &ClientChain, now: Timestamp) -> Option<HolderNames> {
        let (first, rest) = chain.0.split_first()?;
        self.verifier.verify_client_cert(first, rest, unix_time(now)?).ok()?;
        HolderNames::parse(first)
    }
}

impl HolderNames {
    /// Whether the certificate is still good for its time at `now`.
    pub fn last_until(&self, now: Timestamp) -> bool {
        now <= self.ends
    }
}

/// A certificate with its key, and who vouches for callers; both are proven.
pub struct Tls {
    certified: Arc<CertifiedKey>,
    authority: Option<Arc<ClientAuthority>>,
    ends: Timestamp,
}

/// The bytes of [`Tls`], in PEM.
#[derive(Clone, Copy)]
pub struct TlsText<'t> {
    /// The certificate, and those between it and its root.
    pub certificates: &'t [u8],
    /// Its private key.
    pub key: &'t [u8],
    /// The roots that vouch for callers, and whether nobody connects without their word.
    pub client_ca: Option<(&'t [u8], bool)>,
}

/// Which file is at fault, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFault {
    /// The file.
    pub part: TlsPart,
    /// What was expected and found; it quotes nothing of a key.
    pub message: String,
}

/// The files of [`TlsText`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are all there is to say")]
pub enum TlsPart {
    Certificates,
    Key,
    ClientCa,
}

impl Tls {
    /// Takes `text` where certificate and key belong together and the certificate has not ended at `now`; the second part
    /// is what the operator should know.
    ///
    /// # Errors
    /// [`TlsFault`] with the first thing that is wrong.
    pub fn parse(text: &TlsText<'_>, now: Timestamp) -> Result<(Self, Vec<String>), TlsFault> {
        let fault = |part, message: &str| TlsFault { part, message: message.to_owned() };
        let chain = certificates(text.certificates).map_err(|message| fault(TlsPart::Certificates, message))?;
        let (starts, ends) = chain
            .first()
            .and_then(validity)
            .ok_or_else(|| fault(TlsPart::Certificates, "expected an X.509 certificate first, found something else"))?;
        if ends < now {
            let message = format!("expected a certificate that is still valid, found one that ended at {ends}");
            return Err(TlsFault { part: TlsPart::Certificates, message });
        }
        let key = PrivateKeyDer::from_pem_slice(text.key)
            .map_err(|_| fault(TlsPart::Key, "expected a private key in PEM, found none"))?;
        let provider = provider();
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                fault(TlsPart::Key, "expected the private key of the certificate, found another one's")
            }
            _ => fault(TlsPart::Key, "expected an RSA, ECDSA or Ed25519 key that TLS can use, found another one"),
        })?;
        let authority = text.client_ca.map(|(pem, is_required)| authority(pem, is_required, &provider)).transpose();
        let authority = authority.map_err(|message| fault(TlsPart::ClientCa, message))?.map(Arc::new);
        let notes = (starts > now).then(|| format!("the certificate is not valid before {starts}"));
        Ok((Self { certified: Arc::new(certified), authority, ends }, notes.into_iter().collect()))
    }

    /// Who vouches for callers.
    pub fn authority(&self) -> Option<&Arc<ClientAuthority>> {
        self.authority.as_ref()
    }

    /// The last second of the certificate.
    pub fn ends(&self) -> Timestamp {
        self.ends
    }
}

fn authority(pem: &[u8], is_required: bool, provider: &Arc<CryptoProvider>) -> Result<ClientAuthority, &'static str> {
    let mut roots = RootCertStore::empty();
    for root in certificates(pem)? {
        roots.add(root).map_err(|_| "expected certificates of authorities, found one that cannot be a root")?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|_| "expected certificates of authorities, found ones that cannot vouch for others")?;
    Ok(ClientAuthority { verifier, digest: Sha256::digest(pem).into(), is_required })
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err("expected certificates in PEM, found none"),
        Err(_) => Err("expected certificates in PEM, found PEM that cannot be read"),
    }
}

/// The first and the last second of a certificate.
fn validity(certificate: &CertificateDer<'static>) -> Option<(Timestamp, Timestamp)> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let validity = certificate.tbs_certificate().validity();
    Some((seconds(validity.not_before.to_unix_duration()), seconds(validity.not_after.to_unix_duration())))
}

fn seconds(duration: Duration) -> Timestamp {
    Timestamp::from_seconds(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX))
}

fn unix_time(now: Timestamp) -> Option<UnixTime> {
    Some(UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.seconds()).ok()?)))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The [`Tls`] that handshakes are made from now.
pub struct LiveTls {
    current: ArcSwap<Tls>,
    provider: Arc<CryptoProvider>,
}

impl LiveTls {
    /// Begins with `tls`.
    pub fn new(tls: Arc<Tls>) -> Self {
        Self { current: ArcSwap::new(tls), provider: provider() }
    }

    /// Later handshakes are made from `tls`.
    pub fn replace(&self, tls: Arc<Tls>) {
        self.current.store(tls);
    }

    /// What a listener needs: TLS 1.2 and 1.3, certificates held against `clock`, no resumption.
    ///
    /// # Errors
    /// Where the cryptography does not have a protocol version.
    pub fn server_config(self: &Arc<Self>, clock: Arc<dyn Clock>) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_details(Arc::clone(&self.provider), Arc::new(HandshakeTime(clock)))
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::clone(self) as Arc<dyn ClientCertVerifier>)
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

impl ResolvesServerCert for LiveTls {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.load().certified))
    }
}

impl ClientCertVerifier for LiveTls {
    fn offer_client_auth(&self) -> bool {
        self.current.load().authority.is_some()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.current.load().authority.as_ref().is_some_and(|authority| authority.is_required())
    }

    /// None: the list could not be swapped under a handshake, and clients do without it.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match &self.current.load().authority {
            Some(authority) => authority.verifier.verify_client_cert(end_entity, intermediates, now),
            None => Err(rustls::Error::General("nobody vouches for client certificates".to_owned())),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The service's clock, as handshakes read it.
#[derive(Debug)]
struct HandshakeTime(Arc<dyn Clock>);

impl TimeProvider for HandshakeTime {
    fn current_time(&self) -> Option<UnixTime> {
        unix_time(self.0.now())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("ends", &self.ends).field("authority", &self.authority).finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuthority").field("is_required", &self.is_required).finish_non_exhaustive()
    }
}

impl fmt::Debug for LiveTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LiveTls").field(&self.current.load()).finish()
    }
}

impl fmt::Debug for TlsText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsText([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType, date_time_ymd};

    const NOW: Timestamp = Timestamp::from_seconds(1_795_435_200);

    fn params(names: &[&str], common_name: &str) -> CertificateParams {
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params
    }

    fn names_of(params: &CertificateParams) -> HolderNames {
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        HolderNames::parse(certificate.der()).unwrap()
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    #[test]
    fn a_holder_is_known_by_its_whole_name_alone() {
        let mut params = params(&["Oathkeeper.auth.svc"], "oathkeeper, O=Evil");
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.subject_alt_names.push(uri("spiffe://example.org/ns/auth/sa/oathkeeper"));
        let names = names_of(&params);
        let is = |name: Option<CertificateName>| names.include(&name.unwrap());
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
    fn two_uris_are_no_spiffe_identity() {
        let mut params = params(&[], "x");
        params.subject_alt_names = vec![uri("spiffe://example.org/a"), uri("spiffe://example.org/b")];
        let names = names_of(&params);
        assert!(!names.include(&CertificateName::spiffe("spiffe://example.org/a").unwrap()));
    }

    #[test]
    fn names_that_no_certificate_can_have_are_refused() {
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

    #[test]
    fn certificate_key_and_authority_have_to_fit() {
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let good = params(&["x.example"], "x").self_signed(&key).unwrap().pem();
        let mut ended = params(&["x.example"], "x");
        ended.not_after = date_time_ymd(2020, 1, 1);
        let ended = ended.self_signed(&key).unwrap().pem();
        let mut early = params(&["x.example"], "x");
        early.not_before = date_time_ymd(2040, 1, 1);
        let early = early.self_signed(&key).unwrap().pem();
        let (key, other) = (key.serialize_pem(), other.serialize_pem());
        let parse = |certificates: &str, key: &str, client_ca: Option<&str>| {
            let client_ca = client_ca.map(|pem| (pem.as_bytes(), true));
            Tls::parse(&TlsText { certificates: certificates.as_bytes(), key: key.as_bytes(), client_ca }, NOW)
        };
        assert!(parse(&good, &key, Some(&good)).unwrap().1.is_empty());
        assert!(parse(&early, &key, None).unwrap().1[0].contains("not valid before 2040-01-01"));
        for (certificates, key, client_ca, part, found) in [
            (ended.as_str(), key.as_str(), None, TlsPart::Certificates, "ended at 2020-01-01"),
            ("", &key, None, TlsPart::Certificates, "found none"),
            (&good.replace("M", "?"), &key, None, TlsPart::Certificates, "cannot be read"),
            (&key, &key, None, TlsPart::Certificates, "found none"),
            (&good, &good, None, TlsPart::Key, "found none"),
            (&good, &other, None, TlsPart::Key, "another one's"),
            (&good, &key, Some(key.as_str()), TlsPart::ClientCa, "found none"),
        ] {
            let fault = parse(certificates, key, client_ca).unwrap_err();
            assert_eq!(fault.part, part);
            assert!(fault.message.contains(found), "{}", fault.message);
        }
    }
}
