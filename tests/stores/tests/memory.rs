//! What a reading needs of the memory of this process, which has no other test.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may fail by it")]

use std::fs;

use portcullis_issuer::store::RingStore as _;
use portcullis_stores_tests::{Database, ISSUER, issuer, signer};

const MIB: usize = 1024 * 1024;

/// The most bytes that this process had since `forget_peak`.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<usize>().unwrap() * 1024
}

fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

#[tokio::test]
async fn a_value_that_is_too_long_takes_no_memory_of_who_reads() {
    for database in Database::each().await {
        let ring = database.ring().await;
        let key = signer(&issuer(ring.clone()).await.unwrap());
        let is_postgres = database.url.starts_with("postgres:");
        let (text, bytes) = if is_postgres {
            ("repeat('x', 67108864)", "decode(repeat('00', 67108864), 'hex')")
        } else {
            ("hex(zeroblob(33554432))", "zeroblob(67108864)")
        };
        for set in [format!("public_jwk = {text}"), format!("sealed = {bytes}")] {
            database.sql(format!("UPDATE portcullis_keys SET {set} WHERE key_id = '{key}'")).await;
            forget_peak();
            let before = peak();
            let error = ring.load(ISSUER).await.expect_err("too long");
            assert!(error.reason.contains("longer than it may be"), "{error}");
            let took = peak().saturating_sub(before);
            assert!(took < 16 * MIB, "{set}: {took} bytes");
        }
    }
}
