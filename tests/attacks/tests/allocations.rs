//! What a refusal costs in memory.
//!
//! A test binary of its own, since counting takes over the allocator. Counts are per thread.
use allocation_counter::{AllocationInfo, measure};
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use base64::prelude::*;
use http::{Request, Response};
use portcullis::tower::VerifyLayer;
use portcullis::{Algorithm, Policy};
use portcullis_attacks::{bearer, issuer, policy_for, token, trusted};
use tower::{Layer, ServiceExt, service_fn};

use Algorithm::ES256;

fn policy() -> Policy {
    policy_for([trusted(&[ES256])]).token_limit(64 * 1024).build().expect("a policy")
}

fn cost(policy: &Policy, token: &[u8]) -> AllocationInfo {
    // Whatever is made once is made now.
    assert!(policy.verify_token_now(token).is_err());
    measure(|| drop(policy.verify_token_now(token)))
}

/// What is not even three parts of base64url.
fn garbage(length: usize) -> Vec<(&'static str, Vec<u8>)> {
    let a = |count: usize| "A".repeat(count);
    vec![
        ("dots", ".".repeat(length).into()),
        ("one part", a(length).into()),
        ("two parts", format!("{}.{}", a(length / 2), a(length / 2)).into()),
        ("empty parts", format!("{}..", a(length)).into()),
        ("braces", "{".repeat(length).into()),
        ("zeros", vec![0; length]),
        ("high bytes", vec![0xff; length]),
        ("an alphabet and one odd byte", format!("{}=", a(length)).into()),
        ("a bad signature part", format!("{}.{}.AB", a(length / 2), a(length / 2)).into()),
        ("a long signature", format!("AAAA.AAAA.{}", a(length)).into()),
    ]
}

#[test]
fn garbage_costs_no_allocation_however_long_it_is() {
    let policy = policy();
    for length in [100, 1_000, 10_000, 60_000, 1 << 20] {
        for (what, garbage) in garbage(length) {
            if what == "a long signature" && length < 2_000 {
                continue; // as long as a real one: refused a step later
            }
            let cost = cost(&policy, &garbage);
            assert_eq!((cost.count_total, cost.bytes_total), (0, 0), "{what}, {length} bytes");
        }
    }
}

#[test]
fn a_token_over_the_limit_costs_no_allocation() {
    let policy = policy();
    for length in [50_000, 100_000, 1 << 20, 8 << 20] {
        let long = token(ES256).claim("x", "x".repeat(length)).mint();
        let cost = cost(&policy, long.as_bytes());
        assert_eq!((cost.count_total, cost.bytes_total), (0, 0), "{length} bytes");
    }
}

#[test]
fn a_refusal_through_the_layer_costs_the_same_few_allocations_whatever_was_sent() {
    let policy = policy();
    let refuse = |garbage: &[u8]| {
        let inner =
            service_fn(|_: Request<()>| async { Ok::<_, ()>(Response::new(String::new())) });
        let service = VerifyLayer::new(policy.clone()).layer(inner);
        let mut request = bearer(garbage);
        let mut result = None;
        let cost = measure(|| {
            let request = request.take().expect("a request");
            let future = pin!(service.clone().oneshot(request));
            result =
                Some(future.poll(&mut Context::from_waker(Waker::noop())).map_ok(|r| r.status()));
        });
        assert_eq!(result, Some(Poll::Ready(Ok(http::StatusCode::UNAUTHORIZED))));
        cost.count_total
    };
    refuse(b"x"); // whatever is made once is made now
    let least = refuse(b"x");
    assert!(least <= 8, "{least} allocations");
    for length in [100, 10_000, 1 << 20] {
        for (what, garbage) in garbage(length) {
            if bearer(&garbage).is_some() && (what != "a long signature" || length > 2_000) {
                // A debug build tells the first refusal of each reason on standard error.
                refuse(&garbage);
                assert_eq!(refuse(&garbage), least, "{what}, {length} bytes");
            }
        }
    }
}

#[test]
fn a_header_that_is_refused_costs_one_buffer_and_a_few_small_things() {
    let policy = policy();
    for header in [
        r#"{"alg":"none"}"#.to_owned(),
        r#"{"alg":"ES256","crit":["x"]}"#.to_owned(),
        format!(r#"{{"kid":"{}","alg":"none"}}"#, "k".repeat(1_000)),
        format!(r#"{{"x":"{}","alg":"none"}}"#, "x".repeat(4_000)),
    ] {
        let payload = BASE64_URL_SAFE_NO_PAD.encode("x".repeat(9_000));
        let token = format!("{}.{payload}.AAAA", BASE64_URL_SAFE_NO_PAD.encode(&header));
        let cost = cost(&policy, token.as_bytes());
        assert!(cost.count_total <= 6, "{} allocations: {header:.30}", cost.count_total);
        let most = (token.len() + 1_024) as u64;
        assert!(cost.bytes_total <= most, "{} bytes: {header:.30}", cost.bytes_total);
    }
}

#[test]
fn a_forged_token_costs_a_small_multiple_of_its_length_however_it_is_filled() {
    let policy = policy();
    let forger = issuer().impostor();
    let n = 20_000;
    let list = |item: &str| format!("[{}0]", item.repeat(n / item.len()));
    let members = (0..2_000).map(|i| format!(r#""m{i}":0,"#)).collect::<String>();
    for (what, times, filling) in [
        ("a long string", 8, format!(r#""x":"{}""#, "x".repeat(n))),
        ("a long escaped string", 8, format!(r#""x":"{}""#, "\\u0061".repeat(n / 6))),
        ("a list of numbers", 8, format!(r#""x":{}"#, list("0,"))),
        ("a list of lists", 8, format!(r#""x":{}"#, list("[],"))),
        ("a list of objects", 8, format!(r#""x":{}"#, list("{},"))),
        ("thousands of members", 8, format!(r#"{members}"x":0"#)),
        ("a member of thousands", 8, format!(r#""x":{{{members}"x":0}}"#)),
        ("events", 8, format!(r#""events":{}"#, list("0,"))),
        ("a nonce", 8, format!(r#""nonce":{}"#, list("0,"))),
        ("a hash", 8, format!(r#""at_hash":{}"#, list("{},"))),
        ("a binding", 8, format!(r#""cnf":{}"#, list("0,"))),
        ("a subject", 8, format!(r#""sub":{}"#, list("0,"))),
        // The one list that is kept.
        ("audiences", 64, format!(r#""aud":{}"#, list("0,"))),
    ] {
        let payload = format!(r#"{{"iss":"https://id.example","exp":1800000300,{filling}}}"#);
        let forged = forger.token(ES256).raw_payload(payload).mint();
        let cost = cost(&policy, forged.as_bytes());
        let most = times * forged.len() as u64 + 4_096;
        assert!(cost.bytes_max <= most, "{what}: {} bytes at once", cost.bytes_max);
    }
}
