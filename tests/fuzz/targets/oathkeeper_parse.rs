//! Any texts as Oathkeeper's configuration and access rules: reading never panics, and every fault has a place.
//!
//! A line `---8<---` separates the configuration from the access rules. After the first NUL of the configuration come
//! environment variables, one `NAME=value` on each line.
#![no_main]

use std::cell::Cell;
use std::collections::BTreeSet;

use claimsmith::OathkeeperConfig;
use claimsmith_fuzz::faults::{check, split_environment};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let (configuration, rules) = input.split_once("\n---8<---\n").unwrap_or((input, ""));
    let (text, environment) = split_environment(configuration);
    let fetches = Cell::new(0);
    let parsed = OathkeeperConfig::parse("oathkeeper.yml", text, &environment, &|_| {
        fetches.set(fetches.get() + 1);
        // Only the first source can be read, so that failing sources are tested too.
        if fetches.get() == 1 { Ok(rules.as_bytes().to_vec()) } else { Err("a fetch that fails".to_owned()) }
    });
    match parsed {
        Ok(config) => {
            let names: BTreeSet<&str> = config.profiles.iter().map(|profile| profile.name().as_str()).collect();
            assert_eq!(names.len(), config.profiles.len(), "two profiles have one name");
        }
        Err(error) => check(&error, &[text, rules], &environment),
    }
});
