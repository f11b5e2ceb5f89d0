//! Wrong attempts, counted for each address they come from.
//!
//! An address has a level, which each wrong attempt raises by one and which falls back to nothing over a minute. Above
//! the bound it is slowed. Only what is wrong is ever counted or slowed: a gateway is one address for everyone behind
//! it, and who guesses there must not keep the gateway itself out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use crate::time::Timestamp;

/// Seconds in which a level at the bound falls to zero.
const WINDOW: f64 = 60.0;
/// Addresses that are told apart at once; further ones share one level.
const MOST_PEERS: usize = 4096;

/// The levels of all addresses.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    levels: HashMap<Peer, Level>,
}

/// Where attempts come from, as far as one who moves between addresses is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Peer {
    /// An IPv4 address, or the /64 that an IPv6 host moves in.
    Address(IpAddr),
    /// The Unix socket.
    Local,
    /// Those for whom there was no more room.
    Others,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    height: f64,
    at: Timestamp,
}

impl Attempts {
    /// Counts a wrong attempt from `address` (`None` for a Unix socket) at `now`; whether it is one too many where
    /// `most` a minute are not.
    pub(super) fn is_too_many(&mut self, address: Option<IpAddr>, most: u32, now: Timestamp) -> bool {
        let most = f64::from(most);
        let mut peer = Peer::of(address);
        if !self.levels.contains_key(&peer) && self.levels.len() >= MOST_PEERS {
            self.levels.retain(|_, level| level.height_at(now, most) > 0.0);
            if self.levels.len() >= MOST_PEERS {
                peer = Peer::Others;
            }
        }
        let level = self.levels.entry(peer).or_insert(Level { height: 0.0, at: now });
        let height = level.height_at(now, most) + 1.0;
        // The top is one above the bound, so that a long flood is forgotten as soon as a short one.
        *level = Level { height: height.min(most + 1.0), at: now };
        height > most
    }
}

impl Level {
    fn height_at(&self, now: Timestamp, most: f64) -> f64 {
        let elapsed = now.seconds_since(self.at).max(0) as f64;
        (self.height - elapsed * most / WINDOW).max(0.0)
    }
}

impl Peer {
    /// The peer at `address`, `None` for a Unix socket.
    pub(super) fn of(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            None => Peer::Local,
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                Peer::Address(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
            }
            Some(address) => Peer::Address(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn an_address_is_slowed_above_the_bound_and_recovers() {
        let mut attempts = Attempts::default();
        let mut wrong = |text, now| attempts.is_too_many(address(text), 3, at(now));
        assert_eq!([0, 0, 0, 0, 1].map(|now| wrong("192.0.2.1", now)), [false, false, false, true, true]);
        assert!(!wrong("192.0.2.2", 1), "another address is not slowed");
        assert!(!wrong("192.0.2.1", 42), "two of three attempts have come back");
        assert!(wrong("192.0.2.1", 42) | wrong("192.0.2.1", 42));
        assert_eq!([200, 200, 200, 200].map(|now| wrong("192.0.2.1", now)), [false, false, false, true]);
    }

    #[test]
    fn hosts_that_move_are_one_peer_and_time_that_goes_back_changes_nothing() {
        let mut attempts = Attempts::default();
        let mut wrong = |text, now| attempts.is_too_many(address(text), 1, at(now));
        assert_eq!([wrong("2001:db8::1", 100), wrong("2001:db8::2", 100)], [false, true]);
        assert!(!wrong("2001:db8:0:1::1", 100));
        assert_eq!([wrong("192.0.2.1", 100), wrong("::ffff:192.0.2.1", 50)], [false, true]);
    }

    #[test]
    fn however_many_addresses_there_are_memory_is_bounded() {
        let mut attempts = Attempts::default();
        for host in 0..100_000_u32 {
            attempts.is_too_many(Some(IpAddr::V4(host.into())), 10, at(0));
        }
        assert_eq!(attempts.levels.len(), MOST_PEERS + 1);
        assert!(attempts.is_too_many(address("203.0.113.9"), 10, at(0)), "those without room share one level");
        assert!(!attempts.is_too_many(address("203.0.113.9"), 10, at(120)), "room comes back with time");
        assert_eq!(attempts.levels.len(), 1);
    }
}
