//! Tests that compile source files of the service against other dependencies. `make models` runs them.

#[cfg(test)]
mod service;
