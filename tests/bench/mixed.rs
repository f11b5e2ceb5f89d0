//! What a few dear signatures do to the many requests that need none.

use std::time::Duration;

use claimsmith::keys::SignatureAlg;

use crate::fixture;
use crate::load::{Load, Outcome, Pace, Reuse};
use crate::report::{Bar, Limit, NO_CACHE, Rounds};
use crate::requests::{Kind, People, Request};
use crate::servers::{Abilities, Folder, Process, ProfileText, Settings, start, write_keys};
use crate::{Effort, say};

const CONNECTIONS: usize = 32;

pub(crate) fn measure(effort: Effort, abilities: Abilities, bars: &mut Vec<Bar>) {
    let folder = Folder::new("mixed");
    write_keys(&folder, &[("keys", SignatureAlg::Rs256, Some(4096))]);
    let profiles =
        [ProfileText { name: "p".to_owned(), keys: "keys".to_owned(), template: "session", is_cached: true }];
    let product = start(&folder, &profiles, abilities, &Settings::default());
    let request = Request::post("/hydrate/p", &fixture::session(2048));
    let hits = Kind { name: "hit", people: People::Few(64), ..Kind::only(request.clone()) };
    let misses = Kind { name: "miss", people: People::New, share: 50, ..Kind::only(request) };
    let without = [hits.clone()];
    let with = [Kind { share: 950, ..hits }, misses];

    let length = effort.round * 2;
    run(&without, Pace::Closed, length / 2, &product);
    let capacity = run(&with, Pace::Closed, length, &product).per_second();
    let pace = Pace::Open(capacity / 2.0);
    let mut ratio = Rounds::default();
    let [mut quiet_p90, mut p90, mut p99, mut miss_p90] = [(); 4].map(|()| Rounds::default());
    for round in 0..effort.rounds {
        say(&format!("5 % misses: round {} of {}", round + 1, effort.rounds));
        let quiet = run(&without, pace, length, &product);
        let busy = run(&with, pace, length, &product);
        let micros = |outcome: &Outcome, kind: usize, hundredths| outcome.kinds[kind].percentile(hundredths) as f64;
        ratio.0.push(micros(&busy, 0, 90.0) / micros(&quiet, 0, 90.0));
        quiet_p90.0.push(micros(&quiet, 0, 90.0));
        p90.0.push(micros(&busy, 0, 90.0));
        p99.0.push(micros(&busy, 0, 99.0));
        miss_p90.0.push(micros(&busy, 1, 90.0));
    }
    println!(
        "\n5 % misses that RS256-4096 signs, {CONNECTIONS} connections, {:.0} requests/s, half of what the mix can; latency in \
         µs from when a request is due.\n\n\
         | hit p90 without misses | hit p90 | hit p99 | miss p90 |\n| --- | --- | --- | --- |\n| {} | {} | {} | {} |",
        capacity / 2.0,
        quiet_p90.text(0),
        p90.text(0),
        p99.text(0),
        miss_p90.text(0)
    );
    bars.push(Bar {
        case: "5 % RS256-4096 misses at half of capacity".to_owned(),
        asks: "p90 of hits at most 2 x that without misses".to_owned(),
        limit: Limit::AtMost(2.0),
        measured: ratio,
        void: (!abilities.has_cache).then_some(NO_CACHE),
    });
}

fn run(kinds: &[Kind], pace: Pace, length: Duration, server: &Process) -> Outcome {
    let outcome = Load { kinds, connections: CONNECTIONS, pace, length, reuse: Reuse::Kept }.run(server);
    assert_eq!(outcome.wrong(), 0, "{:?}", outcome.complaints());
    outcome
}
