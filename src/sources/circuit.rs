//! A circuit that stops calling a dead source, and tries again by itself.

use std::time::{Duration, Instant};

/// Failed calls in a row after which the circuit opens.
const MOST_FAILURES: u32 = 5;
/// The wait before the first trial call, which doubles with each failed one.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(16);

/// Whether calls are worth their wait.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    /// Failed calls in a row.
    failures: u32,
    wait: Duration,
    /// The time of the next trial call; `None` while the circuit is closed.
    next_trial: Option<Instant>,
    /// How often the wait was set. Calls that began before the last time prove nothing new if they fail.
    openings: u64,
}

/// The permission for one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    openings: u64,
}

impl Circuit {
    /// Returns a ticket if a call can be made at `now`. While the circuit is open, this is one call for each wait.
    pub(super) fn admit(&mut self, now: Instant) -> Option<Ticket> {
        if let Some(trial) = self.next_trial {
            if now < trial {
                return None;
            }
            self.next_trial = Some(now + self.wait);
        }
        Some(Ticket { openings: self.openings })
    }

    /// Records the call of `ticket`, which ended at `now`.
    ///
    /// Many calls can fail at once. Only those that began after the circuit opened say that it must stay open.
    pub(super) fn record(&mut self, ticket: Ticket, is_dead: bool, now: Instant) {
        if !is_dead {
            *self = Self { openings: self.openings, ..Self::default() };
            return;
        }
        if ticket.openings < self.openings {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= MOST_FAILURES {
            self.wait = (self.wait * 2).clamp(SHORTEST_WAIT, LONGEST_WAIT);
            self.next_trial = Some(now + self.wait);
            self.openings += 1;
        }
    }

    /// Returns `true` if calls are refused between trials.
    pub(super) fn is_open(&self) -> bool {
        self.next_trial.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a call at `now`.
    #[track_caller]
    fn call(circuit: &mut Circuit, is_dead: bool, now: Instant) {
        let ticket = circuit.admit(now).expect("a call is permitted");
        circuit.record(ticket, is_dead, now);
    }

    fn opened(start: Instant) -> Circuit {
        let mut circuit = Circuit::default();
        (0..MOST_FAILURES).for_each(|_| call(&mut circuit, true, start));
        circuit
    }

    #[test]
    fn circuit_opens_after_failures_in_a_row_and_closes_with_a_success() {
        let start = Instant::now();
        let mut circuit = Circuit::default();
        for _ in 0..3 {
            for _ in 1..MOST_FAILURES {
                call(&mut circuit, true, start);
            }
            assert!(!circuit.is_open());
            call(&mut circuit, false, start);
        }
        let mut circuit = opened(start);
        assert!(circuit.is_open());
        let mut now = start;
        for wait in [1, 2, 4, 8, 16, 16] {
            let trial = now + Duration::from_secs(wait);
            assert_eq!(circuit.admit(trial - Duration::from_millis(1)), None, "{wait}");
            call(&mut circuit, true, trial);
            assert_eq!(circuit.admit(trial), None, "one trial at a time");
            now = trial;
        }
        call(&mut circuit, false, now + LONGEST_WAIT);
        assert!(!circuit.is_open() && circuit.admit(now + LONGEST_WAIT).is_some());
    }

    #[test]
    fn calls_that_fail_at_once_open_the_circuit_once() {
        let start = Instant::now();
        let mut circuit = Circuit::default();
        let tickets: Vec<_> = (0..20).filter_map(|_| circuit.admit(start)).collect();
        assert_eq!(tickets.len(), 20);
        tickets.iter().for_each(|ticket| circuit.record(*ticket, true, start));
        let trial = start + SHORTEST_WAIT;
        assert_eq!(circuit.admit(trial - Duration::from_millis(1)), None);
        call(&mut circuit, false, trial);
        circuit.record(tickets[0], true, trial);
        assert!((1..MOST_FAILURES).all(|_| circuit.admit(trial).is_some()) && !circuit.is_open());
        // Old failures do not count towards the next opening.
        tickets.iter().for_each(|ticket| circuit.record(*ticket, true, trial));
        assert!(!circuit.is_open());
    }

    #[test]
    fn abandoned_trial_is_followed_by_another() {
        let start = Instant::now();
        let mut circuit = opened(start);
        let abandoned = circuit.admit(start + SHORTEST_WAIT).unwrap();
        assert_eq!(circuit.admit(start + SHORTEST_WAIT), None);
        let second = circuit.admit(start + SHORTEST_WAIT * 2).unwrap();
        for late in [second, abandoned] {
            circuit.record(late, true, start + SHORTEST_WAIT * 2);
        }
        assert!(circuit.admit(start + SHORTEST_WAIT * 4).is_some(), "two trials that fail double the wait once");
    }
}
