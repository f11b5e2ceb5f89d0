//! The arguments of each command, as clap parses them. The doc comments are the texts of `--help`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::templates::{Missing, Syntax};

#[derive(Parser)]
#[command(
    name = "claimsmith",
    version,
    about = "An authenticated session in over HTTP, a signed JWT out: the hydrator for Ory Oathkeeper",
    after_help = "Start with: claimsmith demo"
)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Args)]
pub(super) struct Global {
    /// The configuration [environment: CLAIMSMITH_CONFIG] [default: claimsmith.yaml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Print JSON, also for failures: {"ok":false,"error":{"code","message"},"faults":[…]}
    #[arg(long, global = true)]
    pub(super) json: bool,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Serve tokens, key sets and health checks
    Serve(SourceArgs),
    /// Run the full flow locally: generate a key, call hydrate, verify the token
    Demo {
        /// Exit after the demo
        #[arg(long)]
        once: bool,
    },
    /// Create a directory with a configuration, a key, a template and a recorded case
    Init {
        /// A new or empty directory
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// The signature algorithm
        #[arg(long, default_value = "ES256")]
        alg: String,
        /// The issuer of the tokens
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4455/")]
        issuer: String,
    },
    /// Check configuration, keys, templates and recorded cases, and report all errors
    Check(SourceArgs),
    /// Render one template over one session and print the claims
    Render(RenderArgs),
    /// Show what a check does with a recorded answer of one of its session sources, such as Kratos's `whoami`
    CheckSession(CheckSessionArgs),
    /// Run recorded cases, one JSON object per line, and print where claims differ
    Test {
        /// Files of cases; `-` reads standard input. Cases of checks use the configuration
        #[arg(required = true, value_name = "CASES.jsonl")]
        files: Vec<PathBuf>,
    },
    /// Convert the configuration of another service
    Import {
        #[command(subcommand)]
        command: ImportCommand,
    },
    /// Generate, change and list keys
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Verify a token with a JWK Set and print its claims
    Verify(VerifyArgs),
    /// Show header and claims of a token without keys; verifies nothing
    Inspect {
        /// The token, with or without `Bearer `; `-` reads standard input
        token: String,
    },
    /// Print the JSON Schema of the configuration
    Schema,
    /// Check whether a running service is ready; for containers without curl
    Health {
        /// The URL to request [default: readiness on the configured admin listener]
        #[arg(long)]
        url: Option<String>,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, in roff
    Man {
        /// Write it and a page for each command to this directory instead
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

#[derive(Args)]
pub(super) struct SourceArgs {
    /// Use the profiles of this Oathkeeper configuration and its access rules; all other settings, and settings of
    /// these profiles, come from --config, if given, and from the environment. Can be repeated: later files win over
    /// earlier ones
    #[arg(long, value_name = "FILE")]
    pub(super) oathkeeper: Vec<PathBuf>,
}

#[derive(Args)]
pub(super) struct CheckSessionArgs {
    /// The check
    #[arg(value_name = "CHECK")]
    pub(super) check: String,
    /// The body of the answer, a JSON file; `-` reads standard input. For a `jwt` source, the claims of a token
    #[arg(long, value_name = "FILE")]
    pub(super) session: PathBuf,
    /// The status of the answer
    #[arg(long, value_name = "STATUS", default_value_t = 200)]
    pub(super) status: u16,
    /// The source that answered [default: the first of the check that needs a credential]
    #[arg(long, value_name = "NAME")]
    pub(super) source: Option<String>,
    /// The method of the original request
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    pub(super) method: String,
    /// The URL of the original request [default: `/` of an unknown host]
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// The client accepts HTML, as browsers do for pages
    #[arg(long)]
    pub(super) browser: bool,
    /// The time of the request, such as 2026-01-16T09:12:33Z [default: now]
    #[arg(long, value_name = "TIME")]
    pub(super) at: Option<String>,
    /// Sign the token with the key that signs at this time
    #[arg(long)]
    pub(super) sign: bool,
    #[command(flatten)]
    pub(super) oathkeeper: SourceArgs,
}

#[derive(Args)]
pub(super) struct RenderArgs {
    #[command(flatten)]
    pub(super) source: TemplateArg,
    /// The session, a JSON file; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub(super) session: PathBuf,
    /// The language of the template
    #[arg(long, value_enum, default_value = "handlebars")]
    pub(super) syntax: SyntaxArg,
    /// What a missing value becomes
    #[arg(long, value_enum, default_value = "error")]
    pub(super) missing: MissingArg,
    /// The profile that the template sees as `Profile`
    #[arg(long, default_value = "render")]
    pub(super) profile: String,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct TemplateArg {
    /// The template file; partials are read from `../_partials` beside its directory
    #[arg(long, value_name = "FILE")]
    pub(super) template: Option<PathBuf>,
    /// The template itself
    #[arg(long, value_name = "TEXT")]
    pub(super) text: Option<String>,
}

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// The token, with or without `Bearer `; `-` reads standard input
    pub(super) token: String,
    /// The JWK Set: a file, or an http or https URL
    #[arg(long, value_name = "URL-OR-FILE")]
    pub(super) jwks: String,
    /// The required issuer
    #[arg(long)]
    pub(super) issuer: Option<String>,
    /// A required audience
    #[arg(long)]
    pub(super) audience: Option<String>,
}

#[derive(Subcommand)]
pub(super) enum ImportCommand {
    /// Convert Oathkeeper's id_token mutator, global and in each access rule, to Handlebars templates, a configuration,
    /// recorded cases and a report of what changed
    Oathkeeper {
        /// Oathkeeper's configuration, in YAML or JSON; later files win over earlier ones
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// A new directory for the result
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

#[derive(Subcommand)]
pub(super) enum KeysCommand {
    /// Generate a private key, as a JWK Set with one key
    Generate {
        /// The signature algorithm
        #[arg(long, default_value = "ES256")]
        alg: String,
        /// The `kid` [default: a random UUID]
        #[arg(long)]
        kid: Option<String>,
        /// The size in bits, for RSA and HMAC keys
        #[arg(long)]
        bits: Option<u32>,
        /// Write it to this new file, readable only by its owner, instead of standard output; missing directories are created
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Do nothing if that file exists, so that the command can run before each startup
        #[arg(long, requires = "out")]
        unless_exists: bool,
    },
    /// Add a private key in PEM to a JWK Set; it is published immediately and signs after the lead time
    Add(AddArgs),
    /// Add the next key, which signs after the lead time, and remove keys past their retention period
    Rotate(RotateArgs),
    /// List the keys of a JWK Set with their state, its next change and the end of publication
    List {
        /// The JWK Set
        file: PathBuf,
    },
    /// Print the public keys of a JWK Set, as verifiers receive them
    Public {
        /// The JWK Set
        file: PathBuf,
    },
}

#[derive(Args)]
pub(super) struct AddArgs {
    /// The JWK Set; created if it does not exist
    pub(super) file: PathBuf,
    /// The private key in PEM: PKCS#8, PKCS#1 or SEC1; `-` reads standard input
    #[arg(long, value_name = "KEY.pem")]
    pub(super) from: PathBuf,
    /// The signature algorithm [default: RS256 for RSA, otherwise determined by the curve]
    #[arg(long)]
    pub(super) alg: Option<String>,
    /// The `kid` [default: the RFC 7638 thumbprint]
    #[arg(long)]
    pub(super) kid: Option<String>,
    /// The lead time between publication and first signature [default: from the configuration, else 1h]
    #[arg(long, value_name = "DURATION")]
    pub(super) lead: Option<String>,
    /// Sign immediately, although verifiers may not have the key yet
    #[arg(long, conflicts_with = "lead")]
    pub(super) now: bool,
}

#[derive(Args)]
pub(super) struct RotateArgs {
    /// The JWK Set
    pub(super) file: PathBuf,
    /// The algorithm of the next key [default: the algorithm of the key that signs now]
    #[arg(long)]
    pub(super) alg: Option<String>,
    /// The lead time between publication and first signature [default: from the configuration, else 1h]
    #[arg(long, value_name = "DURATION")]
    pub(super) lead: Option<String>,
    /// How long an expired key stays in the file [default: from the configuration, else 24h]
    #[arg(long, value_name = "DURATION")]
    pub(super) retire: Option<String>,
    /// For leaked keys: sign with new keys immediately and remove all private keys of the file
    #[arg(long, conflicts_with_all = ["lead", "retire", "alg"])]
    pub(super) now: bool,
    /// Print what would change, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum SyntaxArg {
    Handlebars,
    Go,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum MissingArg {
    Error,
    #[value(name = "as_null")]
    AsNull,
    Omit,
}

impl From<SyntaxArg> for Syntax {
    fn from(syntax: SyntaxArg) -> Self {
        match syntax {
            SyntaxArg::Handlebars => Syntax::Handlebars,
            SyntaxArg::Go => Syntax::Go,
        }
    }
}

impl From<MissingArg> for Missing {
    fn from(missing: MissingArg) -> Self {
        match missing {
            MissingArg::Error => Missing::Error,
            MissingArg::AsNull => Missing::AsNull,
            MissingArg::Omit => Missing::Omit,
        }
    }
}
