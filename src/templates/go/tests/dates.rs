//! Times, their layouts and methods, and durations.

use super::{refused, texts, values};
use crate::code::ErrorCode;

#[test]
fn layouts_write_what_go_writes() {
    texts(&[
        (
            "{{ now | date `Monday Mon Jan January 1 01 2 _2 02 002 __2` }}",
            "Friday Fri Jan January 1 01 16 16 16 016  16",
        ),
        ("{{ now | date `15 3 03 4 04 5 05 PM pm 06 2006` }}", "09 9 09 12 12 33 33 AM am 26 2026"),
        (
            "{{ now | date `-07:00 -0700 -07 Z07:00 Z0700 MST .000 .999 ,000000` }}",
            "+00:00 +0000 +00 Z Z UTC .000  ,000000",
        ),
        ("{{ now | date `_2006 Janus Monk 20060102150405` }}", "_2026 Janus Monk 20260116091233"),
        ("{{ toDate `2006-01-02T15:04:05Z07:00` `2026-01-02T03:04:05+02:00` }}", "2026-01-02 03:04:05 +0200 +0200"),
        (
            "{{ dateInZone `15:04 MST` now `europe/warsaw` }}|{{ dateInZone `15:04 MST` now `Europe/Warsaw` }}",
            "09:12 UTC|10:12 CET",
        ),
        (
            "{{ dateInZone `15:04 MST` now `Asia/Kolkata` }}|{{ dateInZone `MST` now `America/Sao_Paulo` }}",
            "14:42 IST|-03",
        ),
        ("{{ dateInZone `2006` 0 `UTC` }}|{{ date `2006` 1.5 }}|{{ htmlDate 0 }}", "1970|2026|1970-01-01"),
        ("{{ unixEpoch now }}|{{ ago now }}|{{ ago 0 }}", "1768554753|0s|491265h12m33s"),
    ]);
}

#[test]
fn layouts_read_what_go_reads() {
    for (layout, text, seconds) in [
        ("2006-01-02", "2024-02-29", "1709164800"),
        ("2006-01-02", "2023-02-29", "-62135596800"),
        ("2006-01-02 15:04:05", "2024-01-01 10:00:00.5", "1704103200"),
        ("2006-01-02 15:04 MST", "2024-01-01 10:00 CET", "1704103200"),
        ("2006-01-02 15:04 MST", "2024-01-01 10:00 GMT+3", "1704103200"),
        ("2006-01-02 15:04 -0700 MST", "2024-01-01 10:00 +0100 CET", "1704099600"),
        ("2006-01-02 15:04 MST", "2024-01-01 10:00 cet", "-62135596800"),
        ("2006-01-02 15:04 MST", "2024-01-01 10:00 ABCDE", "-62135596800"),
        ("Jan _2 2006", "Feb  3 2024", "1706918400"),
        ("jan 2 2006", "jan 3 2024", "1704240000"),
        ("2006 002", "2024 060", "1709164800"),
        ("3:04PM", "1:05PM", "-62167172100"),
        ("2006-01-02", "2024-01-01 ", "-62135596800"),
    ] {
        texts(&[(&format!("{{{{ (toDate `{layout}` `{text}`).Unix }}}}"), seconds)]);
    }
    refused(&[("{\"v\": \"{{ mustToDate `2006` `x` }}\"}", ErrorCode::TemplateWrongType)]);
}

#[test]
fn times_have_their_methods() {
    texts(&[
        (
            "{{ (now.Truncate 3600000000000).Format `15:04:05` }}|{{ (now.Round 3600000000000).Format `15:04:05` }}",
            "09:00:00|09:00:00",
        ),
        (
            "{{ (now.Add 1500000000).Nanosecond }}|{{ now.YearDay }}|{{ now.Weekday }}|{{ now.UnixMilli }}",
            "500000000|16|Friday|1768554753000",
        ),
        ("{{ (now.Sub (toDate `2006` `2026`)).Hours }}", "369.20916666666665"),
        ("{{ (now.Sub (toDate `2006` `2026`)).Round 3600000000000 }}", "369h0m0s"),
        ("{{ ((toDate `2006` `2026`).Sub now).Truncate 60000000000 }}", "-369h12m0s"),
        ("{{ ((toDate `2006` `2026`).Sub now).Abs }}", "369h12m33s"),
        ("{{ (now.AddDate 0 0 2000000).Year }}|{{ (now.AddDate 0 -1 20).Format `2006-01-02` }}", "7501|2026-01-05"),
        ("{{ now.Equal now }}|{{ now.Before (now.Add 1) }}|{{ (now.Add 1).After now }}", "true|true|true"),
        (
            "{{ durationRound `26h` }}|{{ durationRound `-1h` }}|{{ durationRound `x` }}|{{ durationRound `24h` }}",
            "1d|60m|0s|24h",
        ),
        ("{{ duration `99999999999999999999` }}|{{ duration 95 }}|{{ duration (int64 95) }}", "-1s|0s|1m35s"),
        ("{{ (now | dateModify `x`).Unix }}", "1768554753"),
    ]);
    values(&[("{{ eq now now }}", "true"), ("{{ now | toJson }}", "\"2026-01-16T09:12:33Z\"")]);
    refused(&[
        ("{\"v\": \"{{ now.Zone }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ now.Add 1.5 }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ mustDateModify `x` now }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ (now.AddDate 0 0 9000000000).Year }}\"}", ErrorCode::TemplateLimit),
    ]);
}
