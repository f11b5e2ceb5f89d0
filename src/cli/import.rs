//! `import oathkeeper`: converts Oathkeeper's configuration to claimsmith's own.

use std::cell::RefCell;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::output::{self, Failure};
use super::source::{environment, oathkeeper_source, read_rules};
use crate::escape;
use crate::oathkeeper::{Import, ImportedFile, OathkeeperConfig};
use crate::reload::Files;

pub(super) fn oathkeeper(paths: &[PathBuf], out: &Path, as_json: bool) -> Result<(), Failure> {
    let file = paths.first().map_or(Path::new(""), PathBuf::as_path);
    let rejected = |faults: Vec<String>| {
        let faults: Vec<_> = faults.iter().map(|fault| escape::line(fault)).collect();
        let name = file.display().to_string();
        let message = format!("{} cannot be imported:\n  {}", escape::line(&name), faults.join("\n  "));
        Failure::Configuration(message, Vec::new())
    };
    let source = oathkeeper_source(paths);
    let files = RefCell::new(Files::new());
    let read = source.read(&environment(), &|path| read_rules(&source, path, &mut files.borrow_mut()));
    let config =
        read.config.map_err(|faults| match rejected(faults.iter().map(|fault| fault.message.clone()).collect()) {
            Failure::Configuration(message, _) => Failure::Configuration(message, faults),
            other => other,
        })?;
    let import = Import::of(OathkeeperConfig::clone(&config), file).map_err(rejected)?;
    write(&import.files(), out)?;
    if as_json {
        return output::line(&import.report_json());
    }
    import.warnings().iter().for_each(output::remark);
    output::line(&import.summary(out))?;
    output::line(&import.oathkeeper_change())
}

/// Writes `files` into the directory `out`, which must be new or empty.
fn write(files: &[ImportedFile], out: &Path) -> Result<(), Failure> {
    let is_taken = fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
    if is_taken {
        let message = format!(
            "cannot write to {}: expected a new or empty directory, found files in it; choose another directory",
            out.display()
        );
        return Err(Failure::Refused(message));
    }
    files
        .iter()
        .try_for_each(|file| write_file(file, &out.join(&file.path)))
        .map_err(|error| Failure::Refused(format!("cannot write to {}: {error}", out.display())))
}

fn write_file(file: &ImportedFile, path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    if file.is_private { output::private_file(path)?.write_all(&file.bytes) } else { fs::write(path, &file.bytes) }
}
