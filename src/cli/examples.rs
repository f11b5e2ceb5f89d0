//! Examples for `--help` and the manual pages of each command.

use clap::Command;

/// Each command, and its examples: a comment in one line, and the command in the next.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "serve",
        &[
            "# Serve the profiles of claimsmith.yaml",
            "claimsmith serve",
            "# Serve the configuration of Oathkeeper unchanged",
            "claimsmith serve --oathkeeper oathkeeper.yml",
        ],
    ),
    ("demo", &["# Show the full flow and exit", "claimsmith demo --once"]),
    (
        "init",
        &[
            "# Create a directory that check accepts and serve serves",
            "claimsmith init claimsmith",
            "# Use the key type and the issuer of an existing set-up",
            "claimsmith init claimsmith --alg RS256 --issuer https://id.example.org/",
        ],
    ),
    (
        "check",
        &[
            "# Report all errors of claimsmith.yaml and its files",
            "claimsmith check",
            "# Check before a deployment, for a program",
            "claimsmith check --config /etc/claimsmith/claimsmith.yaml --json",
        ],
    ),
    (
        "check-session",
        &[
            "# Show the token and the headers of a recorded session",
            "curl -s -b cookies.txt http://kratos:4433/sessions/whoami | claimsmith check-session web --session -",
            "# Show where a browser is redirected when its login is too old",
            "claimsmith check-session web --session whoami.json --browser --url https://app.example.org/a --at 2026-06-01T00:00:00Z",
        ],
    ),
    (
        "render",
        &[
            "# Render a template over a recorded session",
            "claimsmith render --template templates/identity/claims.hbs --session templates/identity/kratos.session.json",
            "# Try one expression on standard input",
            "echo '{\"subject\":\"ann\",\"extra\":{\"name\":\"Ann\"}}' | claimsmith render --text '{\"name\": {{Extra.name}}}' --session -",
            "# Use your own session of Kratos",
            "curl -s -b cookies.txt https://id.example.org/sessions/whoami | jq '{subject: .identity.id, extra: .}' > session.json",
        ],
    ),
    ("test", &["# Run recorded cases", "claimsmith test cases.jsonl"]),
    (
        "import oathkeeper",
        &[
            "# Convert a configuration and its access rules",
            "claimsmith import oathkeeper oathkeeper.yml --out claimsmith",
        ],
    ),
    (
        "keys generate",
        &[
            "# Create a key file; missing directories are created",
            "claimsmith keys generate --alg RS256 --out keys/id_token.jwks.json",
            "# Create it before each startup, if it does not exist",
            "claimsmith keys generate --out keys/id_token.jwks.json --unless-exists",
        ],
    ),
    ("keys add", &["# Add a key from openssl", "claimsmith keys add keys/id_token.jwks.json --from key.pem"]),
    (
        "keys rotate",
        &[
            "# Show what a rotation would change",
            "claimsmith keys rotate keys/id_token.jwks.json --dry-run",
            "# Replace leaked keys",
            "claimsmith keys rotate keys/id_token.jwks.json --now",
        ],
    ),
    ("keys list", &["# Show which key signs, and until when", "claimsmith keys list keys/id_token.jwks.json"]),
    (
        "keys public",
        &[
            "# Give verifiers a file instead of a URL",
            "claimsmith keys public keys/id_token.jwks.json > public.jwks.json",
        ],
    ),
    (
        "verify",
        &[
            "# Verify a token, with or without the word Bearer",
            "claimsmith verify - --jwks http://127.0.0.1:4477/.well-known/jwks.json < token.txt",
            "# Require issuer and audience",
            "claimsmith verify - --jwks public.jwks.json --issuer https://id.example.org/ --audience orders < token.txt",
        ],
    ),
    ("inspect", &["# Show a token without its keys; nothing is verified", "claimsmith inspect - < token.txt"]),
    ("schema", &["# Let an editor complete and check the configuration", "claimsmith schema > claimsmith.schema.json"]),
    (
        "health",
        &[
            "# Check readiness on the configured admin listener",
            "claimsmith health",
            "# Check another host",
            "claimsmith health --url http://127.0.0.1:4478/health/ready",
        ],
    ),
    (
        "completions",
        &["# Complete commands in bash", "claimsmith completions bash > /etc/bash_completion.d/claimsmith"],
    ),
    (
        "man",
        &[
            "# Read the manual",
            "claimsmith man | man -l -",
            "# Install a page for each command",
            "claimsmith man --out /usr/local/share/man/man1",
        ],
    ),
];

/// Returns `command` with the examples of each command below it.
pub(super) fn added_to(command: Command) -> Command {
    add(command, "")
}

fn add(command: Command, path: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    let command = match EXAMPLES.iter().find(|(name, _)| *name == path) {
        Some((_, lines)) => command.after_help(format!("Examples:\n  {}", lines.join("\n  "))),
        None => command,
    };
    names.into_iter().fold(command, |command, name| {
        let below = if path.is_empty() { name.clone() } else { format!("{path} {name}") };
        command.mut_subcommand(name, |command| add(command, &below))
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::args::Cli;

    fn leaves(command: &Command, path: &str, found: &mut Vec<String>) {
        for below in command.get_subcommands() {
            let path = format!("{path} {}", below.get_name()).trim().to_owned();
            if below.has_subcommands() { leaves(below, &path, found) } else { found.push(path) }
        }
    }

    #[test]
    fn every_command_has_examples() {
        let mut found = Vec::new();
        leaves(&Cli::command(), "", &mut found);
        found.sort();
        let mut known: Vec<String> = EXAMPLES.iter().map(|(name, _)| (*name).to_owned()).collect();
        known.sort();
        assert_eq!(found, known);
    }

    #[test]
    fn examples_are_valid_commands() {
        for line in EXAMPLES.iter().flat_map(|(_, lines)| lines.iter()).filter(|line| !line.starts_with('#')) {
            let commands = line.split('|').map(str::trim).filter(|part| part.starts_with("claimsmith "));
            for command in commands {
                let words = command.split(['<', '>']).next().unwrap_or_default();
                // Quoted arguments have no spaces that matter here.
                let words: Vec<&str> = match words.split_once('\'') {
                    Some((before, rest)) => {
                        let (quoted, after) = rest.split_once('\'').unwrap();
                        before.split_whitespace().chain([quoted]).chain(after.split_whitespace()).collect()
                    }
                    None => words.split_whitespace().collect(),
                };
                if let Err(error) = Cli::command().try_get_matches_from(words) {
                    panic!("{command}: {error}");
                }
            }
        }
    }
}
