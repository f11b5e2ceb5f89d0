//! A cached `extra` never changes what is read of a session. `make fuzz` checks the same for arbitrary bytes.

use claimsmith::json::ReadLimits;
use proptest::prelude::*;

#[expect(unreachable_pub, reason = "the fuzz targets use this file as a module of a library")]
#[path = "../fuzz/src/extra_cache.rs"]
mod check;

use check::{READINGS, check};

const LIMITS: ReadLimits = ReadLimits { depth: 64 };

/// Longer than what is cached at least, whatever else is in the object.
const FILLER: &str =
    r#""filler":"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123""#;

fn white_space() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("\r\n\t")]
}

/// Member names that the selections of [`READINGS`] contain, some of them escaped, and one other.
fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "\\u0061", "é\\\"", "\\u00e9\\\"", "other"])
}

/// The text of a JSON value. Names may repeat, because sessions with repeated names must be rejected both times.
fn value() -> impl Strategy<Value = String> {
    let scalars =
        vec!["null", "true", "-0", "2.50", "12345678901234567890", "1e21", r#""""#, r#""x\u00e9\ud83d\ude00 y""#];
    prop::sample::select(scalars).prop_map(str::to_owned).prop_recursive(5, 24, 4, |inner| {
        let elements = prop::collection::vec((white_space(), inner.clone()), 0..4);
        let array = elements.prop_map(|elements| {
            let elements: Vec<String> = elements.into_iter().map(|(space, text)| format!("{space}{text}")).collect();
            format!("[{}]", elements.join(","))
        });
        prop_oneof![array, members(inner).prop_map(|members| format!("{{{members}}}"))]
    })
}

fn members(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = (white_space(), name(), white_space(), value);
    prop::collection::vec(member, 0..4).prop_map(|members| {
        let text = |(before, name, space, value)| format!("{before}\"{name}\":{space}{value}");
        members.into_iter().map(text).collect::<Vec<_>>().join(",")
    })
}

/// An `extra` that is long enough for the cache.
fn extra() -> impl Strategy<Value = String> {
    members(value()).prop_map(|members| {
        let comma = if members.is_empty() { "" } else { "," };
        format!("{{{members}{comma}{FILLER}}}")
    })
}

/// What precedes and what follows `extra`.
fn surroundings() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop::sample::select(vec![
        (r#"{"subject":"u","extra":"#, "}"),
        (r#"{ "header" : {"X":["1"]}, "Extra": "#, r#" , "subject":"u\u00e9"}"#),
        (r#"{"e\u0078tra":"#, r#","subject":"u","match_context":{"url":{}},"new":[1.0]}"#),
        (r#"{"new":{"extra":"#, r#"},"subject":"u"}"#),
        (r#"{"subject":"u","extra":"#, r#","extra":null}"#),
        (r#"{"subject":"u","extra":"#, "x}"),
        (r#"{"subject":7,"extra":"#, "}"),
    ])
}

fn session(extra: &str, (before, after): (&str, &str)) -> String {
    format!("{before}{extra}{after}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]

    #[test]
    fn cached_extra_reads_like_parsed_extra(
        extra in extra(),
        earlier in surroundings(),
        later in surroundings(),
        depths in (1_usize..10, 1_usize..10),
        reading in 0..READINGS.len(),
    ) {
        let (earlier, later) = (session(&extra, earlier), session(&extra, later));
        let (left, right) = (ReadLimits { depth: depths.0 }, ReadLimits { depth: depths.1 });
        check(&READINGS[reading], (earlier.as_bytes(), LIMITS), (later.as_bytes(), LIMITS));
        check(&READINGS[reading], (earlier.as_bytes(), left), (later.as_bytes(), right));
    }

    #[test]
    fn cached_extra_is_ignored_when_one_byte_differs(
        extra in extra(),
        position in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        reading in 0..READINGS.len(),
    ) {
        let around = (r#"{"subject":"u","extra":"#, "}");
        let earlier = session(&extra, around);
        let mut later = earlier.clone().into_bytes();
        let position = position.index(later.len());
        later[position] = byte;
        check(&READINGS[reading], (earlier.as_bytes(), LIMITS), (&later, LIMITS));
    }
}

#[test]
fn cached_extra_is_used_when_bytes_are_equal() {
    let extra = format!(r#"{{"a":{{"b":{{"c":[1, 2.50]}}}},"b":1,{FILLER}}}"#);
    let earlier = session(&extra, (r#"{"subject":"u","extra":"#, "}"));
    let later = session(&extra, (r#"{ "header" : null, "Extra": "#, r#" , "subject":"v"}"#));
    for reading in READINGS.iter() {
        assert!(check(reading, (earlier.as_bytes(), LIMITS), (later.as_bytes(), LIMITS)));
        let shallow = ReadLimits { depth: 3 };
        assert!(!check(reading, (earlier.as_bytes(), LIMITS), (later.as_bytes(), shallow)), "the limit still applies");
    }
}
