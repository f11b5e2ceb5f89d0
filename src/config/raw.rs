//! What a configuration may say: one table of fields that the reader, the environment overrides and the JSON Schema
//! share, so that they cannot disagree.

use super::field::{Kind, Presence, Section, Words, field, section};
use super::key_source::KeySource;
use crate::keys::SignatureAlg;

/// Shapes of text that several fields share.
pub(super) const PROFILE_NAME: Words = Words {
    expected: "a name of up to 128 letters, digits, `_`, `-` and `.`, starting with a letter, digit or `_`",
    pattern: "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$",
};
const NOT_EMPTY: Words = Words { expected: "text that is not empty", pattern: "^[^\\u0000-\\u001f\\u007f]+$" };
const HTTP_URL: Words = Words {
    expected: "an http or https URL without user, query or fragment, such as https://tokens.example.org",
    pattern: "^https?://[^\\s/?#@]+(/[^\\s?#]*)?$",
};
const JWKS: Words = Words {
    expected: KeySource::EXPECTED,
    pattern: "^((file|base64|https?|s3|gs|azblob)://.+|(?![A-Za-z][A-Za-z0-9+.-]*://).+)$",
};
const HEADER_NAME: Words = Words {
    expected: "a header name that a token may travel in, such as Authorization or X-Id-Token",
    pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
};
const SCHEME: Words = Words {
    expected: "an authentication scheme such as Bearer, or empty text for none",
    pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]*$",
};
const EXTRA_PATH: Words =
    Words { expected: "a dotted path that starts with `Extra.`, or none", pattern: "^(none|Extra(\\.[^.\\s]+)+)$" };
const SUBJECT_PATH: Words = Words {
    expected: "`Subject`, or a dotted path that starts with `Extra.`",
    pattern: "^(Subject|Extra(\\.[^.\\s]+)+)$",
};
const RATE: Words =
    Words { expected: "requests for each second, minute or hour, such as 100/s", pattern: "^[1-9][0-9]{0,8}/(s|m|h)$" };
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
const FILE_MODE: Words = Words { expected: "three octal digits in quotes, such as \"660\"", pattern: "^0?[0-7]{3}$" };
const USERNAME: Words = Words { expected: "a user name without a colon", pattern: "^[^:\\u0000-\\u001f\\u007f]+$" };

const AUDIT_TARGET: Words = Words { expected: "stdout, or the file:// URL of a file", pattern: "^(stdout|file://.+)$" };

/// The whole configuration.
pub(super) static ROOT: Section = section(&[
    field(
        "serve",
        "Listeners",
        "Where the service listens, and how it starts and stops.",
        Kind::Section(&SERVE),
        Presence::Optional,
        &[],
    ),
    field(
        "limits",
        "Limits",
        "What one request and one token may cost; beyond it, requests are refused.",
        Kind::Section(&LIMITS),
        Presence::Optional,
        &[],
    ),
    field(
        "templates",
        "Templates",
        "The directory of the claims templates, relative to the configuration file.",
        Kind::Path,
        Presence::Default("templates"),
        &["templates", "/etc/claimsmith/templates"],
    ),
    field(
        "profiles",
        "Profiles",
        "The kinds of token, by name; the name stands in the path, as in `POST /hydrate/{profile}`. At least one.",
        Kind::Named(&PROFILE),
        Presence::Required,
        &["{ id_token: { issuer: \"https://id.example.org/\", jwks: file://keys/id_token.jwks.json } }"],
    ),
    field(
        "callers",
        "Callers",
        "Who may ask for a token. Without callers everyone who reaches the api listener may.",
        Kind::Many(&CALLER),
        Presence::Optional,
        &["[{ name: oathkeeper, basic: { username: oathkeeper, password_file: /run/secrets/oathkeeper } }]"],
    ),
    field("reload", "Reload", "How changes of files are noticed.", Kind::Section(&RELOAD), Presence::Optional, &[]),
    field(
        "rotation",
        "Rotation",
        "Adds the next key to each key file before the last one is due to end, and drops the dead. Without it, keys change \
         only when somebody changes the files.",
        Kind::Section(&ROTATION),
        Presence::Optional,
        &["{ every: 720h, lead: 1h }"],
    ),
    field(
        "jwks_max_age",
        "JWKS max-age",
        "How long verifiers may keep a published key set before they ask again.",
        Kind::Duration { least_in_ms: 1000 },
        Presence::Default("5m"),
        &["5m", "1m"],
    ),
    field("log", "Log", "What is logged, and how.", Kind::Section(&LOG), Presence::Optional, &[]),
    field(
        "audit",
        "Audit log",
        "A line for each token that is issued. Without it there is none. See docs/operations.md.",
        Kind::Section(&AUDIT),
        Presence::Optional,
        &["{ to: stdout }"],
    ),
    field(
        "traces",
        "Traces",
        "Spans for each request, sent as OpenTelemetry's OTLP. Without it there are none. See docs/operations.md.",
        Kind::Section(&TRACES),
        Presence::Optional,
        &["{ endpoint: \"http://127.0.0.1:4318/v1/traces\" }"],
    ),
    field(
        "public_url",
        "Public URL",
        "The URL under which verifiers reach the api listener; discovery documents point there. Without it, the \
         address of the api listener, where that is a single one.",
        Kind::Text(HTTP_URL),
        Presence::Optional,
        &["https://tokens.example.org"],
    ),
]);

pub(super) static SERVE: Section = section(&[
    field("api", "API listener", "Issuing, key sets and discovery.", Kind::Section(&API), Presence::Optional, &[]),
    field(
        "admin",
        "Admin listener",
        "Health, version, metrics, playground.",
        Kind::Section(&ADMIN),
        Presence::Optional,
        &[],
    ),
    field(
        "shutdown_timeout",
        "Shutdown timeout",
        "How long requests in flight may take to finish once the service stops.",
        Kind::Duration { least_in_ms: 0 },
        Presence::Default("25s"),
        &["25s", "1m"],
    ),
    field(
        "shutdown_delay",
        "Shutdown delay",
        "How long the listeners stay open after readiness has turned 503, for load balancers to notice.",
        Kind::Duration { least_in_ms: 0 },
        Presence::Default("0s"),
        &["0s", "5s"],
    ),
    field(
        "workers",
        "Workers",
        "Threads that serve the api listener; 0 takes one for each core.",
        Kind::Count { least: 0, most: 1024 },
        Presence::Default("0"),
        &["0", "4"],
    ),
]);

pub(super) static API: Section = section(&[
    field(
        "host",
        "Host",
        "The address to listen on. One that is not loopback needs callers, required client certificates, or \
         allow_unauthenticated.",
        Kind::Host,
        Presence::Default("127.0.0.1"),
        &["127.0.0.1", "localhost", "\"::1\""],
    ),
    field(
        "port",
        "Port",
        "The port to listen on; 0 takes any free one.",
        Kind::Port,
        Presence::Default("4477"),
        &["4477", "0"],
    ),
    field(
        "allow_unauthenticated",
        "Allow unauthenticated requests",
        "Lets everyone who reaches a listener that is not loopback ask for tokens. Only where something in front of it \
         decides who does.",
        Kind::Bool,
        Presence::Default("false"),
        &["true"],
    ),
    field(
        "tls",
        "TLS",
        "Speaks TLS 1.2 and 1.3 on host and port.",
        Kind::Section(&TLS),
        Presence::Optional,
        &["{ cert_file: /etc/claimsmith/tls/tls.crt, key_file: /etc/claimsmith/tls/tls.key }"],
    ),
    field(
        "unix",
        "Unix socket",
        "A socket for sidecars. Without host and port beside it, it is the only listener of the api.",
        Kind::Section(&UNIX),
        Presence::Optional,
        &["{ path: /run/claimsmith/api.sock }"],
    ),
]);

pub(super) static TLS: Section = section(&[
    field(
        "cert_file",
        "Certificates",
        "The certificate and those between it and its root, in PEM. Taken over when its content changes.",
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
        "The roots that vouch for the certificates of callers, in PEM.",
        Kind::Path,
        Presence::Optional,
        &["/etc/claimsmith/tls/ca.crt"],
    ),
    field(
        "client_auth",
        "Client certificates",
        "Whether callers are asked for a certificate. `required` lets nobody else connect, not even for public keys.",
        Kind::Choice(&["none", "optional", "required"]),
        Presence::DefaultInWords("`required` with `client_ca_file`, `none` without"),
        &["optional", "required"],
    ),
]);

pub(super) static UNIX: Section = section(&[
    field(
        "path",
        "Path",
        "Where the socket stands. One that nobody listens on any more is replaced.",
        Kind::Path,
        Presence::Required,
        &["/run/claimsmith/api.sock"],
    ),
    field(
        "mode",
        "Mode",
        "Who may connect, as file permissions: three octal digits in quotes.",
        Kind::Text(FILE_MODE),
        Presence::Default("\"660\""),
        &["\"666\""],
    ),
]);

pub(super) static ADMIN: Section = section(&[
    field(
        "host",
        "Host",
        "The address to listen on.",
        Kind::Host,
        Presence::Default("127.0.0.1"),
        &["127.0.0.1", "0.0.0.0"],
    ),
    field(
        "port",
        "Port",
        "The port to listen on; 0 takes any free one.",
        Kind::Port,
        Presence::Default("4478"),
        &["4478", "0"],
    ),
    field(
        "playground",
        "Playground",
        "Serves a page at /playground that tries claims templates on sessions. Whoever reaches the listener may use it, and \
         sees the templates and their recorded cases.",
        Kind::Bool,
        Presence::Default("false"),
        &["true"],
    ),
]);

pub(super) static RELOAD: Section = section(&[field(
    "interval",
    "Interval",
    "How often key files, templates, partials and this configuration are looked at; SIGHUP looks at once.",
    Kind::Duration { least_in_ms: 100 },
    Presence::Default("5s"),
    &["5s", "1s"],
)]);

pub(super) static ROTATION: Section = section(&[
    field(
        "every",
        "Every",
        "How long a key signs.",
        Kind::Duration { least_in_ms: 1000 },
        Presence::Default("720h"),
        &["720h", "168h"],
    ),
    field(
        "lead",
        "Lead",
        "How long a key is published before it signs: longer than `jwks_max_age`, so that no verifier meets a key \
         that it does not have.",
        Kind::Duration { least_in_ms: 1000 },
        Presence::Default("1h"),
        &["1h", "24h"],
    ),
    field(
        "retire",
        "Retire",
        "How long an ended key stays in the file, at least the longest `ttl` of the profiles that sign with it.",
        Kind::Duration { least_in_ms: 1000 },
        Presence::DefaultInWords("the longest `ttl` of the profiles"),
        &["24h"],
    ),
]);

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

pub(super) static LIMITS: Section = section(&[
    field(
        "body",
        "Body",
        "Bytes of a request body.",
        Kind::Size { least: KIB, most: 256 * MIB },
        Presence::Default("1MiB"),
        &["1MiB", "65536"],
    ),
    field(
        "depth",
        "Depth",
        "Arrays and objects inside each other in a session, and in rendered claims.",
        Kind::Count { least: 8, most: 512 },
        Presence::Default("192"),
        &["192"],
    ),
    field(
        "claims",
        "Claims",
        "Bytes of the claims that a template renders.",
        Kind::Size { least: 256, most: 16 * MIB },
        Presence::Default("64KiB"),
        &["64KiB"],
    ),
    field(
        "template_work",
        "Template work",
        "Steps that one rendering may take: an expression, an iteration and each value that a helper looks at count \
         one.",
        Kind::Count { least: 100, most: 1_000_000_000 },
        Presence::Default("100000"),
        &["100000"],
    ),
    field(
        "header",
        "Header",
        "Bytes of a request's header block.",
        Kind::Size { least: 4 * KIB, most: 120 * KIB },
        Presence::Default("64KiB"),
        &["64KiB"],
    ),
    field(
        "request",
        "Request",
        "How long a request may take, from its first byte to the answer, and how long a client may take for a TLS handshake \
         and for reading its answer.",
        Kind::Duration { least_in_ms: 10 },
        Presence::Default("5s"),
        &["5s", "500ms"],
    ),
    field(
        "connections",
        "Connections",
        "Connections that the api listener serves at once, over all workers; requests on further ones are answered \
         503.",
        Kind::Count { least: 1, most: 1_000_000 },
        Presence::Default("1024"),
        &["1024"],
    ),
    field(
        "connections_per_peer",
        "Connections per peer",
        "Connections of one address at once; requests on further ones are answered 429. A gateway is one address: give it \
         as many as it opens. IPv6 hosts count as their /64; a Unix socket is not counted.",
        Kind::Count { least: 1, most: 1_000_000 },
        Presence::DefaultInWords("`connections`, which is no bound of its own"),
        &["256"],
    ),
    field(
        "in_flight",
        "In flight",
        "Requests for tokens that are worked on at once, over all workers; further ones are answered 503 at once.",
        Kind::Count { least: 1, most: 1_000_000 },
        Presence::Default("1024"),
        &["1024", "256"],
    ),
    field(
        "failed_attempts",
        "Failed attempts",
        "Requests with wrong credentials from one address, a minute, before further wrong ones are slowed. Right ones \
         never are.",
        Kind::Count { least: 1, most: 1_000_000 },
        Presence::Default("20"),
        &["20"],
    ),
    field(
        "failed_delay",
        "Failed delay",
        "How long the answer to a wrong attempt waits once its address is slowed. Less than a gateway waits (Oathkeeper: \
         1s), or it asks again.",
        Kind::Duration { least_in_ms: 0 },
        Presence::Default("250ms"),
        &["250ms", "0s"],
    ),
    field(
        "token_cache",
        "Token cache",
        "Bytes of signed tokens, of what they were made from, and for a quarter of what was read of their sessions, that are \
         kept to answer again; 0 keeps none.",
        Kind::Size { least: 0, most: 64 * 1024 * MIB },
        Presence::Default("32MiB"),
        &["32MiB", "0"],
    ),
    field(
        "key_set",
        "Key set",
        "Bytes of a key set from the network; a larger one is not taken, and the last good one stays in use.",
        Kind::Size { least: KIB, most: 64 * MIB },
        Presence::Default("1MiB"),
        &["1MiB"],
    ),
    field(
        "key_fetch",
        "Key fetch",
        "How long a key set from the network may take to come, to its last byte.",
        Kind::Duration { least_in_ms: 10 },
        Presence::Default("10s"),
        &["10s", "2s"],
    ),
    field(
        "keep_alive",
        "Keep-alive",
        "How long an idle connection stays open. Longer than the gateway keeps it (Go: 90s), or requests are lost to \
         connections that close under them; 0s closes after each answer.",
        Kind::Duration { least_in_ms: 0 },
        Presence::Default("2m"),
        &["2m", "0s"],
    ),
]);

pub(super) static PROFILE: Section = section(&[
    field(
        "issuer",
        "Issuer",
        "The claim `iss`.",
        Kind::Text(NOT_EMPTY),
        Presence::Required,
        &["https://id.example.org/"],
    ),
    field(
        "jwks",
        "JWK Set",
        "Where the private keys are. After file:// a path stays relative to the configuration file unless it starts with \
         a slash, as in file:///etc/keys.json. docs/keys.md has the other URLs.",
        Kind::Text(JWKS),
        Presence::Required,
        &["file://keys/id_token.jwks.json", "keys/id_token.jwks.json", "s3://keys/id_token.jwks.json"],
    ),
    field(
        "alg",
        "Algorithm",
        "Signs only with keys of this algorithm. Without it, the key decides.",
        Kind::Choice(&SignatureAlg::NAMES),
        Presence::Optional,
        &["ES256"],
    ),
    field(
        "ttl",
        "Time to live",
        "How long a token lives, in whole seconds; the session's end and the key's may come first.",
        Kind::Duration { least_in_ms: 1000 },
        Presence::Default("15m"),
        &["15m", "1h30m"],
    ),
    field(
        "audience",
        "Audience",
        "The claim `aud`. Without it, the template may set `aud`.",
        Kind::Texts,
        Presence::Optional,
        &["[orders, billing]", "orders"],
    ),
    field(
        "template",
        "Template",
        "The claims template: `templates/<name>/claims.hbs`, or `claims.gotmpl` for a Go template as Oathkeeper has \
         it.",
        Kind::Text(PROFILE_NAME),
        Presence::DefaultInWords("the profile's name"),
        &["session"],
    ),
    field(
        "placement",
        "Placement",
        "Where a hydrated session carries the token: in a request header, or in a member of extra.",
        Kind::Section(&PLACEMENT),
        Presence::Default("{ header: Authorization, scheme: Bearer }"),
        &["{ header: Authorization, scheme: Bearer }", "{ header: X-Id-Token }", "{ extra: token }"],
    ),
    field(
        "missing",
        "Missing values",
        "What a template gets for a path that the session does not have: an error, null, or its member left out.",
        Kind::Choice(&["error", "as_null", "omit"]),
        Presence::Default("error"),
        &["as_null"],
    ),
    field(
        "expires_with",
        "Expires with",
        "The value of the session, an RFC 3339 time or a NumericDate, that no token outlives. A path that is written \
         here must be in every session; the default is used where it is present. none turns it off.",
        Kind::Text(EXTRA_PATH),
        Presence::Default("Extra.expires_at"),
        &["Extra.session.expires_at", "none"],
    ),
    field(
        "subject",
        "Subject",
        "Where the claim `sub` comes from: `Subject`, or a path below `Extra`.",
        Kind::Text(SUBJECT_PATH),
        Presence::Default("Subject"),
        &["Extra.identity.id"],
    ),
    field(
        "allow_empty_subject",
        "Allow an empty subject",
        "Issues tokens for sessions without a subject, such as anonymous ones.",
        Kind::Bool,
        Presence::Default("false"),
        &["true"],
    ),
    field(
        "registered_claims",
        "Registered claims",
        "What happens to `iss`, `sub`, `exp` and the like that a Go template sets: no token is made, or claimsmith's \
         own value stands in the token, as with Oathkeeper.",
        Kind::Choice(&["refuse", "override"]),
        Presence::Default("refuse"),
        &["override"],
    ),
    field(
        "validate",
        "Validate",
        "When claims are held against `claims.schema.json` beside the template: with its recorded cases at every \
         start, or before every signature too.",
        Kind::Choice(&["recorded", "always"]),
        Presence::Default("recorded"),
        &["always"],
    ),
    field(
        "cache",
        "Cache",
        "Whether a session that would get the same claims again gets the same token, jti included, until a tenth of its \
         life is left or its key signs no more.",
        Kind::Choice(&["on", "off"]),
        Presence::Default("on"),
        &["off"],
    ),
]);

pub(super) static PLACEMENT: Section = Section {
    fields: &[
        field(
            "header",
            "Header",
            "The header that carries the token.",
            Kind::Text(HEADER_NAME),
            Presence::Optional,
            &["Authorization", "x-id-token"],
        ),
        field(
            "scheme",
            "Scheme",
            "What stands before the token in the header.",
            Kind::Text(SCHEME),
            Presence::DefaultInWords("Bearer in Authorization, nothing in other headers"),
            &["Bearer"],
        ),
        field(
            "extra",
            "Extra",
            "The member of extra that carries the token.",
            Kind::Text(NOT_EMPTY),
            Presence::Optional,
            &["token"],
        ),
    ],
    one_of: &["header", "extra"],
    is_secret: false,
};

pub(super) static CALLER: Section = Section {
    fields: &[
        field(
            "name",
            "Name",
            "What logs and metrics call this caller.",
            Kind::Text(PROFILE_NAME),
            Presence::Required,
            &["oathkeeper"],
        ),
        field(
            "basic",
            "HTTP Basic",
            "This caller sends a user name and a password. Exactly one of this, `bearer` and `tls`.",
            Kind::Section(&BASIC),
            Presence::Optional,
            &["{ username: oathkeeper, password_file: /run/secrets/oathkeeper }"],
        ),
        field(
            "bearer",
            "Bearer token",
            "This caller sends a fixed bearer token.",
            Kind::Section(&BEARER),
            Presence::Optional,
            &["{ token_file: /run/secrets/caller-token }"],
        ),
        field(
            "tls",
            "Client certificate",
            "This caller shows a certificate that `serve.api.tls.client_ca_file` vouches for. Its `Authorization` \
             header is then not looked at, since it may be the end user's.",
            Kind::Section(&CERTIFICATE),
            Presence::Optional,
            &["{ spiffe: \"spiffe://example.org/ns/auth/sa/oathkeeper\" }"],
        ),
        field(
            "profiles",
            "Profiles",
            "The profiles that this caller may ask for. Without it, all of them.",
            Kind::Texts,
            Presence::Optional,
            &["[id_token]"],
        ),
        field(
            "limits",
            "Limits",
            "How much this caller may ask for; beyond it, it is answered 429.",
            Kind::Section(&CALLER_LIMITS),
            Presence::Optional,
            &["{ concurrency: 64, rate: 100/s, burst: 200 }"],
        ),
    ],
    one_of: &["basic", "bearer", "tls"],
    is_secret: true,
};

pub(super) static CERTIFICATE: Section = Section {
    fields: &[
        field(
            "subject",
            "Subject",
            "The whole subject of the certificate, as RFC 4514 writes it: the last part first.",
            Kind::Text(SUBJECT_NAME),
            Presence::Optional,
            &["\"CN=oathkeeper,O=Example\""],
        ),
        field(
            "spiffe",
            "SPIFFE ID",
            "The only URI among the certificate's alternative names. Exactly one of the three.",
            Kind::Text(SPIFFE_ID),
            Presence::Optional,
            &["\"spiffe://example.org/ns/auth/sa/oathkeeper\""],
        ),
        field(
            "dns",
            "DNS name",
            "A DNS name among the certificate's alternative names.",
            Kind::Text(DNS_NAME),
            Presence::Optional,
            &["oathkeeper.auth.svc"],
        ),
    ],
    one_of: &["subject", "spiffe", "dns"],
    is_secret: false,
};

pub(super) static CALLER_LIMITS: Section = section(&[
    field(
        "concurrency",
        "Concurrency",
        "Requests of this caller that are worked on at once.",
        Kind::Count { least: 1, most: 1_000_000 },
        Presence::Optional,
        &["64"],
    ),
    field(
        "rate",
        "Rate",
        "Requests of this caller in the long run, for each second, minute or hour: `100/s`, `600/m`.",
        Kind::Text(RATE),
        Presence::Optional,
        &["100/s", "600/m"],
    ),
    field(
        "burst",
        "Burst",
        "Requests that may come at once before the rate holds them back. Only beside `rate`.",
        Kind::Count { least: 1, most: 1_000_000 },
        Presence::DefaultInWords("the requests of one second, at least one"),
        &["200"],
    ),
]);

pub(super) static BASIC: Section = Section {
    fields: &[
        field("username", "User name", "The user name.", Kind::Text(USERNAME), Presence::Required, &["oathkeeper"]),
        field(
            "password_file",
            "Password file",
            "The file that holds the password; one line end at its end does not count.",
            Kind::Path,
            Presence::Optional,
            &["/run/secrets/oathkeeper"],
        ),
        field(
            "password_files",
            "Password files",
            "Several files as of `password_file`, each of whose passwords is taken: the new one and the old one while \
             the secret changes.",
            Kind::Texts,
            Presence::Optional,
            &["[/run/secrets/oathkeeper-next, /run/secrets/oathkeeper]"],
        ),
        field(
            "password",
            "Password",
            "The password itself. Only in the environment. Exactly one of the four.",
            Kind::Text(NOT_EMPTY),
            Presence::EnvironmentOnly,
            &[],
        ),
        field(
            "passwords",
            "Passwords",
            "Several passwords, each of which is taken. Only in the environment.",
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
            "The file that holds the token; one line end at its end does not count.",
            Kind::Path,
            Presence::Optional,
            &["/run/secrets/caller-token"],
        ),
        field(
            "token_files",
            "Token files",
            "Several files as of `token_file`, each of whose tokens is taken: the new one and the old one while the \
             secret changes.",
            Kind::Texts,
            Presence::Optional,
            &["[/run/secrets/caller-token-next, /run/secrets/caller-token]"],
        ),
        field(
            "token",
            "Token",
            "The token itself. Only in the environment. Exactly one of the four.",
            Kind::Text(NOT_EMPTY),
            Presence::EnvironmentOnly,
            &[],
        ),
        field(
            "tokens",
            "Tokens",
            "Several tokens, each of which is taken. Only in the environment.",
            Kind::Texts,
            Presence::EnvironmentOnly,
            &[],
        ),
    ],
    one_of: &["token_file", "token_files", "token", "tokens"],
    is_secret: true,
};

pub(super) static LOG: Section = section(&[
    field(
        "level",
        "Level",
        "The least important kind of event that is logged.",
        Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
        Presence::Default("info"),
        &["debug"],
    ),
    field(
        "format",
        "Format",
        "Lines for people, or JSON for programs.",
        Kind::Choice(&["text", "json"]),
        Presence::Default("json"),
        &["text"],
    ),
]);

pub(super) static AUDIT: Section = section(&[
    field(
        "to",
        "To",
        "Where lines go: `stdout`, or a file. After `file://` a path stays relative to the configuration file unless \
         it starts with a slash.",
        Kind::Text(AUDIT_TARGET),
        Presence::Required,
        &["stdout", "file:///var/log/claimsmith/audit.jsonl"],
    ),
    field(
        "subject",
        "Subject",
        "What a line says of the token's `sub`: its SHA-256, `sub` itself, or nothing.",
        Kind::Choice(&["hash", "plain", "none"]),
        Presence::Default("hash"),
        &["none"],
    ),
]);

pub(super) static TRACES: Section = section(&[
    field(
        "endpoint",
        "Endpoint",
        "The URL that takes OTLP over HTTP as JSON, whole, such as `http://127.0.0.1:4318/v1/traces`.",
        Kind::Text(HTTP_URL),
        Presence::Required,
        &["http://127.0.0.1:4318/v1/traces"],
    ),
    field(
        "sample_ratio",
        "Sample ratio",
        "Which part of the traces that begin here is recorded. A request with a `traceparent` does as that says.",
        Kind::Ratio,
        Presence::Default("1"),
        &["0.01", "0"],
    ),
]);
