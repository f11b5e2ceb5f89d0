//! One bare signature: what a token cannot cost less than, whoever makes it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256};
use claimsmith::keys::SignatureAlg;

use crate::machine;
use crate::servers::WORKERS;

/// A key of one algorithm, straight from aws-lc.
pub(crate) enum BareKey {
    Ed25519(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

impl BareKey {
    /// A new key; RSA has 2048 bits.
    pub(crate) fn new(alg: SignatureAlg) -> Self {
        match alg {
            SignatureAlg::EdDsa => Self::Ed25519(Ed25519KeyPair::generate().unwrap()),
            SignatureAlg::Es256 => Self::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
            SignatureAlg::Rs256 => Self::Rs256(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
            other => panic!("expected EdDSA, ES256 or RS256, found {other}"),
        }
    }

    fn sign(&self, random: &SystemRandom, message: &[u8]) {
        match self {
            Self::Ed25519(key) => drop(black_box(key.sign(message))),
            Self::Es256(key) => drop(black_box(key.sign(random, message).unwrap())),
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, random, message, &mut signature).unwrap();
                black_box(&signature);
            }
        }
    }

    /// CPU time of one signature over `message` in microseconds, while as many threads sign as the servers have workers: a core
    /// that shares its parts with a busy one is slower, and under load all are busy.
    pub(crate) fn micros(&self, message: &[u8], length: Duration) -> f64 {
        let random = SystemRandom::new();
        let one = || {
            let (before, started) = (machine::thread_cpu(), Instant::now());
            let mut count = 0_u32;
            while started.elapsed() < length {
                for _ in 0..8 {
                    self.sign(&random, black_box(message));
                }
                count += 8;
            }
            (machine::thread_cpu() - before).as_secs_f64() * 1e6 / f64::from(count)
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..WORKERS).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<f64>() / WORKERS as f64
        })
    }
}
