//! A service that has just been started and is asked for nothing.

use crate::fixture;
use crate::report::{Bar, Limit, Rounds};
use crate::requests::{Kind, Request};
use crate::servers::{Abilities, Folder, ProfileText, Settings, start, write_keys};
use crate::{Effort, say};
use claimsmith::keys::SignatureAlg;

pub(crate) fn measure(effort: Effort, abilities: Abilities, bars: &mut Vec<Bar>) {
    say("idle");
    let folder = Folder::new("idle");
    write_keys(&folder, &[("keys", SignatureAlg::Es256, None)]);
    let profiles =
        [ProfileText { name: "p".to_owned(), keys: "keys".to_owned(), template: "session", is_cached: true }];
    let mut kind = Kind::only(Request::post("/hydrate/p", &fixture::session(2048)));
    let (mut first, mut resident) = (Rounds::default(), Rounds::default());
    for _ in 0..effort.rounds {
        let product = start(&folder, &profiles, abilities, &Settings::default());
        product.ask(kind.bytes(1));
        first.0.push(product.age().as_secs_f64() * 1000.0);
        resident.0.push(product.resident_mib());
    }
    let bar = |asks: &str, most: f64, measured: Rounds| Bar {
        case: "idle, one profile".to_owned(),
        asks: asks.to_owned(),
        limit: Limit::AtMost(most),
        measured,
        void: None,
    };
    bars.push(bar("first answer at most 75 ms after the start", 75.0, first));
    bars.push(bar("at most 24 MiB resident", 24.0, resident));
}
