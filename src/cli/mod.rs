//! The command line: each command is a thin layer over the calls that the service makes.
//!
//! Exit codes: 0 success, 1 failure, 2 usage error, 78 configuration error. Output is text; `--json` prints JSON. Results
//! go to standard output, everything else to standard error.
//!
//! The files in import order: `args`, `output`, `runtime`, `http`, `drop_in`, `source`, then one file per command. No command imports
//! another one.

mod args;
mod cases;
mod check;
mod check_session;
mod demo;
mod examples;
mod health;
mod http;
mod import;
mod init;
mod inspect;
mod keys;
mod man;
mod output;
mod runtime;
mod serve;
mod source;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::escape;
use args::{Cli, Command, ImportCommand};
use output::Failure;

/// Runs the command line of the process and returns its exit code.
pub fn main() -> ExitCode {
    let parsed = command_line().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            if error.use_stderr() && wants_json() {
                Failure::Usage(error.to_string()).report(true);
                return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
            }
            let mut text = error.render().to_string();
            let arguments: Vec<String> = std::env::args_os().map(|part| part.to_string_lossy().into_owned()).collect();
            // The text quotes arguments, or the values of options, as they are.
            for part in arguments.iter().flat_map(|argument| argument.splitn(2, '=')).filter(|part| !part.is_empty()) {
                text = text.replace(part, &escape::line(part));
            }
            match error.use_stderr() {
                true => output::block(text.trim_end()),
                false => drop(output::line(text.trim_end())),
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let as_json = cli.global.json;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report(as_json);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Returns the command line with its examples.
fn command_line() -> clap::Command {
    examples::added_to(Cli::command())
}

/// Returns `true` if the arguments request JSON, although they are invalid.
fn wants_json() -> bool {
    std::env::args_os().skip(1).take_while(|argument| argument != "--").any(|argument| argument == "--json")
}

fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { global, command } = cli;
    match command {
        Command::Serve(source) => serve::serve(&global, &source.oathkeeper),
        Command::Demo { once } => demo::demo(once, global.json),
        Command::Init { directory, alg, issuer } => init::init(&directory, &alg, &issuer, global.json),
        Command::Check(source) => check::check(&global, &source.oathkeeper),
        Command::CheckSession(args) => check_session::check_session(&global, &args),
        Command::Render(args) => cases::render(&args, global.json),
        Command::Test { files } => cases::test(&files, &global),
        Command::Import { command: ImportCommand::Oathkeeper { files, out } } => {
            import::oathkeeper(&files, &out, global.json)
        }
        Command::Keys { command } => keys::run(command, &global),
        Command::Verify(args) => verify::verify(&args, global.json),
        Command::Inspect { token } => inspect::inspect(&token, global.json),
        Command::Schema => output::line(&crate::config::schema()),
        Command::Health { url } => health::health(&global, url),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command_line(), "claimsmith", &mut script);
            output::bytes(&script)
        }
        Command::Man { out } => man::man(&command_line(), out.as_deref()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command_line().debug_assert();
    }
}
