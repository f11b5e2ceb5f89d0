//! Tests that compile source files of the service against other dependencies. `make models` runs them.

#[cfg(test)]
mod service;
#[cfg(test)]
mod stream;

/// The part of `src/telemetry` that `stream` uses.
#[cfg(test)]
mod telemetry {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum CloseReason {
        Answer,
        Evicted,
        Pipeline,
        Request,
    }
}
