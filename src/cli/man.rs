//! `man`: the manual pages, generated from the texts of `--help`.

use std::path::Path;

use anyhow::Context as _;
use clap::Command;
use clap_mangen::Man;

use super::output::{self, Failure};

/// Prints the page of `command`, or writes the pages of it and its subcommands to the directory `out`.
pub(super) fn man(command: &Command, out: Option<&Path>) -> Result<(), Failure> {
    // `help` needs no page, because each command has one.
    let command = command.clone().disable_help_subcommand(true);
    let Some(folder) = out else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page).context("cannot generate the manual page")?;
        return output::bytes(&page);
    };
    clap_mangen::generate_to(command, folder)
        .with_context(|| format!("cannot write manual pages to the directory {}", folder.display()))?;
    Ok(())
}
