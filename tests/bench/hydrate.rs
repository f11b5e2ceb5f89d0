//! `POST /hydrate` against the echo of the same bytes, and against one bare signature: cached and not, three algorithms, two
//! templates, two sizes of session.

use std::collections::BTreeMap;
use std::time::Duration;

use claimsmith::keys::{self, SignatureAlg};

use crate::fixture;
use crate::load::{Load, Outcome, Pace, Reuse};
use crate::report::{Bar, Limit, NO_CACHE, Rounds};
use crate::requests::{Kind, Request};
use crate::servers::{Abilities, Folder, Process, ProfileText, Settings, start, start_echo, write_keys};
use crate::signature::BareKey;
use crate::{Effort, say};

pub(crate) const CONNECTIONS: usize = 16;
const ALGS: [(&str, SignatureAlg); 3] =
    [("ES256", SignatureAlg::Es256), ("EdDSA", SignatureAlg::EdDsa), ("RS256", SignatureAlg::Rs256)];

/// Which load a figure is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    /// `None` where the token comes from the cache.
    signs: Option<usize>,
    template: &'static str,
    bytes: usize,
}

impl Point {
    fn profile(self) -> String {
        format!("{}-{}", self.template, self.signs.map_or("cached", |alg| ALGS[alg].0))
    }

    fn name(self) -> String {
        let how = self.signs.map_or("cached".to_owned(), |alg| format!("uncached, {}", ALGS[alg].0));
        format!("{how}, {}, {} KiB", self.template, self.bytes / 1024)
    }
}

/// What is measured at one point.
struct Case {
    point: Point,
    kinds: [Kind; 1],
    /// What the signature signs.
    signing_input: Vec<u8>,
    answer: Vec<u8>,
    cpu: Rounds,
    rate: Rounds,
    client: Rounds,
    floor_cpu: Rounds,
    floor_rate: Rounds,
    signature: Rounds,
}

pub(crate) fn measure(effort: Effort, abilities: Abilities, bars: &mut Vec<Bar>) {
    let folder = Folder::new("hydrate");
    write_keys(&folder, &ALGS.map(|(name, alg)| (name, alg, None)));
    let mut points = Vec::new();
    for (template, bytes) in [("session", 2048), ("identity", 2048), ("session", 8192)] {
        points.extend([None, Some(0), Some(1), Some(2)].map(|signs| Point { signs, template, bytes }));
    }
    let profiles: Vec<ProfileText> = points
        .iter()
        .filter(|point| point.bytes == 2048)
        .map(|point| {
            let keys = ALGS[point.signs.unwrap_or(0)].0.to_owned();
            ProfileText { name: point.profile(), keys, template: point.template, is_cached: point.signs.is_none() }
        })
        .collect();
    let product = start(&folder, &profiles, abilities, &Settings::default());
    let mut cases: Vec<Case> = points.into_iter().map(|point| Case::new(point, &folder, &product, abilities)).collect();
    let answers = |case: &Case| (case.echo_name(), case.answer.clone());
    let echo = start_echo(&folder, &cases.iter().map(answers).collect::<BTreeMap<_, _>>());
    let bare_keys = ALGS.map(|(_, alg)| BareKey::new(alg));

    for case in &cases {
        case.load(&product, effort.round / 4);
        case.load_echo(&echo, effort.round / 4);
    }
    for round in 0..effort.rounds {
        say(&format!("hydrate: round {} of {}", round + 1, effort.rounds));
        for case in &mut cases {
            let floor = case.load_echo(&echo, effort.round);
            let outcome = case.load(&product, effort.round);
            let signature =
                case.point.signs.map(|alg| bare_keys[alg].micros(&case.signing_input, effort.round / 6)).unwrap_or(0.0);
            case.cpu.0.push(outcome.server_micros());
            case.rate.0.push(outcome.per_second());
            case.client.0.push(outcome.client_micros());
            case.floor_cpu.0.push(floor.server_micros());
            case.floor_rate.0.push(floor.per_second());
            case.signature.0.push(signature);
        }
    }
    print(&cases, abilities);
    judge(&cases, abilities, bars);
}

impl Case {
    fn new(point: Point, folder: &Folder, product: &Process, abilities: Abilities) -> Self {
        let body = fixture::session(point.bytes);
        let mut kind = Kind::only(Request::post(&format!("/hydrate/{}", point.profile()), &body));
        let answer = product.ask(kind.bytes(1));
        let token = token_of(&answer);
        let set = std::fs::read(folder.0.join(format!("{}.json", ALGS[point.signs.unwrap_or(0)].0))).unwrap();
        keys::verify(&token, &set).expect("the token is signed by the profile's key");
        let is_same = token == token_of(&product.ask(kind.bytes(2)));
        assert_eq!(is_same, point.signs.is_none() && abilities.has_cache, "whether {} is cached", point.name());
        let signing_input = token.as_bytes()[..token.rfind('.').unwrap()].to_vec();
        let rounds = Rounds::default;
        Self {
            point,
            kinds: [kind],
            signing_input,
            answer,
            cpu: rounds(),
            rate: rounds(),
            client: rounds(),
            floor_cpu: rounds(),
            floor_rate: rounds(),
            signature: rounds(),
        }
    }

    fn echo_name(&self) -> String {
        format!("{}-{}", self.point.profile(), self.point.bytes)
    }

    fn load(&self, product: &Process, length: Duration) -> Outcome {
        run(&self.kinds, product, length)
    }

    /// The same request, but for the name of the answer in its path.
    fn load_echo(&self, echo: &Process, length: Duration) -> Outcome {
        let request = Request::post(&format!("/hydrate/{}", self.echo_name()), &fixture::session(self.point.bytes));
        run(&[Kind::only(request)], echo, length)
    }

    /// One figure of each round, made of this case's.
    fn each(&self, figure: impl Fn(usize) -> f64) -> Rounds {
        Rounds((0..self.cpu.0.len()).map(figure).collect())
    }

    fn cpu_ratio(&self) -> Rounds {
        self.each(|round| self.cpu.0[round] / self.floor_cpu.0[round])
    }

    fn rate_ratio(&self) -> Rounds {
        self.each(|round| self.rate.0[round] / self.floor_rate.0[round])
    }
}

pub(crate) fn run(kinds: &[Kind], server: &Process, length: Duration) -> Outcome {
    let load = Load { kinds, connections: CONNECTIONS, pace: Pace::Closed, length, reuse: Reuse::Kept };
    let outcome = load.run(server);
    assert_eq!(outcome.wrong(), 0, "{:?}", outcome.complaints());
    outcome
}

/// The token in a hydrated session.
pub(crate) fn token_of(answer: &[u8]) -> String {
    let session: serde_json::Value = serde_json::from_slice(answer).unwrap();
    let header = &session["header"]["Authorization"];
    let value = header[0].as_str().or(header.as_str()).expect("the session has the token in its header");
    value.strip_prefix("Bearer ").unwrap().to_owned()
}

fn print(cases: &[Case], abilities: Abilities) {
    println!(
        "\nCPU time of the server for one request in µs, requests/s over {CONNECTIONS} connections; `match_context.header` differs \
         with each.\n"
    );
    if !abilities.has_cache {
        println!("This binary has no token cache: \"cached\" rows are signed, with ES256.\n");
    }
    println!(
        "| case | bytes in, out | CPU | floor CPU | CPU / floor | one signature | requests/s | / floor | client CPU |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    for case in cases {
        println!(
            "| {} | {}, {} | {} | {} | {} | {} | {:.0} | {} | {:.1} |",
            case.point.name(),
            case.point.bytes,
            case.answer.len(),
            case.cpu.text(1),
            case.floor_cpu.text(1),
            case.cpu_ratio().text(2),
            case.point.signs.map_or("none".to_owned(), |_| case.signature.text(1)),
            case.rate.median(),
            case.rate_ratio().text(2),
            case.client.median(),
        );
    }
}

fn judge(cases: &[Case], abilities: Abilities, bars: &mut Vec<Bar>) {
    let at = |point: Point| cases.iter().find(|case| case.point == point).expect("all points are measured");
    for case in cases {
        let point = case.point;
        let void = (point.signs.is_none() && !abilities.has_cache).then_some(NO_CACHE);
        let mut push = |asks: &str, limit: Limit, measured: Rounds| {
            bars.push(Bar { case: point.name(), asks: asks.to_owned(), limit, measured, void });
        };
        let same = at(Point { template: "session", bytes: 2048, ..point });
        if point.template == "identity" {
            let ratio = case.each(|round| case.cpu.0[round] / same.cpu.0[round]);
            push("CPU at most 1.1 x that of `templates/session`", Limit::AtMost(1.1), ratio);
        } else if point.bytes > 2048 {
            let above = |case: &Case, round: usize| case.cpu.0[round] - case.signature.0[round];
            let ratio = case.each(|round| above(case, round) / above(same, round));
            push("CPU above the signature at most 2 x that of 2 KiB", Limit::AtMost(2.0), ratio);
        } else if point.signs.is_none() {
            push("CPU at most 1.4 x floor", Limit::AtMost(1.4), case.cpu_ratio());
            push("requests/s at least 0.75 x floor", Limit::AtLeast(0.75), case.rate_ratio());
        } else {
            let ratio =
                case.each(|round| case.cpu.0[round] / (1.9 * case.floor_cpu.0[round] + 1.15 * case.signature.0[round]));
            push("CPU at most 1 x (1.9 x floor + 1.15 x one signature)", Limit::AtMost(1.0), ratio);
        }
    }
}
