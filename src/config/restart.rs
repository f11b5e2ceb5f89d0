//! The keys that are read only at startup. The log, the schema and the Helm chart take them from here.

use super::root::Config;
use super::serve::Serve;

/// The path of each key, and a function that returns `true` if its value differs.
type HasChanged = fn(&Config, &Config) -> bool;

pub(super) static AT_START: [(&str, HasChanged); 8] = [
    ("audit", |started, now| started.audit != now.audit),
    ("limits.connection_age", |started, now| started.limits.connection_age != now.limits.connection_age),
    ("limits.connections", |started, now| started.limits.connections != now.limits.connections),
    ("limits.connections_per_peer", |started, now| {
        started.limits.connections_per_peer != now.limits.connections_per_peer
    }),
    ("limits.keep_alive", |started, now| started.limits.keep_alive != now.limits.keep_alive),
    ("log", |started, now| started.log != now.log),
    ("serve", |started, now| {
        // A reload applies certificates and client CAs, but cannot turn TLS on or off.
        let tls = now.serve.tls.as_ref().and_then(|tls| started.serve.tls.clone().or_else(|| Some(tls.clone())));
        started.serve != Serve { tls, ..now.serve.clone() }
    }),
    ("traces", |started, now| started.traces != now.traces),
];

impl Config {
    /// Returns the keys that are read only at startup and that `now` changes.
    pub(crate) fn needs_restart(&self, now: &Config) -> Vec<&'static str> {
        AT_START.iter().filter(|(_, has_changed)| has_changed(self, now)).map(|(key, _)| *key).collect()
    }
}
