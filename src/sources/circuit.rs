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
}

impl Circuit {
    /// Returns `true` if a call can be made at `now`. While the circuit is open, this is one call for each wait.
    pub(super) fn admits(&mut self, now: Instant) -> bool {
        match self.next_trial {
            None => true,
            Some(trial) if trial <= now => {
                self.next_trial = Some(now + self.wait);
                true
            }
            Some(_) => false,
        }
    }

    /// Records a call that ended at `now`.
    pub(super) fn record(&mut self, is_dead: bool, now: Instant) {
        if !is_dead {
            *self = Self::default();
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= MOST_FAILURES {
            self.wait = (self.wait * 2).clamp(SHORTEST_WAIT, LONGEST_WAIT);
            self.next_trial = Some(now + self.wait);
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

    #[test]
    fn circuit_opens_after_failures_in_a_row_and_closes_with_a_success() {
        let start = Instant::now();
        let mut circuit = Circuit::default();
        for _ in 0..3 {
            for _ in 1..MOST_FAILURES {
                circuit.record(true, start);
            }
            assert!(circuit.admits(start) && !circuit.is_open());
            circuit.record(false, start);
        }
        for _ in 0..MOST_FAILURES {
            circuit.record(true, start);
        }
        assert!(circuit.is_open());
        let mut now = start;
        for wait in [1, 2, 4, 8, 16, 16] {
            let trial = now + Duration::from_secs(wait);
            assert!(!circuit.admits(trial - Duration::from_millis(1)), "{wait}");
            assert!(circuit.admits(trial), "{wait}");
            assert!(!circuit.admits(trial), "one trial at a time");
            circuit.record(true, trial);
            now = trial;
        }
        assert!(circuit.admits(now + LONGEST_WAIT));
        circuit.record(false, now + LONGEST_WAIT);
        assert!(!circuit.is_open() && circuit.admits(now + LONGEST_WAIT));
    }

    #[test]
    fn abandoned_trial_is_followed_by_another() {
        let start = Instant::now();
        let mut circuit = Circuit::default();
        for _ in 0..MOST_FAILURES {
            circuit.record(true, start);
        }
        assert!(circuit.admits(start + SHORTEST_WAIT));
        assert!(!circuit.admits(start + SHORTEST_WAIT));
        assert!(circuit.admits(start + SHORTEST_WAIT * 2));
    }
}
