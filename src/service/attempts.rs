//! Failed authentications, counted by address.
//!
//! Each failure raises the level of an address by one, and the level falls to zero over a minute. An address above the
//! limit is throttled. Only failures are counted and throttled, because all users of a gateway share its address. A
//! user who guesses secrets must not lock out the gateway.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use crate::time::Timestamp;

/// Seconds in which a level at the limit falls to zero.
const WINDOW: f64 = 60.0;
/// Addresses with their own level; further addresses share one.
const MOST_ORIGINS: usize = 4096;

/// The levels of all addresses.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    levels: HashMap<Origin, Level>,
}

/// The origin of requests. Addresses that one host can move between count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    /// An IPv4 address, or the /64 of an IPv6 host.
    Address(IpAddr),
    /// A Unix socket.
    Local,
    /// All addresses without their own level.
    Others,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    height: f64,
    at: Timestamp,
}

impl Attempts {
    /// Counts a failure from `address` (`None` for a Unix socket) at `now`. Returns `true` if the address has had more
    /// than `most` failures in a minute.
    pub(super) fn is_too_many(&mut self, address: Option<IpAddr>, most: u32, now: Timestamp) -> bool {
        let most = f64::from(most);
        let mut origin = Origin::of(address);
        if !self.levels.contains_key(&origin) && self.levels.len() >= MOST_ORIGINS {
            self.levels.retain(|_, level| level.height_at(now, most) > 0.0);
            if self.levels.len() >= MOST_ORIGINS {
                origin = Origin::Others;
            }
        }
        let level = self.levels.entry(origin).or_insert(Level { height: 0.0, at: now });
        let height = level.height_at(now, most) + 1.0;
        // Cap the level just above the limit, so that a long flood is forgotten as soon as a short one.
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

impl Origin {
    /// Returns the origin of `address`, `None` for a Unix socket.
    pub(crate) fn of(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            None => Origin::Local,
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                Origin::Address(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
            }
            Some(address) => Origin::Address(address),
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
    fn address_is_throttled_above_the_limit_and_recovers() {
        let mut attempts = Attempts::default();
        let mut wrong = |text, now| attempts.is_too_many(address(text), 3, at(now));
        assert_eq!([0, 0, 0, 0, 1].map(|now| wrong("192.0.2.1", now)), [false, false, false, true, true]);
        assert!(!wrong("192.0.2.2", 1), "another address is not throttled");
        assert!(!wrong("192.0.2.1", 42), "two of three attempts have come back");
        assert!(wrong("192.0.2.1", 42) | wrong("192.0.2.1", 42));
        assert_eq!([200, 200, 200, 200].map(|now| wrong("192.0.2.1", now)), [false, false, false, true]);
    }

    #[test]
    fn moving_host_is_one_origin_even_if_time_goes_back() {
        let mut attempts = Attempts::default();
        let mut wrong = |text, now| attempts.is_too_many(address(text), 1, at(now));
        assert_eq!([wrong("2001:db8::1", 100), wrong("2001:db8::2", 100)], [false, true]);
        assert!(!wrong("2001:db8:0:1::1", 100));
        assert_eq!([wrong("192.0.2.1", 100), wrong("::ffff:192.0.2.1", 50)], [false, true]);
    }

    #[test]
    fn long_flood_is_forgotten_like_a_short_one() {
        // With a limit of three, a level falls by one in 20 seconds. It is capped at four.
        for (now, is_throttled) in [(0, true), (39, true), (40, false)] {
            let mut attempts = Attempts::default();
            for _ in 0..100 {
                attempts.is_too_many(None, 3, at(0));
            }
            assert_eq!(attempts.is_too_many(None, 3, at(now)), is_throttled, "after {now} seconds");
        }
    }

    #[test]
    fn known_address_keeps_its_level_when_there_are_too_many_others() {
        let mut attempts = Attempts::default();
        let known = address("203.0.113.9");
        attempts.is_too_many(known, 2, at(0));
        for host in 1..=MOST_ORIGINS as u32 {
            attempts.is_too_many(Some(IpAddr::V4(host.into())), 2, at(0));
        }
        assert_eq!([0, 0].map(|now| attempts.is_too_many(known, 2, at(now))), [false, true]);
    }

    #[test]
    fn memory_is_bounded_for_any_number_of_addresses() {
        let mut attempts = Attempts::default();
        for host in 0..3 * MOST_ORIGINS as u32 {
            attempts.is_too_many(Some(IpAddr::V4(host.into())), 10, at(0));
        }
        assert_eq!(attempts.levels.len(), MOST_ORIGINS + 1);
        assert!(attempts.is_too_many(address("203.0.113.9"), 10, at(0)), "the others share one level");
        assert!(!attempts.is_too_many(address("203.0.113.9"), 10, at(120)), "levels fall with time");
        assert_eq!(attempts.levels.len(), 1);
    }
}
