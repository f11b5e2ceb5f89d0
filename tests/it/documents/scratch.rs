//! A directory like a clone of the repository after a build, in which the commands of a document run.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::markdown::repository;
use crate::support::Folder;

/// The address in the documents.
const DOCUMENTED: &str = "127.0.0.1:4477";

/// Starts `serve` in the background on free ports and writes its address into a file. Other commands run the binary.
const CLAIMSMITH: &str = r#"#!/bin/sh
if [ "${1:-}" != serve ]; then exec "@BINARY@" "$@"; fi
: > "@FOLDER@/serve.log"
CLAIMSMITH_SERVE_API_PORT=0 CLAIMSMITH_SERVE_ADMIN_PORT=0 CLAIMSMITH_LOG_FORMAT=json \
    "@BINARY@" "$@" > /dev/null 2> "@FOLDER@/serve.log" &
echo $! >> "@FOLDER@/serve.pids"
until grep '"message":"serving"' "@FOLDER@/serve.log" | sed -n 's/.*"api":"\([^"]*\)".*/\1/p' > "@FOLDER@/serve.api" &&
    [ -s "@FOLDER@/serve.api" ]; do
    kill -0 $! || { cat "@FOLDER@/serve.log" >&2; exit 1; }
    sleep 0.02
done
"#;

/// Builds nothing, because the binary exists. `run` runs the binary.
const CARGO: &str = r#"#!/bin/sh
case "$1" in
    run) while [ $# -gt 0 ] && [ "$1" != -- ]; do shift; done; shift ;;
    *) exit 0 ;;
esac
if [ "${1:-}" = demo ]; then set -- "$@" --once; fi
exec claimsmith "$@"
"#;

/// Returns the script that replaces a command which cannot run here.
fn replacement(command: &str) -> String {
    match command {
        // A dry run fails if the target does not exist.
        "make" => {
            let root = repository().display();
            format!("PATH=${{PATH#*:}} exec make --dry-run --directory '{root}' \"$@\" > /dev/null")
        }
        // The files of this repository in the arguments must exist.
        _ => {
            "for word in \"$@\"; do\n    case $word in deploy/*|templates/*) test -e \"$word\" || exit 1 ;; esac\ndone"
                .to_owned()
        }
    }
}

pub(super) struct Scratch(Folder);

impl Scratch {
    pub(super) fn new() -> Self {
        let folder = Folder::new();
        for name in ["claimsmith.yaml", "templates", "deploy"] {
            copy(&repository().join(name), &folder.path().join(name));
        }
        fs::create_dir(folder.path().join("keys")).unwrap();
        let scratch = Self(folder);
        let ours = CLAIMSMITH
            .replace("@BINARY@", env!("CARGO_BIN_EXE_claimsmith"))
            .replace("@FOLDER@", scratch.path().to_str().unwrap());
        scratch.command("claimsmith", &ours);
        scratch.command("cargo", CARGO);
        fs::create_dir_all(scratch.path().join("target/release")).unwrap();
        symlink(scratch.path().join("bin/claimsmith"), scratch.path().join("target/release/claimsmith")).unwrap();
        scratch
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        self.0.write(name, text);
    }

    fn command(&self, name: &str, script: &str) {
        let path = self.0.write(&format!("bin/{name}"), script);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs `script` in the directory `within` with `sh -eu`. Replacements run instead of the commands in `replaced`.
    /// The documented address becomes the address of the running service.
    pub(super) fn run(&self, script: &str, within: &str, replaced: &[&str]) -> Output {
        for command in replaced {
            self.command(command, &format!("#!/bin/sh\n{}\n", replacement(command)));
        }
        let api = fs::read_to_string(self.path().join("serve.api")).unwrap_or_default();
        let script = if api.is_empty() { script.to_owned() } else { script.replace(DOCUMENTED, api.trim()) };
        let path = format!("{}:{}", self.path().join("bin").display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-euc", &script]).current_dir(self.path().join(within)).env("PATH", path).stdin(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CLAIMSMITH_")) {
            shell.env_remove(name);
        }
        let output = shell.output().unwrap();
        for command in replaced {
            fs::remove_file(self.path().join("bin").join(command)).unwrap();
        }
        output
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let pids = fs::read_to_string(self.path().join("serve.pids")).unwrap_or_default();
        for pid in pids.lines() {
            let _ = Command::new("kill").args(["-KILL", pid]).status();
        }
    }
}

/// Copies a file, or a directory with its content.
fn copy(from: &Path, to: &PathBuf) {
    if from.is_file() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}
