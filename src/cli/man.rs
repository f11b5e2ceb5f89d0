//! `man`: the manual pages, made of the same words as `--help`.

use std::path::Path;

use anyhow::Context as _;
use clap::Command;
use clap_mangen::Man;

use super::output::{self, Failure};

/// Prints the page of `command`, or writes it and those of all commands below it into the folder `out`.
pub(super) fn man(command: &Command, out: Option<&Path>) -> Result<(), Failure> {
    // `help` has no page: what it would say stands in those of the commands.
    let command = command.clone().disable_help_subcommand(true);
    let Some(folder) = out else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page).context("the manual page cannot be made")?;
        return output::bytes(&page);
    };
    clap_mangen::generate_to(command, folder)
        .with_context(|| format!("expected {} to be a folder that can be written", folder.display()))?;
    Ok(())
}
