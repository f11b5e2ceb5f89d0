//! From one connection to a thousand, and a new one for each request: no cliff, no error.

use claimsmith::keys::SignatureAlg;

use crate::fixture;
use crate::load::{Load, Pace, Reuse};
use crate::report::{Bar, Limit, Rounds};
use crate::requests::{Kind, Request};
use crate::servers::{Abilities, Folder, ProfileText, Settings, start, start_echo, write_keys};
use crate::{Effort, say};

pub(crate) fn measure(effort: Effort, abilities: Abilities, bars: &mut Vec<Bar>) {
    let folder = Folder::new("connections");
    write_keys(&folder, &[("keys", SignatureAlg::Es256, None)]);
    let profiles =
        [ProfileText { name: "p".to_owned(), keys: "keys".to_owned(), template: "session", is_cached: true }];
    // Connections of the last load may still be closing when the next comes.
    let settings = Settings { lines: "limits: { connections: 4096 }\n".to_owned(), ..Settings::default() };
    let product = start(&folder, &profiles, abilities, &settings);
    let mut kinds = [Kind::only(Request::post("/hydrate/p", &fixture::session(2048)))];
    let answer = product.ask(kinds[0].bytes(1));
    let echo = start_echo(&folder, &[("p".to_owned(), answer)].into());
    println!(
        "\n| connections | requests/s | / floor | CPU µs | / floor | p50 µs | p99 µs | longest ms | errors |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    let mut errors = 0;
    let loads = [1, 4, 16, 64, 256, 1024].map(|count| (count, Reuse::Kept)).into_iter().chain([(16, Reuse::New)]);
    for (connections, reuse) in loads {
        say(&format!("{connections} connections"));
        let load = Load { kinds: &kinds, connections, pace: Pace::Closed, length: effort.round * 2, reuse };
        let floor = load.run(&echo);
        let outcome = load.run(&product);
        let of_all = &outcome.kinds[0];
        println!(
            "| {connections}{} | {:.0} | {:.2} | {:.1} | {:.2} | {} | {} | {:.0} | {} |",
            if reuse == Reuse::New { ", new for each request" } else { "" },
            outcome.per_second(),
            outcome.per_second() / floor.per_second(),
            outcome.server_micros(),
            outcome.server_micros() / floor.server_micros(),
            of_all.percentile(50.0),
            of_all.percentile(99.0),
            of_all.latency.max() as f64 / 1000.0,
            outcome.wrong(),
        );
        for complaint in
            outcome.complaints().into_iter().chain(floor.complaints().into_iter().map(|c| format!("floor: {c}")))
        {
            println!("\n{complaint}\n");
        }
        errors += outcome.wrong();
    }
    bars.push(Bar {
        case: "1 to 1,024 connections, and a new one for each request".to_owned(),
        asks: "no errors".to_owned(),
        limit: Limit::AtMost(0.0),
        measured: Rounds(vec![errors as f64]),
        void: None,
    });
}
