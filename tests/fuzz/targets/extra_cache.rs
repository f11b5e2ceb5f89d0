//! Any two sessions: the `extra` that one session left in the cache does not change how another session is read.
//!
//! The first byte chooses the selection and the limits. The rest is split at `0xFF`, which no session contains: into
//! the earlier and the later session, or into their parts around a common `extra`.
#![no_main]

use claimsmith::json::ReadLimits;
use claimsmith_fuzz::extra_cache::{READINGS, check};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    let parts: Vec<&[u8]> = rest.split(|byte| *byte == 0xFF).collect();
    let (earlier, later) = match parts.as_slice() {
        [both] => (both.to_vec(), both.to_vec()),
        [earlier, later] => (earlier.to_vec(), later.to_vec()),
        [before, extra, after, later_before, later_after, ..] => {
            ([*before, extra, after].concat(), [*later_before, extra, later_after].concat())
        }
        _ => return,
    };
    let reading = &READINGS[usize::from(choice & 3)];
    let limits = |bits: u8| ReadLimits { depth: [64, 8, 4, 3][usize::from(bits & 3)] };
    check(reading, (&earlier, limits(choice >> 2)), (&later, limits(choice >> 4)));
});
