//! The modules of claimsmith that the fuzz targets reach, built from the files of the service itself, and the trial
//! that the targets put them to.
//!
//! Templates and keys stand on the lowest layers only (`tests/it/layers.rs` sees to it), so these files are a crate by
//! themselves, and it is built in a fraction of the time that the whole service would take.

// What other modules of claimsmith use of these is unused here.
#[allow(dead_code)]
#[path = "../../../src/claims/mod.rs"]
pub mod claims;
#[path = "../../../src/code.rs"]
pub mod code;
#[allow(dead_code)]
#[path = "../../../src/json/mod.rs"]
pub mod json;
#[cfg(feature = "keys")]
#[allow(dead_code, unused_imports)]
#[path = "../../../src/keys/mod.rs"]
pub mod keys;
#[allow(dead_code)]
#[path = "../../../src/session/mod.rs"]
pub mod session;
#[allow(dead_code, unused_imports)]
#[path = "../../../src/templates/mod.rs"]
pub mod templates;
#[allow(dead_code, clippy::disallowed_methods)]
#[path = "../../../src/time.rs"]
pub mod time;

pub mod trial;
