//! Micro-benchmarks of the steps that a token takes: `make micro`, or `cargo bench --features bench --bench micro NAME`.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod fixture;

use std::hint::black_box;
use std::time::Duration;

use claimsmith::claims::{ClaimsSet, PrivateClaims, Registered};
use claimsmith::json::ReadLimits;
use claimsmith::keys::{KeySet, SignatureAlg, TokenType};
use claimsmith::mint::{IssueRequest, Mint};
use claimsmith::session::Session;
use claimsmith::templates::{ClaimTemplate, CompileOptions, RenderInput, RenderLimits};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fixture::{JWT_ID, NOW};

const SIZES: [usize; 2] = [2048, 8192];

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for bytes in SIZES {
        let body = fixture::session(bytes);
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(bytes.to_string(), |bencher| {
            bencher
                .iter(|| drop(black_box(Session::parse(black_box(body.as_bytes()), ReadLimits::default()).unwrap())));
        });
    }
}

fn render(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("render");
    for name in ["session", "identity"] {
        let files = fixture::template_files(name);
        let template = ClaimTemplate::compile(files.syntax, &files.text, &[], CompileOptions::default()).unwrap();
        for bytes in SIZES {
            let body = fixture::session(bytes);
            let session = Session::parse_for(body.as_bytes(), ReadLimits::default(), template.selection()).unwrap();
            group.bench_function(format!("{name}/{bytes}"), |bencher| {
                bencher.iter(|| {
                    let values = black_box(&session).values();
                    let input = RenderInput::new(&session, &values, "p000", NOW);
                    template.render(&input, &RenderLimits::default()).unwrap()
                });
            });
        }
    }
}

/// Signs claims of the size that `templates/session` renders from a session of 2 KiB.
fn sign(criterion: &mut Criterion) {
    let private = PrivateClaims::parse(&format!("{{\"session\":\"{}\"}}", "x".repeat(1400)), None).unwrap();
    let registered = Registered {
        issuer: "https://id.example.org/",
        subject: "zoe",
        audience: None,
        issued_at: NOW,
        expires_at: NOW.after(Duration::from_secs(900)),
        jwt_id: JWT_ID,
        scope: None,
        actor: None,
    };
    let claims = ClaimsSet::new(&private, &registered);
    let mut group = criterion.benchmark_group("sign");
    for name in SignatureAlg::NAMES {
        let alg = SignatureAlg::parse(name).unwrap();
        let set = KeySet::parse(fixture::key_set(alg, None, 1).as_bytes()).unwrap();
        let key = set.signer(NOW, None).unwrap();
        group.bench_function(name, |bencher| bencher.iter(|| key.sign(black_box(&claims), &TokenType::JWT).unwrap()));
    }
}

fn issue(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("issue");
    for template in ["session", "identity"] {
        let (mint, _) = Mint::build(&fixture::parts(1, 1, template), NOW).unwrap();
        let profile = mint.profile("p000").unwrap();
        for bytes in SIZES {
            let body = fixture::session(bytes);
            let limits = ReadLimits::default();
            let read = || IssueRequest::posted(profile, black_box(body.as_bytes()), limits).unwrap().0;
            group.bench_function(format!("{template}/{bytes}"), |bencher| {
                bencher.iter(|| {
                    let request = read();
                    let params = mint.token_params(&request, NOW).unwrap();
                    mint.draft(&request, params, || JWT_ID).unwrap().sign().unwrap()
                });
            });
            let tokens = fixture::cache_of(&mint, &read());
            group.bench_function(format!("{template}/{bytes}, from the cache"), |bencher| {
                bencher.iter(|| {
                    let (request, _) = tokens.read_posted(profile, black_box(body.as_bytes()), limits).unwrap();
                    let params = mint.token_params(&request, NOW).unwrap();
                    let key = request.cache_key(&params).unwrap();
                    tokens.find(&key, NOW).unwrap()
                });
            });
        }
    }
}

/// What a reload does once it has read the files: parse the keys, try each, compile the template for each profile.
fn build(criterion: &mut Criterion) {
    let parts = fixture::parts(1000, 10, "session");
    let mut group = criterion.benchmark_group("build");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.bench_function("1000 profiles x 10 keys", |bencher| bencher.iter(|| Mint::build(&parts, NOW).unwrap()));
}

criterion_group!(benches, parse, render, sign, issue, build);
criterion_main!(benches);
