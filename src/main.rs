//! The `claimsmith` binary: reads the command line and sets the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    claimsmith::cli::main()
}
