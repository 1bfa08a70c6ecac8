//! TLS towards the nodes: whom to trust, who to be and which ciphers to offer, in redis-cli's options.
//!
//! Certificates of cluster nodes rarely name the addresses the nodes are reached at. So, like redis-cli, a
//! node is trusted when its chain ends at the operator's own authority (`--cacert`); its name is looked at
//! as well when the trust comes from the system's public authorities, or on demand.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    self, CipherSuite, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedCipherSuite,
};

use super::error::Error;

/// What the command line says about TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// The name to ask for, and to find in the certificate where names are looked at.
    pub sni: Option<String>,
    /// Authorities to trust instead of the system's.
    pub cacert: Option<PathBuf>,
    pub cacertdir: Option<PathBuf>,
    /// The certificate to show, and its key.
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// Trust anybody.
    pub insecure: bool,
    /// Look at the name also where the authority is the operator's own.
    pub verify_name: bool,
    /// OpenSSL's names of ciphers for TLS 1.2, and of cipher suites for TLS 1.3.
    pub ciphers: Option<String>,
    pub ciphersuites: Option<String>,
}

/// Ready to speak TLS with any node.
#[derive(Clone)]
pub struct Tls {
    connector: TlsConnector,
    sni: Option<ServerName<'static>>,
}

impl Tls {
    /// Reads the files that the options name.
    pub fn new(options: &TlsOptions) -> Result<Tls, Error> {
        let mut provider = ring::default_provider();
        provider.cipher_suites = choose_suites(&provider.cipher_suites, options)?;
        let provider = Arc::new(provider);
        let own_authority = options.cacert.is_some() || options.cacertdir.is_some();
        let check = match (options.insecure, own_authority && !options.verify_name) {
            (true, _) => Check::Nothing,
            (false, true) => Check::Chain,
            (false, false) => Check::ChainAndName,
        };
        let roots = if options.insecure { RootCertStore::empty() } else { roots(options)? };
        let verifier = Arc::new(Verifier { roots, provider: provider.clone(), check });
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::usage(format!("[ERR] The ciphers given leave no version of TLS: {e}")))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match (&options.cert, &options.key) {
            (Some(cert), Some(key)) => {
                let key = PrivateKeyDer::from_pem_file(key).map_err(|e| unreadable("private key", key, &e))?;
                builder
                    .with_client_auth_cert(certificates(cert)?, key)
                    .map_err(|e| Error::failed(format!("[ERR] The certificate and its key do not fit: {e}")))?
            }
            (None, None) => builder.with_no_client_auth(),
            _ => return Err(Error::usage("[ERR] --cert and --key belong together: give both or neither.")),
        };
        let sni = options.sni.as_ref().map(|name| {
            ServerName::try_from(name.clone()).map_err(|_| Error::usage(format!("[ERR] Invalid --sni name: {name}")))
        });
        Ok(Tls { connector: TlsConnector::from(Arc::new(config)), sni: sni.transpose()? })
    }

    /// Speaks TLS on a connection to `host`.
    pub async fn wrap(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = match &self.sni {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(io::Error::other)?,
        };
        self.connector.connect(name, stream).await
    }
}

fn unreadable(what: &str, path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::failed(format!("[ERR] The {what} in {} cannot be read: {error}", path.display()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let unreadable = |e: &dyn std::fmt::Display| unreadable("certificate", path, e);
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(|e| unreadable(&e))?.collect();
    let found = found.map_err(|e| unreadable(&e))?;
    if found.is_empty() { Err(unreadable(&"there is none in the file")) } else { Ok(found) }
}

/// Whom to trust: the authorities named, else the system's.
fn roots(options: &TlsOptions) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &options.cacert {
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(|e| unreadable("certificate", path, &e))?;
        }
    }
    if let Some(dir) = &options.cacertdir {
        let entries = std::fs::read_dir(dir).map_err(|e| unreadable("certificates", dir, &e))?;
        for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()) {
            // The directory may hold other files, as OpenSSL's do.
            roots.add_parsable_certificates(certificates(&path).unwrap_or_default());
        }
    }
    if options.cacert.is_none() && options.cacertdir.is_none() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if roots.is_empty() {
        return Err(Error::failed("[ERR] There is no certificate authority to trust.")
            .hint("name one with --cacert or --cacertdir, or trust anybody with --insecure"));
    }
    Ok(roots)
}

/// The suites of rustls by OpenSSL's names.
const NAMES: &[(&str, CipherSuite)] = &[
    ("TLS_AES_256_GCM_SHA384", CipherSuite::TLS13_AES_256_GCM_SHA384),
    ("TLS_AES_128_GCM_SHA256", CipherSuite::TLS13_AES_128_GCM_SHA256),
    ("TLS_CHACHA20_POLY1305_SHA256", CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// Names that stand for all there is: every suite here is strong.
const ALL: &[&str] = &["DEFAULT", "ALL", "HIGH", "SECURE", "ECDHE", "EECDH", "AESGCM", "CHACHA20"];

/// The suites that both lists leave, each for its version of TLS, in the order of the lists.
fn choose_suites(all: &[SupportedCipherSuite], options: &TlsOptions) -> Result<Vec<SupportedCipherSuite>, Error> {
    let is_newer = |suite: &SupportedCipherSuite| suite.tls13().is_some();
    let mut chosen = choose(all, "--tls-ciphersuites", options.ciphersuites.as_deref(), is_newer)?;
    chosen.extend(choose(all, "--tls-ciphers", options.ciphers.as_deref(), |suite| !is_newer(suite))?);
    Ok(chosen)
}

fn choose(
    all: &[SupportedCipherSuite],
    option: &str,
    list: Option<&str>,
    of_version: impl Fn(&SupportedCipherSuite) -> bool,
) -> Result<Vec<SupportedCipherSuite>, Error> {
    let available: Vec<SupportedCipherSuite> = all.iter().copied().filter(of_version).collect();
    let Some(list) = list else { return Ok(available) };
    let mut chosen: Vec<SupportedCipherSuite> = Vec::new();
    for name in list.split([':', ',', ' ']).filter(|name| !name.is_empty()) {
        let named = |suite: &&SupportedCipherSuite| {
            ALL.contains(&name) || NAMES.iter().any(|(known, id)| *known == name && *id == suite.suite())
        };
        for suite in available.iter().filter(named) {
            if !chosen.contains(suite) {
                chosen.push(*suite);
            }
        }
    }
    if chosen.is_empty() {
        let known: Vec<&str> = NAMES
            .iter()
            .filter(|(_, id)| available.iter().any(|suite| suite.suite() == *id))
            .map(|(name, _)| *name)
            .collect();
        return Err(Error::usage(format!("[ERR] None of the ciphers in {option} '{list}' is known."))
            .hint(format!("known are {}", known.join(", "))));
    }
    Ok(chosen)
}

/// How closely to look at a node's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    Nothing,
    Chain,
    ChainAndName,
}

#[derive(Debug)]
struct Verifier {
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
    check: Check,
}

impl Verifier {
    /// A certificate that is not looked at may be of any form, so its signatures are not looked at either.
    fn signature(
        &self,
        verify: impl FnOnce(&WebPkiSupportedAlgorithms) -> Result<HandshakeSignatureValid, rustls::Error>,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match self.check {
            Check::Nothing => Ok(HandshakeSignatureValid::assertion()),
            Check::Chain | Check::ChainAndName => verify(&self.provider.signature_verification_algorithms),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.check != Check::Nothing {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
            if self.check == Check::ChainAndName {
                verify_server_name(&certificate, server_name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signature(|algorithms| verify_tls12_signature(message, certificate, signature, algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signature(|algorithms| verify_tls13_signature(message, certificate, signature, algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suites(ciphers: Option<&str>, ciphersuites: Option<&str>) -> Result<Vec<CipherSuite>, Error> {
        let options = TlsOptions {
            ciphers: ciphers.map(str::to_owned),
            ciphersuites: ciphersuites.map(str::to_owned),
            ..TlsOptions::default()
        };
        let all = ring::default_provider().cipher_suites;
        choose_suites(&all, &options).map(|suites| suites.iter().map(SupportedCipherSuite::suite).collect())
    }

    #[test]
    fn every_suite_has_its_openssl_name() {
        for suite in ring::default_provider().cipher_suites {
            assert!(NAMES.iter().any(|(_, id)| *id == suite.suite()), "{suite:?}");
        }
    }

    #[test]
    fn ciphers_are_chosen_by_openssls_names() {
        let all = suites(None, None).unwrap();
        assert_eq!(suites(Some("HIGH:!aNULL"), Some("DEFAULT")).unwrap(), all);
        let one = suites(Some("ECDHE-RSA-AES128-GCM-SHA256:unknown"), Some("TLS_AES_128_GCM_SHA256")).unwrap();
        assert_eq!(one, [CipherSuite::TLS13_AES_128_GCM_SHA256, CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]);
        let error = suites(Some("RC4-MD5"), None).unwrap_err();
        assert!(error.hint.unwrap().starts_with("known are ECDHE-ECDSA-AES256-GCM-SHA384"));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let text = |options: TlsOptions| match Tls::new(&options).map(drop).unwrap_err().what {
            super::super::error::What::Message(text) => text,
            other => panic!("{other:?}"),
        };
        let missing = Some(PathBuf::from("/nonexistent/file.crt"));
        assert!(
            text(TlsOptions { cacert: missing.clone(), ..TlsOptions::default() }).contains("/nonexistent/file.crt")
        );
        let lonely = TlsOptions { cert: missing, insecure: true, ..TlsOptions::default() };
        assert!(text(lonely).contains("belong together"));
        assert!(Tls::new(&TlsOptions { insecure: true, ..TlsOptions::default() }).is_ok());
    }
}
