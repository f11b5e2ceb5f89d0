//! Limits of the calls to one server: how many at once, and none while it is dead.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::circuit::{Circuit, Ticket};
use super::slots::{Slot, Slots};
use super::{CallResult, SourceFailure};

/// The calls to one server.
#[derive(Debug)]
pub(super) struct Gate {
    slots: Arc<Slots>,
    circuit: Mutex<Circuit>,
}

/// One call. Its slot is free again when this is dropped.
pub(super) struct Pass<'g> {
    gate: &'g Gate,
    ticket: Ticket,
    _slot: Slot,
}

/// Why a call is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// As many calls as possible wait.
    Busy,
    /// The server failed several times in a row.
    Open,
}

impl Gate {
    /// Returns the gate of a server that gets at most `most` calls at once.
    pub(super) fn new(most: usize) -> Self {
        Self { slots: Arc::new(Slots::new(most)), circuit: Mutex::default() }
    }

    /// Begins a call at `now`.
    ///
    /// # Errors
    /// Returns [`Refused`] if it is not to be made.
    pub(super) fn enter(&self, now: Instant) -> Result<Pass<'_>, Refused> {
        let slot = self.slots.take().ok_or(Refused::Busy)?;
        let ticket = self.circuit().admit(now).ok_or(Refused::Open)?;
        Ok(Pass { gate: self, ticket, _slot: slot })
    }

    /// Returns `true` if calls are refused because the server failed.
    pub(super) fn is_open(&self) -> bool {
        self.circuit().is_open()
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// Records the result of the call, which ended at `now`.
    pub(super) fn record(&self, result: CallResult, now: Instant) {
        self.gate.circuit().record(self.ticket, is_dead(result), now);
    }
}

/// Returns `true` if this result says more about the server than about the request. A request that makes a server fail must
/// not make others fail, although one that makes it close the connection or wait can.
fn is_dead(result: CallResult) -> bool {
    use SourceFailure::{Gateway, Reset, Timeout, Unreachable};
    matches!(result, CallResult::Failed(Gateway | Reset | Timeout | Unreachable))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn calls_at_once_are_limited() {
        let (gate, now) = (Gate::new(2), Instant::now());
        let passes = [gate.enter(now), gate.enter(now)];
        assert_eq!(gate.enter(now).err(), Some(Refused::Busy));
        drop(passes);
        assert!(gate.enter(now).is_ok());
    }

    #[test]
    fn only_failures_that_no_request_can_cause_open_the_circuit() {
        use SourceFailure::*;
        for (failure, opens) in [
            (Gateway, true),
            (Malformed, false),
            (Reset, true),
            (ServerError, false),
            (Status, false),
            (Timeout, true),
            (TooLarge, false),
            (Truncated, false),
            (Unreachable, true),
        ] {
            let (gate, now) = (Gate::new(1), Instant::now());
            for _ in 0..20 {
                if let Ok(pass) = gate.enter(now) {
                    pass.record(CallResult::Failed(failure), now);
                }
            }
            assert_eq!((gate.enter(now).is_err(), gate.is_open()), (opens, opens), "{failure:?}");
            let later = now + Duration::from_secs(1);
            gate.enter(later).ok().unwrap().record(CallResult::NoSession, later);
            assert!(!gate.is_open(), "{failure:?}");
        }
    }
}
