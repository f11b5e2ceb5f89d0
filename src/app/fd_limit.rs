//! The limit of open files (`RLIMIT_NOFILE`): raised to what the configuration can need.

use crate::config::Config;

/// File descriptors besides connections: listeners, queues, files that are read again, remote key sources.
const RESERVED_DESCRIPTORS: u64 = 128;

/// Raises the soft limit of open files, at most to the hard limit, if `config` can need more. Returns a warning if that
/// is not enough. At the limit, new connections wait and changed files cannot be read.
#[cfg(unix)]
pub fn raise_nofile_limit(config: &Config) -> Option<String> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let connections = config.limits.connections;
    let needed = super::accepted(connections) as u64 + super::ADMIN_CONNECTIONS as u64 + RESERVED_DESCRIPTORS;
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
            "limits.connections: expected at least {needed} permitted open files for {connections} connections, found \
             {current}; raise the limit (ulimit -n, LimitNOFILE) or lower limits.connections"
        )
    })
}

/// Returns no warning, because only Unix has this limit.
#[cfg(not(unix))]
pub fn raise_nofile_limit(_: &Config) -> Option<String> {
    None
}
