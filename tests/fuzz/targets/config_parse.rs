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
            let config = &loaded.config;
            assert!(!config.profiles.is_empty(), "a configuration without a profile");
            let sources = config.key_names();
            for profile in config.profiles.values() {
                assert!(!profile.issuer.is_empty(), "a profile without an issuer");
                assert!(sources.contains_key(&profile.jwks), "a profile whose keys have no name");
            }
            for file in config.key_files() {
                let ttl = config.longest_ttl(file).expect("a key file belongs to a profile");
                if let Some(rotation) = &config.rotation {
                    let _ = config.rotation_of(rotation, ttl);
                }
            }
            assert!(!format!("{loaded:?}").is_empty());
            assert_eq!(Config::parse(text, base_dir, &environment).as_ref(), Ok(&loaded), "the same text, read again");
        }
        Err(error) => check(&error, &[text], &environment),
    }
});
