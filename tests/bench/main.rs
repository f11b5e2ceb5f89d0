//! What a token costs: the product under load against a bare actix-web echo of the same bytes, with the same workers, in one
//! run; and whether it lasts. No part of the product.
//!
//! Servers run as child processes, so that their CPU time can be read from /proc apart from the client's. Rounds of all
//! that is compared are interleaved; tables have medians, the spread, and each figure as a ratio to the echo.
//!
//! The product's binary must stand beside this one, or be named by `CLAIMSMITH_BENCH_BINARY`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

mod connections;
mod envoy;
mod fixture;
mod fleet;
mod hydrate;
mod idle;
mod instructions;
mod load;
mod machine;
mod mixed;
mod proxied;
mod render;
mod report;
mod requests;
mod servers;
mod signature;
mod soak;
mod worst;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use servers::{Abilities, WORKERS};

const USAGE: &str =
    "claimsmith-bench [--quick] [hydrate | proxied | fleet | mixed | idle | connections | envoy | render]...
claimsmith-bench soak [--minutes MINUTES]
claimsmith-bench worst [MILLISECONDS]
claimsmith-bench instructions (hit | miss) COUNT
claimsmith-bench session BYTES";

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// How long one load of a round lasts.
    pub(crate) round: Duration,
}

const WHOLE: Effort = Effort { rounds: 7, round: Duration::from_millis(1200) };
const QUICK: Effort = Effort { rounds: 2, round: Duration::from_millis(200) };

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["serve-echo", folder] => servers::serve_echo(Path::new(folder)),
        ["serve-bare-proxy", url, token] => servers::serve_bare_proxy(url, token),
        ["instructions", case, count] => instructions::repeat(case, count.parse().expect("a count")),
        ["worst"] => worst::measure(f64::INFINITY),
        ["worst", shown] => worst::measure(shown.parse().expect("milliseconds")),
        ["session", bytes] => print!("{}", fixture::session(bytes.parse().expect("a number of bytes"))),
        ["soak", ref rest @ ..] => {
            let minutes = match rest {
                [] => 20.0,
                ["--minutes", minutes] => minutes.parse().expect("minutes"),
                _ => panic!("expected {USAGE}"),
            };
            return with_many_files(|| soak::run(Duration::from_secs_f64(minutes * 60.0)));
        }
        ["--quick", ref parts @ ..] => return with_many_files(|| measure(QUICK, parts)),
        ref parts => return with_many_files(|| measure(WHOLE, parts)),
    }
    ExitCode::SUCCESS
}

fn measure(effort: Effort, parts: &[&str]) -> ExitCode {
    const PARTS: [&str; 8] = ["idle", "hydrate", "proxied", "fleet", "mixed", "connections", "envoy", "render"];
    let unknown = parts.iter().find(|part| !PARTS.contains(part));
    assert!(unknown.is_none(), "expected {USAGE}");
    let is_wanted = |part: &str| parts.is_empty() || parts.contains(&part);
    let abilities = Abilities::of_product();
    println!(
        "{}\nclaimsmith {}, binary {:.1} MiB; {} rounds of {:.1} s, {WORKERS} workers",
        machine::description(),
        env!("CARGO_PKG_VERSION"),
        std::fs::metadata(servers::product()).unwrap().len() as f64 / (1024.0 * 1024.0),
        effort.rounds,
        effort.round.as_secs_f64()
    );
    let mut bars = Vec::new();
    type Part = fn(Effort, Abilities, &mut Vec<report::Bar>);
    let all: [(&str, Part); 7] = [
        ("idle", idle::measure),
        ("hydrate", hydrate::measure),
        ("proxied", proxied::measure),
        ("fleet", fleet::measure),
        ("mixed", mixed::measure),
        ("connections", connections::measure),
        ("envoy", envoy::measure),
    ];
    for (_, part) in all.iter().filter(|(name, _)| is_wanted(name)) {
        part(effort, abilities, &mut bars);
    }
    if is_wanted("render") {
        say("render");
        println!();
        render::measure(effort.rounds, effort.round / 12);
    }
    if !bars.is_empty() {
        report::print_bars(&bars);
    }
    ExitCode::SUCCESS
}

/// Says on standard error what is being done, so that the tables on standard output can be kept.
pub(crate) fn say(what: &str) {
    eprintln!("{what}");
}

/// Does `what` where a process may have more files open than the usual 1,024: a connection is one on either side.
/// A shell raises the limit, because this crate calls no unsafe function.
fn with_many_files(what: impl FnOnce() -> ExitCode) -> ExitCode {
    const TRIED: &str = "CLAIMSMITH_BENCH_FILES";
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    let allowed = line.split_whitespace().nth(3).and_then(|limit| limit.parse::<u64>().ok());
    if allowed.is_none_or(|allowed| allowed >= 4096) || std::env::var_os(TRIED).is_some() {
        return what();
    }
    let status = Command::new("sh")
        .args([
            "-c",
            "ulimit -n 4096 || echo 'few open files are allowed: loads of many connections will fail' >&2; exec \"$@\"",
            "sh",
        ])
        .arg(std::env::current_exe().unwrap())
        .args(std::env::args_os().skip(1))
        .env(TRIED, "1")
        .status()
        .unwrap();
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
