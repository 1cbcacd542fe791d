//! What it costs to make an access token, beside the raw signature and other libraries, as markdown.
//!
//! All are given the same claims and the same key, and take turns: see `rounds`.
use core::time::Duration;
use std::error::Error;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::prelude::*;
use jwt_simple::prelude::{
    Claims, ECDSAP256KeyPairLike as _, ES256KeyPair, Ed25519KeyPair as SimpleEd25519,
    EdDSAKeyPairLike as _, RS256KeyPair, RSAKeyPairLike as _,
};
use portcullis::{Algorithm, Encoding, Secret, UnixTime};
use portcullis_issuer::store::MemoryRing;
use portcullis_issuer::{AccessToken, ExistingKey, TokenIssuer};
use serde::Serialize;

#[path = "../../../src/rounds.rs"]
#[expect(unreachable_pub, reason = "public where it is at home")]
mod rounds;

use self::rounds::{Contender, Length, Rounds};

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "https://orders.example";
const LIFETIME: u64 = 15 * 60;

/// The claims of an access token (RFC 9068), for libraries that take a struct.
#[derive(Clone, Serialize)]
struct Whole {
    iss: &'static str,
    aud: &'static str,
    sub: &'static str,
    client_id: &'static str,
    iat: u64,
    exp: u64,
    jti: String,
    sid: &'static str,
    auth_time: u64,
    scope: &'static str,
}

/// Those of them that jwt-simple has no names for.
#[derive(Clone, Serialize)]
struct Own {
    client_id: &'static str,
    sid: &'static str,
    auth_time: u64,
    scope: &'static str,
}

fn seconds() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map(|now| now.as_secs()).unwrap_or_default()
}

/// 128 bits, as all of them get.
fn random_id() -> String {
    let mut id = [0; 16];
    aws_lc_rs::rand::fill(&mut id).expect("randomness");
    BASE64_URL_SAFE_NO_PAD.encode(id)
}

fn what() -> AccessToken {
    AccessToken::of_user("alice", "web")
        .session("s-1")
        .authenticated_at(UnixTime(1_800_000_000))
        .scopes(["orders:read", "orders:write"])
}

fn whole() -> Whole {
    let iat = seconds();
    Whole {
        iss: ISSUER,
        aud: AUDIENCE,
        sub: "alice",
        client_id: "web",
        iat,
        exp: iat + LIFETIME,
        jti: random_id(),
        sid: "s-1",
        auth_time: 1_800_000_000,
        scope: "orders:read orders:write",
    }
}

fn simple() -> jwt_simple::claims::JWTClaims<Own> {
    let own = Own {
        client_id: "web",
        sid: "s-1",
        auth_time: 1_800_000_000,
        scope: "orders:read orders:write",
    };
    let valid = jwt_simple::prelude::Duration::from_secs(LIFETIME);
    Claims::with_custom_claims(own, valid)
        .with_issuer(ISSUER)
        .with_audience(AUDIENCE)
        .with_subject("alice")
        .with_jwt_id(random_id())
}

/// A key, as each of them takes it.
struct Keys {
    pem: String,
    raw: Box<dyn Fn(&[u8]) -> Vec<u8>>,
    simple: Box<dyn Fn() -> String>,
}

fn pem(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    // RFC 7468 §3, to which jwt-simple holds its users.
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

fn keys(algorithm: Algorithm) -> Result<Keys, Box<dyn Error>> {
    Ok(match algorithm {
        Algorithm::ES256 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
            let pem = pem(pair.to_pkcs8v1()?.as_ref());
            let key = ES256KeyPair::from_pem(&pem)?.with_key_id("2026-11");
            Keys {
                pem,
                raw: Box::new(move |input| {
                    let signature = pair.sign(&SystemRandom::new(), input);
                    signature.expect("a signature").as_ref().to_vec()
                }),
                simple: Box::new(move || key.sign(simple()).expect("a token")),
            }
        }
        Algorithm::EdDSA => {
            let pair = Ed25519KeyPair::generate()?;
            let der: Pkcs8V1Der<'_> = pair.as_der()?;
            let pem = pem(der.as_ref());
            let key = SimpleEd25519::from_pem(&pem)?.with_key_id("2026-11");
            Keys {
                pem,
                raw: Box::new(move |input| pair.sign(input).as_ref().to_vec()),
                simple: Box::new(move || key.sign(simple()).expect("a token")),
            }
        }
        _ => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
            let pem = pem(pair.as_der()?.as_ref());
            let key = RS256KeyPair::from_pem(&pem)?.with_key_id("2026-11");
            Keys {
                pem,
                raw: Box::new(move |input| {
                    let mut signature = vec![0; pair.public_modulus_len()];
                    let random = SystemRandom::new();
                    let signed = pair.sign(&RSA_PKCS1_SHA256, &random, input, &mut signature);
                    signed.expect("a signature");
                    signature
                }),
                simple: Box::new(move || key.sign(simple()).expect("a token")),
            }
        }
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let rounds = match &arguments[..] {
        [] => 201,
        [rounds] => rounds.parse()?,
        _ => return Err("usage: minting [ROUNDS]".into()),
    };
    let length = Length { rounds, turn: Duration::from_micros(500) };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;

    println!("## Issuing, µs\n");
    println!(
        "{} rounds of {:?} each, medians. A token of 10 claims.\n",
        length.rounds, length.turn
    );
    println!(
        "| algorithm | raw | portcullis-issuer | added | allocations | jsonwebtoken | jwt-simple |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut beside = String::new();
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256] {
        let Keys { pem, raw, simple } = keys(algorithm)?;
        let root =
            Secret::encoded("b4Yq0YHhV0cW8g2mJm7Xn1dKzR5sT9uLpE3fQaC6iwo", Encoding::Base64url);
        let issuer = TokenIssuer::builder(ISSUER)
            .algorithm(algorithm)
            .audiences([AUDIENCE])
            .lifetime(Duration::from_secs(LIFETIME))
            .root_secrets([root])
            .ring(MemoryRing::new())
            .existing_key(ExistingKey::from_pem(algorithm, &pem)?.with_key_id("2026-11"))
            .refreshed_by_hand();
        let issuer = runtime.block_on(issuer.build())?;
        let (other, key) = match algorithm {
            Algorithm::ES256 => (
                jsonwebtoken::Algorithm::ES256,
                jsonwebtoken::EncodingKey::from_ec_pem(pem.as_bytes())?,
            ),
            Algorithm::EdDSA => (
                jsonwebtoken::Algorithm::EdDSA,
                jsonwebtoken::EncodingKey::from_ed_pem(pem.as_bytes())?,
            ),
            _ => (
                jsonwebtoken::Algorithm::RS256,
                jsonwebtoken::EncodingKey::from_rsa_pem(pem.as_bytes())?,
            ),
        };
        let mut header = jsonwebtoken::Header::new(other);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some("2026-11".to_owned());

        let minted = issuer.mint_now(&what())?;
        let input = minted.token.rsplit_once('.').map(|(input, _)| input.to_owned());
        let input = input.unwrap_or_default();
        let policy = issuer.policy_builder().build()?;
        policy.verify_token_now(&minted.token)?;
        let token = what();
        let count = allocation_counter::measure(|| drop(issuer.mint_now(&token)));
        let rounds = Rounds::run(
            length,
            [
                Contender::new(|_| (), |()| raw(input.as_bytes())),
                Contender::new(|_| (), |()| issuer.mint_now(&what())),
                Contender::new(|_| (), |()| jsonwebtoken::encode(&header, &whole(), &key)),
                Contender::new(|_| (), |()| simple()),
            ],
        );
        let micros = |contender| rounds.median(contender) / 1e3;
        let added = rounds.median_of(|[raw, minted, ..]| minted - raw) / 1e3;
        println!(
            "| {algorithm} | {:.2} | {:.2} | {added:.2} | {} | {:.2} | {:.2} |",
            micros(0),
            micros(1),
            count.count_total,
            micros(2),
            micros(3)
        );
        if algorithm == Algorithm::ES256 {
            let request = http::Request::new(());
            let rounds = Rounds::run(
                length,
                [Contender::new(
                    |_| (),
                    |()| {
                        let response = issuer.answer_key_set(&request);
                        response.into_response::<Vec<u8>>()
                    },
                )],
            );
            let kept = allocation_counter::measure(|| {
                let again = TokenIssuer::builder(ISSUER)
                    .algorithm(algorithm)
                    .audiences([AUDIENCE])
                    .lifetime(Duration::from_secs(LIFETIME))
                    .root_secrets([Secret::new("FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old")])
                    .ring(MemoryRing::new())
                    .refreshed_by_hand();
                core::mem::forget(runtime.block_on(again.build()));
            });
            beside = format!(
                "The key set as a response: {:.2} µs. An issuer, its ring and its store in memory: {:.1} KiB of Rust's heap.",
                rounds.median(0) / 1e3,
                kept.bytes_current as f64 / 1024.0
            );
        }
    }
    println!("\n{beside}");
    Ok(())
}
