//! TLS of the API listener: its certificate and key, and the CAs of client certificates.
//!
//! [`Tls::parse`] validates files. [`LiveTls`] has the current [`Tls`] for handshakes. A reload swaps it as a whole and
//! does not affect open connections. TLS sessions are never resumed, because a resumed session would skip the check
//! against a client CA that has changed meanwhile.

mod names;

pub(crate) use names::{CertificateIdentity, CertificateName};

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

use crate::time::{Clock, Timestamp};

/// The CAs that are trusted for client certificates.
pub struct ClientAuthority {
    verifier: Arc<dyn ClientCertVerifier>,
    /// The digest of the roots' bytes. A reload of unchanged roots keeps the authority.
    digest: [u8; 32],
    is_required: bool,
}

/// The certificates that a client presented in its handshake, its own first.
#[derive(Clone, Debug)]
pub struct ClientChain(Vec<CertificateDer<'static>>);

impl ClientChain {
    /// Returns the certificates that the client of `connection` presented.
    pub fn of(connection: &ServerConnection) -> Option<Self> {
        connection.peer_certificates().map(|chain| Self(chain.to_vec()))
    }
}

impl ClientAuthority {
    /// Returns `true` if both have the same roots.
    pub fn is_same(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    /// Returns `true` if clients must present a certificate.
    pub fn is_required(&self) -> bool {
        self.is_required
    }

    /// Returns the identity in the first certificate of `chain`, if these roots trust it at `now`.
    pub fn identity(&self, chain: &ClientChain, now: Timestamp) -> Option<CertificateIdentity> {
        let (first, rest) = chain.0.split_first()?;
        self.verifier.verify_client_cert(first, rest, unix_time(now)?).ok()?;
        CertificateIdentity::parse(first)
    }
}

/// A validated certificate with its key, and the CAs of client certificates.
pub struct Tls {
    certified: Arc<CertifiedKey>,
    authority: Option<Arc<ClientAuthority>>,
    ends: Timestamp,
}

/// The bytes of [`Tls`], in PEM.
#[derive(Clone, Copy)]
pub struct TlsText<'t> {
    /// The certificate and its intermediate certificates.
    pub certificates: &'t [u8],
    /// Its private key.
    pub key: &'t [u8],
    /// The roots for client certificates, and `true` if a client certificate is required.
    pub client_ca: Option<(&'t [u8], bool)>,
}

/// The reason why a file is rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFault {
    /// The file.
    pub part: TlsPart,
    /// The expected and the found content, without any part of a key.
    pub message: String,
}

/// The files of [`TlsText`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsPart {
    Certificates,
    Key,
    ClientCa,
}

impl Tls {
    /// Parses `text` and checks that the key matches the certificate, which must not have expired at `now`. The second
    /// part is notes for the operator.
    ///
    /// # Errors
    /// Returns the first [`TlsFault`].
    pub fn parse(text: &TlsText<'_>, now: Timestamp) -> Result<(Self, Vec<String>), TlsFault> {
        let fault = |part, message: &str| TlsFault { part, message: message.to_owned() };
        let chain = certificates(text.certificates).map_err(|message| fault(TlsPart::Certificates, message))?;
        let (starts, ends) = chain.first().and_then(validity).ok_or_else(|| {
            fault(TlsPart::Certificates, "expected an X.509 certificate first, found data that cannot be parsed")
        })?;
        if ends < now {
            let message = format!("expected a valid certificate, found one that expired at {ends}");
            return Err(TlsFault { part: TlsPart::Certificates, message });
        }
        let key = PrivateKeyDer::from_pem_slice(text.key)
            .map_err(|_| fault(TlsPart::Key, "expected a private key in PEM, found none"))?;
        let provider = provider();
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                fault(TlsPart::Key, "expected the private key of the certificate, found the key of another certificate")
            }
            _ => fault(TlsPart::Key, "expected an RSA, ECDSA or Ed25519 key, found a key that TLS does not support"),
        })?;
        let authority = text.client_ca.map(|(pem, is_required)| authority(pem, is_required, &provider)).transpose();
        let authority = authority.map_err(|message| fault(TlsPart::ClientCa, message))?.map(Arc::new);
        let notes = (starts > now).then(|| format!("the certificate is not valid before {starts}"));
        Ok((Self { certified: Arc::new(certified), authority, ends }, notes.into_iter().collect()))
    }

    /// Returns the CAs of client certificates, if any are configured.
    pub fn authority(&self) -> Option<&Arc<ClientAuthority>> {
        self.authority.as_ref()
    }

    /// Returns the last second in which the certificate is valid.
    pub fn ends(&self) -> Timestamp {
        self.ends
    }
}

fn authority(pem: &[u8], is_required: bool, provider: &Arc<CryptoProvider>) -> Result<ClientAuthority, &'static str> {
    let mut roots = RootCertStore::empty();
    for root in certificates(pem)? {
        roots.add(root).map_err(|_| "expected CA certificates, found a certificate that cannot be a root")?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|_| "expected CA certificates, found certificates that cannot sign others")?;
    Ok(ClientAuthority { verifier, digest: Sha256::digest(pem).into(), is_required })
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err("expected certificates in PEM, found none"),
        Err(_) => Err("expected certificates in PEM, found PEM that cannot be parsed"),
    }
}

/// Returns the first and the last second in which a certificate is valid.
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

/// The current [`Tls`] for handshakes.
pub(crate) struct LiveTls {
    current: ArcSwap<Tls>,
    provider: Arc<CryptoProvider>,
}

impl LiveTls {
    /// Returns a `LiveTls` with `tls`.
    pub(crate) fn new(tls: Arc<Tls>) -> Self {
        Self { current: ArcSwap::new(tls), provider: provider() }
    }

    /// Uses `tls` for later handshakes.
    pub(crate) fn replace(&self, tls: Arc<Tls>) {
        self.current.store(tls);
    }

    /// Returns the configuration of a listener: TLS 1.2 and 1.3, no resumption. Client certificates are validated at
    /// the time of `clock`.
    ///
    /// # Errors
    /// Fails if the cryptography provider does not support a protocol version.
    pub(crate) fn server_config(self: &Arc<Self>, clock: Arc<dyn Clock>) -> Result<ServerConfig, rustls::Error> {
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

    /// Returns no hints, because the list cannot be replaced during a handshake. Clients do not need it.
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
            None => Err(rustls::Error::General("no CA for client certificates is configured".to_owned())),
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

/// The clock of the service, for handshakes.
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
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    const NOW: Timestamp = Timestamp::from_seconds(1_795_435_200);

    fn params(names: &[&str], common_name: &str) -> CertificateParams {
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params
    }

    #[test]
    fn certificate_key_and_client_ca_are_validated() {
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let good = params(&["x.example"], "x").self_signed(&key).unwrap().pem();
        let mut expired = params(&["x.example"], "x");
        expired.not_after = date_time_ymd(2020, 1, 1);
        let expired = expired.self_signed(&key).unwrap().pem();
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
            (expired.as_str(), key.as_str(), None, TlsPart::Certificates, "expired at 2020-01-01"),
            ("", &key, None, TlsPart::Certificates, "found none"),
            (&good.replace("M", "?"), &key, None, TlsPart::Certificates, "cannot be parsed"),
            (&key, &key, None, TlsPart::Certificates, "found none"),
            (&good, &good, None, TlsPart::Key, "found none"),
            (&good, &other, None, TlsPart::Key, "the key of another certificate"),
            (&good, &key, Some(key.as_str()), TlsPart::ClientCa, "found none"),
        ] {
            let fault = parse(certificates, key, client_ca).unwrap_err();
            assert_eq!(fault.part, part);
            assert!(fault.message.contains(found), "{}", fault.message);
        }
    }
}
