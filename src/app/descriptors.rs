//! File descriptors: as many as the configuration may need, or a word that there are fewer.

use crate::config::Config;

/// What a service holds and opens besides connections: sockets, queues, files that are read anew, key sources.
const OTHERS: u64 = 128;

/// Raises this process's own bound of open files as far as it may, where `config` can need more; says so where that is
/// not far enough. Past the bound connections wait, and changed files cannot be read.
#[cfg(unix)]
pub fn make_room(config: &Config) -> Option<String> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let connections = config.limits.connections;
    let needed = super::accepted(connections) as u64 + super::ADMIN_CONNECTIONS as u64 + OTHERS;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let current = current?;
    if current >= needed {
        return None;
    }
    let raised = maximum.map_or(needed, |maximum| maximum.min(needed));
    let current = match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }) {
        Ok(()) => raised,
        Err(_) => current,
    };
    (current < needed).then(|| {
        format!(
            "limits.connections: expected at least {needed} open files to be allowed for {connections} connections, found \
             {current}; raise the bound (ulimit -n, LimitNOFILE), or lower limits.connections"
        )
    })
}

/// Only Unix has such a bound.
#[cfg(not(unix))]
pub fn make_room(_: &Config) -> Option<String> {
    None
}
