//! Any text as `claimsmith.yaml`: reading never panics, every fault has a place, and a valid configuration can be used.
//!
//! After the first NUL come environment variables, one `NAME=value` on each line.
#![no_main]

use std::path::Path;

use claimsmith::config::Config;
use claimsmith_fuzz::faults::{check, split_environment};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let (text, environment) = split_environment(input);
    let base_dir = Path::new("/etc/claimsmith");
    match Config::parse(text, base_dir, &environment) {
        Ok(loaded) => {
            let specs = loaded.config.profile_specs();
            assert!(!specs.is_empty(), "a configuration without a profile");
            for spec in specs {
                assert!(!spec.issuer.as_str().is_empty(), "a profile without an issuer");
                assert!(!spec.key_set.is_empty(), "a profile whose key set has no name");
            }
            assert!(!format!("{loaded:?}").is_empty());
            assert_eq!(Config::parse(text, base_dir, &environment).as_ref(), Ok(&loaded), "the same text, read again");
        }
        Err(error) => check(&error, &[text], &environment),
    }
});
