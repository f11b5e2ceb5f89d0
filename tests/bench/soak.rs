//! Whether it lasts: a long load at 80 % of capacity while keys rotate, templates change, some requests are bad and some
//! clients vanish. No request may get anything but what it must, every token verifies against a key set no older than
//! `jwks_max_age`, and memory stays flat.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use claimsmith::json::{Json, ReadLimits};
use claimsmith::keys::{self, SignatureAlg, check_times};
use claimsmith::time::{Clock as _, SystemClock};
use hdrhistogram::Histogram;

use crate::fixture;
use crate::hydrate::token_of;
use crate::load::{Load, Outcome, Pace, Reuse};
use crate::report::Rounds;
use crate::requests::{Ending, Kind, People, Request};
use crate::servers::{Abilities, Folder, ProfileText, Settings, exchange, start, write_keys};
use crate::{machine, say};

const CONNECTIONS: usize = 32;
const SHARE_OF_CAPACITY: f64 = 0.8;
const SEGMENT: Duration = Duration::from_secs(10);
const JWKS_MAX_AGE: Duration = Duration::from_secs(2);
const LINES: &str = "jwks_max_age: 2s\nrotation: { every: 20s, lead: 5s }\nreload: { interval: 500ms }\n\
                     limits: { body: 64KiB, request: 2s }\n";

/// Runs for `length`; a failure means that something happened that must not.
pub(crate) fn run(length: Duration) -> ExitCode {
    let abilities = Abilities::of_product();
    let folder = Folder::new("soak");
    write_keys(&folder, &[("keys", SignatureAlg::Es256, None)]);
    let profiles =
        [ProfileText { name: "p".to_owned(), keys: "keys".to_owned(), template: "session", is_cached: true }];
    let settings = Settings { lines: LINES.to_owned(), of_profiles: ", ttl: 30s".to_owned(), ..Settings::default() };
    let product = start(&folder, &profiles, abilities, &settings);
    let kinds = kinds();
    let load = |pace, length| Load { kinds: &kinds, connections: CONNECTIONS, pace, length, reuse: Reuse::Kept };

    println!("{}\nclaimsmith {}\n", machine::description(), env!("CARGO_PKG_VERSION"));
    let capacity = load(Pace::Closed, SEGMENT.min(length / 10)).run(&product).per_second();
    let pace = Pace::Open(capacity * SHARE_OF_CAPACITY);
    let (stop, mut resident, mut total) = (AtomicBool::new(false), Vec::new(), Total::default());
    let seen = std::thread::scope(|scope| {
        scope.spawn(|| rewrite_templates(&folder, &stop));
        let verifier = scope.spawn(|| verify_tokens(product.address, &stop));
        let end = Instant::now() + length;
        while Instant::now() < end {
            let outcome = load(pace, SEGMENT.min(end.saturating_duration_since(Instant::now()))).run(&product);
            resident.push(product.resident_mib());
            say(&format!(
                "{:.0} s left, {:.0} requests/s, {:.1} MiB {}",
                end.saturating_duration_since(Instant::now()).as_secs_f64(),
                outcome.per_second(),
                product.resident_mib(),
                outcome.complaints().join(", ")
            ));
            total.add(outcome);
        }
        stop.store(true, Ordering::Relaxed);
        verifier.join().unwrap()
    });
    let metrics =
        exchange(product.admin.unwrap(), Request::with("GET", "/metrics", "", "").numbered(0, 0, 0)).unwrap().1;
    let is_sound = report(capacity, &total, &resident, &seen, &String::from_utf8_lossy(&metrics), length);
    if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// 5 % bad requests, 5 % misses, 1 % whose client vanishes, and hits.
fn kinds() -> Vec<Kind> {
    let session = fixture::session(2048);
    let changed = |from: &str, to: &str| {
        assert!(session.contains(from), "the session has {from}");
        session.replacen(from, to, 1)
    };
    let post = |body: &str| Request::post("/hydrate/p", body);
    let good = Kind { people: People::Few(64), ..Kind::only(post(&session)) };
    let bad = |name, share, status, request| Kind { name, share, status, request, ..good.clone() };
    let gone = |name, share, hundredths| Kind { name, share, ending: Ending::Vanish(hundredths), ..good.clone() };
    let too_large =
        format!("POST /hydrate/p HTTP/1.1\r\nHost: claimsmith\r\nContent-Length: 99999999\r\n\r\n{session}");
    let subject = format!("\"subject\":\"4c1d7a52-93c6-4f0e-8a55-{}\"", fixture::PERSON_DIGITS);
    vec![
        Kind { name: "hit", share: 890, ..good.clone() },
        Kind { name: "miss", share: 50, people: People::New, ..good.clone() },
        bad("not JSON", 6, 400, post(&session[..session.len() - 1])),
        bad("member twice", 6, 400, post(&changed("{", "{\"extra\":{},"))),
        bad(
            "too deep",
            6,
            400,
            post(&changed("\"devices\":", &format!("\"deep\":{}{},\"devices\":", "[".repeat(300), "]".repeat(300)))),
        ),
        bad("no session", 6, 400, post("[]")),
        bad("no subject", 6, 422, post(&changed(&subject, "\"subject\":\"\""))),
        bad("ended session", 6, 422, post(&changed("\"expires_at\":\"2086", "\"expires_at\":\"2016"))),
        bad("no such profile", 5, 404, Request::post("/hydrate/nobody", &session)),
        bad("no such method", 5, 405, Request::with("PUT", "/hydrate/p", &session, "")),
        bad("too large", 4, 413, Request::of(too_large)),
        gone("gone in the head", 3, 3),
        gone("gone in the body", 3, 60),
        gone("gone before the answer", 4, 100),
    ]
}

/// Another template every three seconds. Each fifth is broken for a while, and must not be taken over.
fn rewrite_templates(folder: &Folder, stop: &AtomicBool) {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let good = format!("{{\"session\": {{{{Extra}}}}, \"edition\": {number}}}\n");
        let text = if number % 5 == 0 { "{\"session\": {{#if Extra}}" } else { good.as_str() };
        folder.write("templates/session/claims.hbs", text);
        rest(Duration::from_secs(3), stop);
    }
}

/// What a verifier saw that keeps the key set for as long as it may.
#[derive(Default)]
struct Seen {
    tokens: u64,
    kids: BTreeSet<String>,
    faults: BTreeMap<String, u64>,
}

fn verify_tokens(address: SocketAddr, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut hydrate = Request::post("/hydrate/p", &fixture::session(2048));
    let mut fetch = Request::with("GET", "/p/.well-known/jwks.json", "", "");
    let (mut set, mut fetched) = (Vec::new(), None::<Instant>);
    while !stop.load(Ordering::Relaxed) {
        // Old and new people by turns: cached tokens have to verify as well.
        let person = if seen.tokens.is_multiple_of(2) { 1 } else { 200_000_000_000 + seen.tokens };
        let mut check = || -> Result<String, String> {
            if fetched.is_none_or(|fetched| fetched.elapsed() >= JWKS_MAX_AGE) {
                fetched = Some(Instant::now());
                set = answer_of(address, fetch.numbered(0, 0, 0))?;
            }
            let token = token_of(&answer_of(address, hydrate.numbered(0, person, 0))?);
            let verified = keys::verify(&token, &set).map_err(|error| error.to_string())?;
            let claims =
                Json::parse(verified.claims().as_bytes(), ReadLimits::default()).map_err(|error| error.to_string())?;
            check_times(&claims, SystemClock.now(), 0).map_err(|error| error.to_string())?;
            Ok(verified.kid().as_str().to_owned())
        };
        match check() {
            Ok(kid) => drop(seen.kids.insert(kid)),
            Err(fault) => *seen.faults.entry(fault).or_default() += 1,
        }
        seen.tokens += 1;
        rest(Duration::from_millis(100), stop);
    }
    seen
}

fn answer_of(address: SocketAddr, request: &[u8]) -> Result<Vec<u8>, String> {
    match exchange(address, request) {
        Ok((200, body)) => Ok(body),
        Ok((status, _)) => Err(format!("status {status}")),
        Err(error) => Err(error.kind().to_string()),
    }
}

/// Sleeps for `length`, or until it is time to stop.
fn rest(length: Duration, stop: &AtomicBool) {
    let end = Instant::now() + length;
    while Instant::now() < end && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(100).min(length));
    }
}

/// The sum of all segments.
#[derive(Default)]
struct Total {
    kinds: Vec<(&'static str, Histogram<u64>, u64)>,
    wrong: BTreeMap<String, u64>,
    seconds: f64,
    server: Duration,
    client: Duration,
}

impl Total {
    fn add(&mut self, outcome: Outcome) {
        self.seconds += outcome.seconds;
        self.server += outcome.server;
        self.client += outcome.client;
        for (index, kind) in outcome.kinds.into_iter().enumerate() {
            for (what, count) in kind.wrong {
                *self.wrong.entry(format!("{}: {what}", kind.name)).or_default() += count;
            }
            match self.kinds.get_mut(index) {
                Some((_, latency, done)) => {
                    latency.add(kind.latency).unwrap();
                    *done += kind.done;
                }
                None => self.kinds.push((kind.name, kind.latency, kind.done)),
            }
        }
    }
}

/// Prints what came of it; whether all is as it must be.
fn report(capacity: f64, total: &Total, resident: &[f64], seen: &Seen, metrics: &str, length: Duration) -> bool {
    let done: u64 = total.kinds.iter().map(|(_, _, done)| done).sum();
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / done as f64;
    println!(
        "{:.0} minutes, {CONNECTIONS} connections, {:.0} requests/s asked for, {:.0} % of {capacity:.0}; {done} requests, {:.0}/s; CPU \
         of the server {:.1} µs, of the client {:.1} µs\n",
        length.as_secs_f64() / 60.0,
        capacity * SHARE_OF_CAPACITY,
        SHARE_OF_CAPACITY * 100.0,
        done as f64 / total.seconds,
        micros(total.server),
        micros(total.client)
    );
    println!(
        "| requests | as they must be | p50 µs | p90 | p99 | p99.9 | longest |\n| --- | --- | --- | --- | --- | --- | --- |"
    );
    for (name, latency, done) in &total.kinds {
        let [p50, p90, p99, p999] = [50.0, 90.0, 99.0, 99.9].map(|hundredths| latency.value_at_percentile(hundredths));
        println!("| {name} | {done} | {p50} | {p90} | {p99} | {p999} | {} |", latency.max());
    }
    let quarter = (resident.len() / 4).max(1);
    let first = Rounds(resident[..quarter].to_vec());
    let last = Rounds(resident[resident.len() - quarter..].to_vec());
    println!("\n- Resident MiB in the first quarter {}, in the last {}", first.text(1), last.text(1));
    println!("- Tokens verified {}, keys seen {}", seen.tokens, seen.kids.len());
    for (what, count) in &seen.faults {
        println!("- **{count} tokens were not to be had or did not verify**: {what}");
    }
    for (what, count) in &total.wrong {
        println!("- **{count} requests did not get what they must**: {what}");
    }
    let changes = ["claimsmith_generation", "claimsmith_reloads", "claimsmith_key_rotations"];
    for line in metrics.lines().filter(|line| changes.iter().any(|name| line.starts_with(name))) {
        println!("- `{line}`");
    }
    // A tenth, and what an allocator may keep back.
    let is_flat = last.median() <= first.median() * 1.1 + 2.0;
    let has_rotated = seen.kids.len() > 1 || length < Duration::from_secs(60);
    let is_sound = total.wrong.is_empty() && seen.faults.is_empty() && is_flat && has_rotated;
    println!(
        "\nNo error that was not asked for: {}. Memory flat: {}. Keys rotated: {}. All tokens verified: {}.",
        yes(total.wrong.is_empty()),
        yes(is_flat),
        yes(seen.kids.len() > 1),
        yes(seen.faults.is_empty())
    );
    is_sound
}

fn yes(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "**no**" }
}
