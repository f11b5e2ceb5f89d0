//! The command line: each command is a thin layer over the same calls that the service makes.
//!
//! Exit codes: 0 done, 1 refused, 2 wrong usage, 78 wrong configuration. Output is for people, with `--json` for
//! programs; results go to standard output, everything about them to standard error.

mod cases;
mod demo;
mod import;
mod keys;
mod man;
mod oathkeeper;
mod output;
mod serve;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::templates::{Missing, Syntax};
use output::Failure;

#[derive(Parser)]
#[command(
    name = "claimsmith",
    version,
    about = "An authenticated session in over HTTP, a signed JWT out: the hydrator for Ory Oathkeeper",
    after_help = "Start with: claimsmith demo"
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct Global {
    /// The configuration [environment: CLAIMSMITH_CONFIG] [default: claimsmith.yaml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write for programs instead of people
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Serve tokens, key sets and health as the configuration says
    Serve(SourceArgs),
    /// Show the whole path on one machine: a generated key, a real hydrate call, the token verified
    Demo {
        /// Stop after the show instead of serving on
        #[arg(long)]
        once: bool,
    },
    /// Check configuration, keys, templates and recorded cases, and name every fault
    Check(SourceArgs),
    /// Render one template over one session and print the claims
    Render(RenderArgs),
    /// Run recorded cases, a JSON object a line, and show where claims differ
    Test {
        /// Files of cases; `-` reads standard input
        #[arg(required = true, value_name = "CASES.jsonl")]
        files: Vec<PathBuf>,
    },
    /// Turn another service's configuration into claimsmith's own
    Import {
        #[command(subcommand)]
        command: ImportCommand,
    },
    /// Make, change and look at keys
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Verify a token against a JWK Set and print what it says
    Verify(VerifyArgs),
    /// Print the JSON Schema of the configuration
    Schema,
    /// Ask a running service whether it is ready; for containers without curl
    Health {
        /// What to ask [default: readiness on the configured admin listener]
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
        /// Write it and a page for each command into this folder instead
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

#[derive(Args)]
struct SourceArgs {
    /// Take profiles from this Oathkeeper configuration and its access rules, as they are; everything else then comes
    /// from --config if that is given, and from the environment
    #[arg(long, value_name = "FILE")]
    oathkeeper: Option<PathBuf>,
}

#[derive(Args)]
struct RenderArgs {
    #[command(flatten)]
    source: TemplateArg,
    /// The session, a JSON file; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    session: PathBuf,
    /// The language of the template
    #[arg(long, value_enum, default_value = "handlebars")]
    syntax: SyntaxArg,
    /// What a missing value means
    #[arg(long, value_enum, default_value = "error")]
    missing: MissingArg,
    /// The profile that the template sees as `Profile`
    #[arg(long, default_value = "render")]
    profile: String,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct TemplateArg {
    /// The template, a file; partials are taken from `../_partials` beside it
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// The template itself
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
}

#[derive(Args)]
struct VerifyArgs {
    /// The token; `-` reads standard input
    token: String,
    /// A JWK Set: a file, or an http or https URL
    #[arg(long, value_name = "URL-OR-FILE")]
    jwks: String,
    /// The issuer that it must name
    #[arg(long)]
    issuer: Option<String>,
    /// An audience that it must be for
    #[arg(long)]
    audience: Option<String>,
}

#[derive(Subcommand)]
enum ImportCommand {
    /// Oathkeeper's id_token mutator, global and of every access rule: templates in Handlebars, a configuration, recorded
    /// cases, and a report of what changed
    Oathkeeper {
        /// Oathkeeper's configuration, in YAML or JSON
        file: PathBuf,
        /// A new folder for the result
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Make a private key, as a JWK Set of one
    Generate {
        /// The algorithm it signs with
        #[arg(long, default_value = "ES256")]
        alg: String,
        /// Its key id [default: a random UUID]
        #[arg(long)]
        kid: Option<String>,
        /// Its size in bits, for RSA and HMAC keys
        #[arg(long)]
        bits: Option<u32>,
        /// Write it to this new file, readable by its owner alone, instead of standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Do nothing where that file is there already, so that the command can stand before every start
        #[arg(long, requires = "out")]
        unless_exists: bool,
    },
    /// Add a private key in PEM to a JWK Set: published at once, signing after the lead
    Add(AddArgs),
    /// Add the next key to a JWK Set, published at once and signing after the lead, and drop the dead ones
    Rotate(RotateArgs),
    /// List the keys of a JWK Set: what each does, when that changes, until when it is published
    List {
        /// The set
        file: PathBuf,
    },
    /// Print the public half of a JWK Set, as verifiers get it
    Public {
        /// The set
        file: PathBuf,
    },
}

#[derive(Args)]
struct AddArgs {
    /// The set; a new file if there is none
    file: PathBuf,
    /// The private key in PEM: PKCS#8, PKCS#1 or SEC1; `-` reads standard input
    #[arg(long, value_name = "KEY.pem")]
    from: PathBuf,
    /// The algorithm it signs with [default: RS256 for RSA, what the curve says for others]
    #[arg(long)]
    alg: Option<String>,
    /// Its key id [default: its RFC 7638 thumbprint]
    #[arg(long)]
    kid: Option<String>,
    /// How long it is published before it signs [default: what the configuration says, else 1h]
    #[arg(long, value_name = "DURATION")]
    lead: Option<String>,
    /// Let it sign at once, although verifiers may not have it yet
    #[arg(long, conflicts_with = "lead")]
    now: bool,
}

#[derive(Args)]
struct RotateArgs {
    /// The set
    file: PathBuf,
    /// The algorithm of the next key [default: that of the key that signs now]
    #[arg(long)]
    alg: Option<String>,
    /// How long it is published before it signs [default: what the configuration says, else 1h]
    #[arg(long, value_name = "DURATION")]
    lead: Option<String>,
    /// How long an ended key stays in the file [default: what the configuration says, else 24h]
    #[arg(long, value_name = "DURATION")]
    retire: Option<String>,
    /// For keys that others may know: new keys sign at once, and every private key of the file goes at once
    #[arg(long, conflicts_with_all = ["lead", "retire", "alg"])]
    now: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum SyntaxArg {
    Handlebars,
    Go,
}

#[derive(Clone, Copy, ValueEnum)]
enum MissingArg {
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

/// Runs the command line of the process; the exit code says how it went.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { global, command } = cli;
    match command {
        Command::Serve(source) => serve::serve(&global, source.oathkeeper.as_deref()),
        Command::Demo { once } => demo::demo(once),
        Command::Check(source) => serve::check(&global, source.oathkeeper.as_deref()),
        Command::Render(args) => cases::render(&args, global.json),
        Command::Test { files } => cases::test(&files, global.json),
        Command::Import { command: ImportCommand::Oathkeeper { file, out } } => {
            import::oathkeeper(&file, &out, global.json)
        }
        Command::Keys { command } => keys::run(command, &global),
        Command::Verify(args) => verify::verify(&args, global.json),
        Command::Schema => output::line(&crate::config::schema()),
        Command::Health { url } => serve::health(&global, url),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "claimsmith", &mut script);
            output::bytes(&script)
        }
        Command::Man { out } => man::man(&Cli::command(), out.as_deref()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
