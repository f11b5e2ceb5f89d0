//! `/forward-auth/{check}`: with a cached session against the cached `/hydrate` of the same session, and without a session
//! cache against a bare service that only calls the same Kratos, with the same HTTP client.

use std::collections::BTreeMap;

use claimsmith::keys::SignatureAlg;
use serde_json::Value;

use crate::fixture::{self, REQUEST_DIGITS};
use crate::hydrate::{CONNECTIONS, run, token_of};
use crate::report::{Bar, Limit, NO_CACHE, Rounds};
use crate::requests::{Kind, Request};
use crate::servers::{Abilities, Folder, ProfileText, Settings, start, start_bare_proxy, start_echo, write_keys};
use crate::{Effort, say};

const SECRET: &str = "a-secret-of-the-proxy-that-is-long-enough";

pub(crate) fn measure(effort: Effort, abilities: Abilities, bars: &mut Vec<Bar>) {
    let folder = Folder::new("proxied");
    write_keys(&folder, &[("keys", SignatureAlg::Es256, None)]);
    folder.write("proxy.txt", SECRET);
    let session: Value = serde_json::from_str(&fixture::session(2048)).unwrap();
    let whoami = BTreeMap::from([("whoami".to_owned(), session["extra"].to_string().into_bytes())]);
    let kratos = start_echo(&folder, &whoami);
    let source = format!("type: kratos, public: \"http://{}\"", kratos.address);
    let lines = format!(
        "callers: [{{ name: proxy, header: {{ secret_file: proxy.txt }} }}]\n\
         sources:\n  cached: {{ {source}, cache: {{ ttl: 1h }} }}\n  called: {{ {source} }}\n\
         checks:\n  cached: {{ sources: cached, profile: p }}\n  called: {{ sources: called, profile: p }}\n"
    );
    let profiles =
        [ProfileText { name: "p".to_owned(), keys: "keys".to_owned(), template: "session", is_cached: true }];
    let product = start(&folder, &profiles, abilities, &Settings { lines, ..Settings::default() });

    let secret = format!("X-Claimsmith-Secret: {SECRET}\r\n");
    let mut hydrate = [Kind::only(Request::with("POST", "/hydrate/p", &fixture::session(2048), &secret))];
    let token = token_of(&product.ask(hydrate[0].bytes(1)));
    // The path differs with each request, and the cookie only where nothing is to be cached or shared.
    let forward_auth = |check: &str, cookie: &str| {
        let headers = format!(
            "{secret}X-Forwarded-Method: GET\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: app.example.org\r\n\
             X-Forwarded-Uri: /orders/{REQUEST_DIGITS}\r\nAccept: */*\r\nCookie: theme=dark; ory_kratos_session=MTc2{cookie}\r\n"
        );
        [Kind::only(Request::with("GET", &format!("/forward-auth/{check}"), "", &headers))]
    };
    let cached = forward_auth("cached", "NzAwMDAwMDAwMDAx");
    let called = forward_auth("called", REQUEST_DIGITS);
    let bare = start_bare_proxy(&format!("http://{}/sessions/whoami", kratos.address), &token);

    for (kinds, server) in [(&hydrate, &product), (&cached, &product), (&called, &product), (&called, &bare)] {
        run(kinds, server, effort.round / 4);
    }
    let mut rounds: [Rounds; 4] = Default::default();
    for round in 0..effort.rounds {
        say(&format!("proxied: round {} of {}", round + 1, effort.rounds));
        let loads = [(&hydrate, &product), (&cached, &product), (&called, &bare), (&called, &product)];
        for (figures, (kinds, server)) in rounds.iter_mut().zip(loads) {
            figures.0.push(run(kinds, server, effort.round).server_micros());
        }
    }
    let [hydrated, with_cache, by_bare, by_call] = rounds;
    let ratio =
        |one: &Rounds, floor: &Rounds| Rounds(one.0.iter().zip(&floor.0).map(|(one, floor)| one / floor).collect());
    let (cached_ratio, called_ratio) = (ratio(&with_cache, &hydrated), ratio(&by_call, &by_bare));
    println!(
        "\n`/forward-auth` of a session of 2 KiB. CPU time of the server for one request in µs, {CONNECTIONS} connections.\n\n\
         | case | CPU | compared with | CPU | ratio |\n| --- | --- | --- | --- | --- |\n\
         | cached session | {} | cached `/hydrate` | {} | {} |\n\
         | one call for each request | {} | bare service with the same call | {} | {} |",
        with_cache.text(1),
        hydrated.text(1),
        cached_ratio.text(2),
        by_call.text(1),
        by_bare.text(1),
        called_ratio.text(2)
    );
    let void = (!abilities.has_cache).then_some(NO_CACHE);
    let mut push = |case: &str, asks: &str, limit, measured, void| {
        bars.push(Bar { case: case.to_owned(), asks: asks.to_owned(), limit: Limit::AtMost(limit), measured, void });
    };
    push("forward-auth, cached session", "CPU at most 1.2 x cached `/hydrate`", 1.2, cached_ratio, void);
    push(
        "forward-auth, no session cache",
        "CPU at most 1.5 x a bare service with the same call",
        1.5,
        called_ratio,
        None,
    );
}
