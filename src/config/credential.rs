//! The credential of a caller: what it sends, and where its secrets come from.

use std::path::{Path, PathBuf};

use super::fault::{Faults, Place};
use super::field::{Kind, NOT_EMPTY, Presence, Section, Words, field};
use super::read::{Mapping, Misfit, has_control_characters, hidden_texts, path, text_as, words};
use super::values::Network;
use super::yaml::Node;
use crate::secret::Secret;
use crate::tls::CertificateName;

/// The credential of a caller, and the sources of its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    /// HTTP Basic (RFC 7617).
    Basic {
        /// The user name.
        username: String,
        /// The accepted passwords; never empty.
        passwords: Vec<SecretSource>,
    },
    /// A bearer token (RFC 6750).
    Bearer {
        /// The accepted tokens; never empty.
        tokens: Vec<SecretSource>,
    },
    /// A client certificate with this name, from the client CA.
    Certificate(CertificateName),
    /// A secret in a header of its own.
    Header {
        /// The accepted secrets; never empty.
        secrets: Vec<SecretSource>,
    },
    /// An address in one of these networks; never empty.
    Networks(Vec<Network>),
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SecretSource {
    /// A file that contains it.
    File(PathBuf),
    /// The value of an environment variable.
    Inline(Secret),
}

const SUBJECT_NAME: Words = Words {
    expected: "the whole subject of a certificate as RFC 4514 writes it, such as CN=oathkeeper,O=Example",
    pattern: "^[A-Za-z0-9.]+=.+$",
};

const SPIFFE_ID: Words = Words {
    expected: "a SPIFFE ID, such as spiffe://example.org/ns/auth/sa/oathkeeper",
    pattern: "^spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)+$",
};

const DNS_NAME: Words = Words {
    expected: "a DNS name without wildcards, such as oathkeeper.auth.svc",
    pattern: "^[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*$",
};

const USERNAME: Words = Words { expected: "a user name without a colon", pattern: "^[^:\\u0000-\\u001f\\u007f]+$" };

pub(super) static CERTIFICATE: Section = Section {
    fields: &[
        field(
            "subject",
            "Subject",
            "The full subject of the certificate in RFC 4514 form, the last part first.",
            Kind::Text(SUBJECT_NAME),
            Presence::Optional,
            &["\"CN=oathkeeper,O=Example\""],
        ),
        field(
            "spiffe",
            "SPIFFE ID",
            "The SPIFFE ID, which must be the only URI among the subject alternative names. Exactly one of the \
         three keys is required.",
            Kind::Text(SPIFFE_ID),
            Presence::Optional,
            &["\"spiffe://example.org/ns/auth/sa/oathkeeper\""],
        ),
        field(
            "dns",
            "DNS name",
            "A DNS name among the subject alternative names.",
            Kind::Text(DNS_NAME),
            Presence::Optional,
            &["oathkeeper.auth.svc"],
        ),
    ],
    one_of: &["subject", "spiffe", "dns"],
    is_secret: false,
};

pub(super) static BASIC: Section = Section {
    fields: &[
        field("username", "User name", "The user name.", Kind::Text(USERNAME), Presence::Required, &["oathkeeper"]),
        field(
            "password_file",
            "Password file",
            "The file that contains the password. A trailing newline is ignored.",
            Kind::Path,
            Presence::Optional,
            &["/run/secrets/oathkeeper"],
        ),
        field(
            "password_files",
            "Password files",
            "Several files like `password_file`. Each password is accepted, so that the old and the new one work \
         during a change.",
            Kind::Texts,
            Presence::Optional,
            &["[/run/secrets/oathkeeper-next, /run/secrets/oathkeeper]"],
        ),
        field(
            "password",
            "Password",
            "The password itself, only as an environment variable. Exactly one of the four keys is required.",
            Kind::Text(NOT_EMPTY),
            Presence::EnvironmentOnly,
            &[],
        ),
        field(
            "passwords",
            "Passwords",
            "Several accepted passwords, only as an environment variable.",
            Kind::Texts,
            Presence::EnvironmentOnly,
            &[],
        ),
    ],
    one_of: &["password_file", "password_files", "password", "passwords"],
    is_secret: true,
};

pub(super) static BEARER: Section = Section {
    fields: &[
        field(
            "token_file",
            "Token file",
            "The file that contains the token. A trailing newline is ignored.",
            Kind::Path,
            Presence::Optional,
            &["/run/secrets/caller-token"],
        ),
        field(
            "token_files",
            "Token files",
            "Several files like `token_file`. Each token is accepted, so that the old and the new one work during \
         a change.",
            Kind::Texts,
            Presence::Optional,
            &["[/run/secrets/caller-token-next, /run/secrets/caller-token]"],
        ),
        field(
            "token",
            "Token",
            "The token itself, only as an environment variable. Exactly one of the four keys is required.",
            Kind::Text(NOT_EMPTY),
            Presence::EnvironmentOnly,
            &[],
        ),
        field(
            "tokens",
            "Tokens",
            "Several accepted tokens, only as an environment variable.",
            Kind::Texts,
            Presence::EnvironmentOnly,
            &[],
        ),
    ],
    one_of: &["token_file", "token_files", "token", "tokens"],
    is_secret: true,
};

pub(super) static HEADER: Section = Section {
    fields: &[
        field(
            "secret_file",
            "Secret file",
            "The file that contains the secret. A trailing newline is ignored.",
            Kind::Path,
            Presence::Optional,
            &["/run/secrets/proxy"],
        ),
        field(
            "secret_files",
            "Secret files",
            "Several files like `secret_file`. Each secret is accepted, so that the old and the new one work during a \
         change.",
            Kind::Texts,
            Presence::Optional,
            &["[/run/secrets/proxy-next, /run/secrets/proxy]"],
        ),
        field(
            "secret",
            "Secret",
            "The secret itself, only as an environment variable. Exactly one of the four keys is required.",
            Kind::Text(NOT_EMPTY),
            Presence::EnvironmentOnly,
            &[],
        ),
        field(
            "secrets",
            "Secrets",
            "Several accepted secrets, only as an environment variable.",
            Kind::Texts,
            Presence::EnvironmentOnly,
            &[],
        ),
    ],
    one_of: &["secret_file", "secret_files", "secret", "secrets"],
    is_secret: true,
};

impl Credential {
    /// Returns `true` if a proxy can have it beside the credentials of its clients, which are in `Authorization`.
    pub(super) fn is_of_proxy(&self) -> bool {
        match self {
            Credential::Basic { .. } | Credential::Bearer { .. } => false,
            Credential::Certificate(_) | Credential::Header { .. } | Credential::Networks(_) => true,
        }
    }

    /// Returns the files that contain its secrets.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let sources = match self {
            Credential::Basic { passwords: sources, .. }
            | Credential::Bearer { tokens: sources }
            | Credential::Header { secrets: sources } => sources.as_slice(),
            Credential::Certificate(_) | Credential::Networks(_) => &[],
        };
        sources.iter().filter_map(|source| match source {
            SecretSource::File(path) => Some(path.as_path()),
            SecretSource::Inline(_) => None,
        })
    }
}

/// Reads the only credential of a caller.
pub(super) fn credential(caller: &Mapping<'_>, base_dir: &Path, faults: &mut Faults) -> Option<Credential> {
    caller.require_one_of(faults);
    let basic = caller.optional_mapping("basic", faults, |mapping, faults| basic(mapping, base_dir, faults));
    let bearer = caller.optional_mapping("bearer", faults, |mapping, faults| bearer(mapping, base_dir, faults));
    let tls = caller.optional_mapping("tls", faults, certificate);
    let header = caller.optional_mapping("header", faults, |mapping, faults| header(mapping, base_dir, faults));
    let networks = caller.optional("networks", faults, networks);
    [basic, bearer, tls, header, networks].into_iter().flatten().flatten().next()
}

fn basic(basic: &Mapping<'_>, base_dir: &Path, faults: &mut Faults) -> Option<Credential> {
    let is_username = |text: &str| {
        (!text.is_empty() && !text.contains(':') && !has_control_characters(text)).then(|| text.to_owned())
    };
    let username = basic.value("username", faults, text_as(is_username));
    let keys = SecretKeys { file: "password_file", files: "password_files", one: "password", several: "passwords" };
    let passwords = secrets(basic, &keys, base_dir, faults);
    Some(Credential::Basic { username: username?, passwords: passwords? })
}

fn bearer(bearer: &Mapping<'_>, base_dir: &Path, faults: &mut Faults) -> Option<Credential> {
    let keys = SecretKeys { file: "token_file", files: "token_files", one: "token", several: "tokens" };
    Some(Credential::Bearer { tokens: secrets(bearer, &keys, base_dir, faults)? })
}

fn certificate(tls: &Mapping<'_>, faults: &mut Faults) -> Option<Credential> {
    tls.require_one_of(faults);
    let subject = tls.value("subject", faults, text_as(CertificateName::subject));
    let spiffe = tls.value("spiffe", faults, text_as(CertificateName::spiffe));
    let dns = tls.value("dns", faults, text_as(CertificateName::dns));
    subject.or(spiffe).or(dns).map(Credential::Certificate)
}

fn header(header: &Mapping<'_>, base_dir: &Path, faults: &mut Faults) -> Option<Credential> {
    let keys = SecretKeys { file: "secret_file", files: "secret_files", one: "secret", several: "secrets" };
    Some(Credential::Header { secrets: secrets(header, &keys, base_dir, faults)? })
}

fn networks(node: &Node, kind: Kind) -> Result<Credential, Misfit> {
    let networks = hidden_texts(node, kind)?;
    let parsed: Option<Vec<_>> = networks.iter().map(|text| Network::parse(text)).collect();
    let expected = "text that is not an address or a network such as 10.0.0.0/8, with zeros after the prefix";
    parsed.map(Credential::Networks).ok_or_else(|| Misfit::Found(expected.to_owned()))
}

/// The keys of the secrets of one kind of credential.
struct SecretKeys {
    file: &'static str,
    files: &'static str,
    one: &'static str,
    several: &'static str,
}

fn secrets(
    mapping: &Mapping<'_>,
    keys: &SecretKeys,
    base_dir: &Path,
    faults: &mut Faults,
) -> Option<Vec<SecretSource>> {
    for inline in [keys.one, keys.several] {
        if let Some(node) = mapping.given(inline).filter(|node| !matches!(node.place, Place::Environment(_))) {
            let expected = format!("a file that `{}` names, or an environment variable", keys.file);
            faults.add(mapping.path_of(inline), expected, "the secret in the configuration file", &node.place);
            return None;
        }
    }
    mapping.require_one_of(faults);
    let in_file = |path: PathBuf| SecretSource::File(base_dir.join(path));
    let inline = |text: String| SecretSource::Inline(Secret::new(text.into_bytes()));
    let file = mapping.value(keys.file, faults, path).map(|path| vec![in_file(path)]);
    let files = mapping.value(keys.files, faults, hidden_texts);
    let files = files.map(|paths| paths.into_iter().map(|path| in_file(PathBuf::from(path))).collect());
    let one = mapping.value(keys.one, faults, words).map(|text| vec![inline(text)]);
    let several = mapping.value(keys.several, faults, hidden_texts);
    let several = several.map(|texts| texts.into_iter().map(inline).collect());
    file.or(files).or(one).or(several)
}
