//! The section `serve`: where the service listens, and how it starts and stops.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fault::Faults;
use super::field::{Field, Kind, NAME, Presence, Section, Words, field, section};
use super::read::{Mapping, boolean, choice_of, count, duration, path, port, text_as, words};
use super::values::Host;

/// Where the service listens, and how it starts and stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Serve {
    /// The API listener: issuing, key sets and discovery.
    pub api: Listener,
    /// Whether `api` is opened. It is not if only a Unix socket is configured.
    pub has_api_address: bool,
    /// TLS on `api`.
    pub tls: Option<TlsFiles>,
    /// A Unix socket in addition to `api` or instead of it.
    pub unix: Option<UnixSocket>,
    /// The gRPC listener: checks for Envoy.
    pub grpc: Option<Grpc>,
    /// The admin listener: health, version and metrics.
    pub admin: Listener,
    /// Whether the admin listener serves the playground.
    pub playground: bool,
    /// Whether the playground can resolve sessions through session sources.
    pub playground_sources: bool,
    /// Whether unauthenticated clients can request tokens on a listener that is not loopback.
    pub allow_unauthenticated: bool,
    /// How long requests in flight may take after the shutdown began.
    pub shutdown_timeout: Duration,
    /// How long the listeners stay open after readiness has turned 503.
    pub shutdown_delay: Duration,
    /// Threads of the API listener; `None` for one per core.
    pub workers: Option<NonZeroUsize>,
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    /// The address or host name.
    pub host: Host,
    /// The port; 0 for any free one.
    pub port: u16,
}

/// The gRPC listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grpc {
    /// Its address.
    pub listener: Listener,
    /// The check of requests whose route names none.
    pub check: Option<String>,
}

/// The files of TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The certificate and its intermediates, in PEM.
    pub cert_file: PathBuf,
    /// Its private key, in PEM.
    pub key_file: PathBuf,
    /// The CA of client certificates; `None` if the listener does not request client certificates.
    pub client: Option<ClientCa>,
}

/// The CA that signs the client certificates of callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientCa {
    /// The root certificates, in PEM.
    pub file: PathBuf,
    /// Whether clients without a certificate cannot connect.
    pub is_required: bool,
}

/// A Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnixSocket {
    /// The path of the socket.
    pub path: PathBuf,
    /// Its permissions.
    pub mode: u32,
}

const FILE_MODE: Words = Words { expected: "three octal digits in quotes, such as \"660\"", pattern: "^0?[0-7]{3}$" };

pub(super) static SERVE: Section = section(&[
    field(
        "api",
        "API listener",
        "The API listener: issuing, key sets and discovery.",
        Kind::Section(&API),
        Presence::Optional,
        &[],
    ),
    field(
        "grpc",
        "gRPC listener",
        "A listener for the gRPC service of Envoy's ext_authz filter. It uses `tls` of the API listener.",
        Kind::Section(&GRPC),
        Presence::Optional,
        &["{ host: 0.0.0.0, port: 4479, check: web }"],
    ),
    field(
        "admin",
        "Admin listener",
        "The admin listener: health, version, metrics and playground.",
        Kind::Section(&ADMIN),
        Presence::Optional,
        &[],
    ),
    field(
        "shutdown_timeout",
        "Shutdown timeout",
        "How long requests in flight may take after shutdown has begun.",
        Kind::Duration { least_in_ms: 0 },
        Presence::Default("25s"),
        &["25s", "1m"],
    ),
    field(
        "shutdown_delay",
        "Shutdown delay",
        "How long the listeners stay open after readiness has turned 503, so that load balancers notice.",
        Kind::Duration { least_in_ms: 0 },
        Presence::Default("0s"),
        &["0s", "5s"],
    ),
    field(
        "workers",
        "Workers",
        "Threads of the API listener; 0 starts one per core.",
        Kind::Count { least: 0, most: 1024 },
        Presence::Default("0"),
        &["0", "4"],
    ),
]);

const HOST: Field = field(
    "host",
    "Host",
    "The address to listen on.",
    Kind::Host,
    Presence::Default("127.0.0.1"),
    &["127.0.0.1", "0.0.0.0"],
);

const fn port_field(default: &'static str, examples: &'static [&'static str]) -> Field {
    let about = "The port to listen on; 0 selects any free port.";
    field("port", "Port", about, Kind::Port, Presence::Default(default), examples)
}

static API: Section = section(&[
    field(
        "host",
        "Host",
        "The address to listen on. An address that is not loopback requires callers, client certificates or \
         `allow_unauthenticated`.",
        Kind::Host,
        Presence::Default("127.0.0.1"),
        &["127.0.0.1", "localhost", "\"::1\""],
    ),
    port_field("4477", &["4477", "0"]),
    field(
        "allow_unauthenticated",
        "Allow unauthenticated requests",
        "Accepts requests without authentication on an address that is not loopback. Set it only if another \
         component in front of claimsmith authenticates clients.",
        Kind::Bool,
        Presence::Default("false"),
        &["true"],
    ),
    field(
        "tls",
        "TLS",
        "Serves TLS 1.2 and 1.3 on host and port.",
        Kind::Section(&TLS),
        Presence::Optional,
        &["{ cert_file: /etc/claimsmith/tls/tls.crt, key_file: /etc/claimsmith/tls/tls.key }"],
    ),
    field(
        "unix",
        "Unix socket",
        "A Unix socket for sidecars. Unless host or port is set too, it is the only API listener.",
        Kind::Section(&UNIX),
        Presence::Optional,
        &["{ path: /run/claimsmith/api.sock }"],
    ),
]);

static TLS: Section = section(&[
    field(
        "cert_file",
        "Certificates",
        "The certificate and its intermediates, in PEM. Changes are applied without a restart.",
        Kind::Path,
        Presence::Required,
        &["/etc/claimsmith/tls/tls.crt"],
    ),
    field(
        "key_file",
        "Private key",
        "The private key of the certificate, in PEM.",
        Kind::Path,
        Presence::Required,
        &["/etc/claimsmith/tls/tls.key"],
    ),
    field(
        "client_ca_file",
        "Client CA",
        "The CA certificates that sign the certificates of callers, in PEM.",
        Kind::Path,
        Presence::Optional,
        &["/etc/claimsmith/tls/ca.crt"],
    ),
    field(
        "client_auth",
        "Client certificates",
        "Whether clients present a certificate. `required` rejects all other clients, even for public keys.",
        Kind::Choice(&["none", "optional", "required"]),
        Presence::DefaultInWords("`required` with `client_ca_file`, `none` without"),
        &["optional", "required"],
    ),
]);

static UNIX: Section = section(&[
    field(
        "path",
        "Path",
        "The path of the socket. A stale socket at this path is replaced.",
        Kind::Path,
        Presence::Required,
        &["/run/claimsmith/api.sock"],
    ),
    field(
        "mode",
        "Mode",
        "The permissions of the socket: three octal digits in quotes.",
        Kind::Text(FILE_MODE),
        Presence::Default("\"660\""),
        &["\"666\""],
    ),
]);

static GRPC: Section = section(&[
    HOST,
    port_field("4479", &["4479", "0"]),
    field(
        "check",
        "Default check",
        "The check of requests whose route has no `check` in `context_extensions`. Without it, such requests are refused.",
        Kind::Text(NAME),
        Presence::Optional,
        &["web"],
    ),
]);

static ADMIN: Section = section(&[
    HOST,
    port_field("4478", &["4478", "0"]),
    field(
        "playground",
        "Playground",
        "Serves a page at /playground for trying claims templates on sessions. Anyone who can reach the admin \
         listener can use it and see the templates and their recorded cases.",
        Kind::Bool,
        Presence::Default("false"),
        &["true"],
    ),
    field(
        "playground_sources",
        "Sources in the playground",
        "Lets the playground resolve a credential through a session source and show the session. It needs `playground` and a \
         loopback address.",
        Kind::Bool,
        Presence::Default("false"),
        &["true"],
    ),
]);

/// Reads the section. `names_callers` is `true` if the configuration has callers.
pub(super) fn serve(serve: &Mapping<'_>, base_dir: &Path, names_callers: bool, faults: &mut Faults) -> Option<Serve> {
    let (api_mapping, admin_mapping) = (serve.mapping("api", faults), serve.mapping("admin", faults));
    let api = listener(&api_mapping, faults);
    let allow_unauthenticated = api_mapping.value("allow_unauthenticated", faults, boolean);
    let tls = api_mapping.optional_mapping("tls", faults, |mapping, faults| tls(mapping, base_dir, faults));
    let unix = api_mapping.optional_mapping("unix", faults, |mapping, faults| unix(mapping, base_dir, faults));
    let names_address = ["host", "port", "tls"].iter().any(|key| api_mapping.given(key).is_some());
    let has_api_address = api_mapping.given("unix").is_none() || names_address;
    let admin = listener(&admin_mapping, faults);
    let playground = admin_mapping.value("playground", faults, boolean);
    let grpc_mapping = serve.given("grpc").map(|_| serve.mapping("grpc", faults));
    let grpc = match &grpc_mapping {
        Some(mapping) => grpc(mapping, faults).map(Some),
        None => Some(None),
    };
    let playground_sources = admin_mapping.value("playground_sources", faults, boolean);
    if let (Some(admin), Some(playground), Some(true)) = (&admin, playground, playground_sources) {
        let found = match (playground, admin.host.is_loopback()) {
            (false, _) => Some("`playground: false`"),
            (true, false) => Some("an address that is not loopback"),
            (true, true) => None,
        };
        if let Some(found) = found {
            let expected = "`playground: true` and a loopback host, because the page shows sessions of other people";
            let place = admin_mapping.place_of("playground_sources");
            faults.add(admin_mapping.path_of("playground_sources"), expected, found, &place);
        }
    }
    if let (Some(api), Some(admin), true) = (&api, &admin, has_api_address) {
        refuse_one_port_for_both((api, "api"), admin, &api_mapping, &admin_mapping, faults);
    }
    if let (Some(Some(grpc)), Some(mapping)) = (&grpc, &grpc_mapping) {
        if let Some(admin) = &admin {
            refuse_one_port_for_both((admin, "admin"), &grpc.listener, &admin_mapping, mapping, faults);
        }
        if let Some(api) = api.as_ref().filter(|_| has_api_address) {
            refuse_one_port_for_both((api, "api"), &grpc.listener, &api_mapping, mapping, faults);
        }
    }
    if let (Some(api), Some(allow_unauthenticated), Some(tls), true) =
        (&api, allow_unauthenticated, &tls, has_api_address)
    {
        let demands_certificates =
            tls.as_ref().and_then(|tls| tls.client.as_ref()).is_some_and(|client| client.is_required);
        let is_decided = names_callers || demands_certificates;
        require_a_decision(api, is_decided, allow_unauthenticated, &api_mapping, faults);
    }
    let shutdown_timeout = serve.value("shutdown_timeout", faults, duration);
    let shutdown_delay = serve.value("shutdown_delay", faults, duration);
    let workers = serve.value("workers", faults, count);
    Some(Serve {
        api: api?,
        has_api_address,
        tls: tls?,
        unix: unix?,
        grpc: grpc?,
        admin: admin?,
        playground: playground?,
        playground_sources: playground_sources?,
        allow_unauthenticated: allow_unauthenticated?,
        shutdown_timeout: shutdown_timeout?,
        shutdown_delay: shutdown_delay?,
        workers: NonZeroUsize::new(usize::try_from(workers?).ok()?),
    })
}

fn tls(tls: &Mapping<'_>, base_dir: &Path, faults: &mut Faults) -> Option<TlsFiles> {
    let cert_file = tls.value("cert_file", faults, path);
    let key_file = tls.value("key_file", faults, path);
    let client_ca = tls.optional("client_ca_file", faults, path);
    let requirements = &[("none", None), ("optional", Some(false)), ("required", Some(true))];
    let client_auth = match tls.given("client_auth") {
        Some(_) => tls.value("client_auth", faults, choice_of(requirements)),
        None => Some(tls.given("client_ca_file").map(|_| true)),
    };
    let client = match (client_ca?, client_auth?) {
        (Some(file), Some(is_required)) => Some(ClientCa { file: base_dir.join(file), is_required }),
        (None, None) => None,
        (ca, _) => {
            let (expected, found) = match ca {
                Some(_) => ("optional or required with client_ca_file", "none"),
                None => ("client_ca_file beside it, or none", "no client_ca_file"),
            };
            faults.add(tls.path_of("client_auth"), expected, found, &tls.place_of("client_auth"));
            return None;
        }
    };
    Some(TlsFiles { cert_file: base_dir.join(cert_file?), key_file: base_dir.join(key_file?), client })
}

fn unix(unix: &Mapping<'_>, base_dir: &Path, faults: &mut Faults) -> Option<UnixSocket> {
    let path = unix.value("path", faults, path);
    let permissions = |text: &str| {
        let digits = text.strip_prefix('0').filter(|rest| rest.len() == 3).unwrap_or(text);
        let is_plain = digits.len() == 3 && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        is_plain.then(|| u32::from_str_radix(digits, 8).ok()).flatten()
    };
    let mode = unix.value("mode", faults, text_as(permissions));
    Some(UnixSocket { path: base_dir.join(path?), mode: mode? })
}

fn grpc(grpc: &Mapping<'_>, faults: &mut Faults) -> Option<Grpc> {
    let listener = listener(grpc, faults);
    let check = grpc.optional("check", faults, words);
    Some(Grpc { listener: listener?, check: check? })
}

fn listener(listener: &Mapping<'_>, faults: &mut Faults) -> Option<Listener> {
    let host = listener.value("host", faults, text_as(Host::parse));
    let port = listener.value("port", faults, port);
    Some(Listener { host: host?, port: port? })
}

/// Rejects `second` if it has the port of `first`, which has the key `name`.
fn refuse_one_port_for_both(
    (first, name): (&Listener, &str),
    second: &Listener,
    first_mapping: &Mapping<'_>,
    second_mapping: &Mapping<'_>,
    faults: &mut Faults,
) {
    if first.port != 0 && first.port == second.port && first.host.overlaps(&second.host) {
        let place = match second_mapping.given("port") {
            Some(port) => port.place.clone(),
            None => first_mapping.place_of("port"),
        };
        let (expected, found) =
            (format!("a port other than the port of serve.{name}"), format!("{} for both", first.port));
        faults.add(second_mapping.path_of("port"), expected, found, &place);
    }
}

/// Rejects a listener that accepts unauthenticated requests from other hosts without an explicit decision.
fn require_a_decision(
    api: &Listener,
    is_decided: bool,
    allow_unauthenticated: bool,
    mapping: &Mapping<'_>,
    faults: &mut Faults,
) {
    if !is_decided && !allow_unauthenticated && !api.host.is_loopback() {
        let expected = "a loopback address such as 127.0.0.1, or `callers`, or `client_auth: required` below `tls`, or \
                        `allow_unauthenticated: true` if another component authenticates clients";
        let found = format!("`{}`, which other hosts can reach, without callers", api.host);
        faults.add(mapping.path_of("host"), expected, found, &mapping.place_of("host"));
    }
    if is_decided && allow_unauthenticated {
        let expected = "false with callers or client_auth: required";
        let place = mapping.place_of("allow_unauthenticated");
        faults.add(mapping.path_of("allow_unauthenticated"), expected, "true", &place);
    }
}
