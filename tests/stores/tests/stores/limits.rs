//! Rows of somebody who can write to the database, and would exhaust the memory of all instances.
use portcullis_issuer::RingError;
use portcullis_issuer::store::{RingStore as _, Swap};
use portcullis_stores_tests::{Database, ISSUER, issuer, mint, signer};

/// The most bytes of each column of a key.
const MOST: [(&str, usize); 7] = [
    ("key_id", 1024),
    ("algorithm", 1024),
    ("public_jwk", 8 * 1024),
    ("seal_id", 1024),
    ("sealed", 16 * 1024),
    ("signer_key", 1024),
    ("mac", 256),
];

/// How many bytes these are, as SQL.
fn value(database: &Database, column: &str, bytes: usize) -> String {
    if !["sealed", "mac"].contains(&column) {
        // Bytes count, and not characters.
        return format!("'{}{}'", "é".repeat(bytes / 2), "x".repeat(bytes % 2));
    }
    let hex = "00".repeat(bytes);
    let is_postgres = database.url.starts_with("postgres:");
    if is_postgres { format!("decode('{hex}', 'hex')") } else { format!("x'{hex}'") }
}

#[tokio::test]
async fn a_row_that_is_too_long_is_a_fault_that_says_so() {
    for database in Database::each().await {
        let ring = database.ring().await;
        let running = issuer(ring.clone()).await.unwrap();
        let key = signer(&running);
        let keys = MOST.map(|(column, most)| ("portcullis_keys", column, column, most));
        let of_ring = ("portcullis_key_ring", "mac", "ring_mac", 256);
        for (table, column, name, most) in keys.into_iter().chain([of_ring]) {
            for bytes in [most, most + 1] {
                let (version, stored) = ring.load(ISSUER).await.unwrap().ring.unwrap();
                let value = value(&database, column, bytes);
                let of_key = match column {
                    _ if table == "portcullis_key_ring" => String::new(),
                    "signer_key" => {
                        format!(", sealed = NULL, seal_id = NULL WHERE key_id = '{key}'")
                    }
                    _ => format!(" WHERE key_id = '{key}'"),
                };
                database.sql(format!("UPDATE {table} SET {column} = {value}{of_key}")).await;
                let read = ring.load(ISSUER).await;
                assert_eq!(read.is_err(), bytes > most, "{name} {bytes} {read:?}");
                if let Err(error) = read {
                    let told = format!("its `{name}` has more than {most} bytes");
                    assert!(error.reason.contains(&told), "{error}");
                    assert!(error.reason.contains("longer than it may be"), "{error}");
                    let refused = running.refresh().await;
                    assert!(matches!(refused, Err(RingError::Store(_))), "{refused:?}");
                    assert!(mint(&running).is_ok());
                }
                // Whoever has the ring as it was puts it back.
                assert_eq!(ring.swap(ISSUER, Some(version), &stored).await, Ok(Swap::Done));
            }
        }
    }
}

#[tokio::test]
async fn what_could_not_be_read_again_is_not_written() {
    for database in Database::each().await {
        let ring = database.ring().await;
        issuer(ring.clone()).await.unwrap();
        let (version, stored) = ring.load(ISSUER).await.unwrap().ring.unwrap();
        for bytes in [1024, 1025] {
            let mut changed = stored.clone();
            changed.keys[0].key_id = "x".repeat(bytes);
            let swap = ring.swap(ISSUER, Some(version), &changed).await;
            assert_eq!(swap.is_err(), bytes > 1024, "{swap:?}");
            if let Err(error) = swap {
                assert!(error.reason.contains("`key_id` has 1025 bytes"), "{error}");
            }
            assert!(ring.load(ISSUER).await.is_ok());
        }
    }
}

#[tokio::test]
async fn of_very_many_rows_as_many_are_read_as_show_that_there_are_too_many() {
    for database in Database::each().await {
        let ring = database.ring().await;
        let running = issuer(ring.clone()).await.unwrap();
        let key = signer(&running);
        database
            .sql(format!(
                "WITH RECURSIVE numbers(number) AS \
                 (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 50000) \
                 INSERT INTO portcullis_keys \
                 (issuer, key_id, algorithm, public_jwk, published_at, signs_from, is_private_kept, mac) \
                 SELECT issuer, 'k' || number, algorithm, public_jwk, 0, 0, false, mac \
                 FROM portcullis_keys, numbers WHERE key_id = '{key}'"
            ))
            .await;
        let (_, stored) = ring.load(ISSUER).await.unwrap().ring.unwrap();
        assert_eq!(stored.keys.len(), 65);
        let refused = running.refresh().await;
        assert!(matches!(refused, Err(RingError::TooManyKeys { found: 65 })), "{refused:?}");
        assert!(mint(&running).is_ok());
    }
}
