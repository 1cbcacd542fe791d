//! What a reading of a ring asks for, what it comes to, and how much of it is taken.
use portcullis_issuer::StoreTime;
use portcullis_issuer::store::{LoadedRing, StoreError};
use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::bounded::{self, Bounded};
use crate::call::Failure;
use crate::columns::{self, KeyColumns};

/// The most rows that are taken. An issuer accepts 64 keys, and says of one more that there are too many.
const MOST_ROWS: usize = 65;

/// The most bytes of a MAC. HMAC-SHA-256 has 32, and the suite of `portcullis-testkit` writes one of each byte that there is.
const MAC: usize = 256;

/// What a row calls the MAC of the ring.
const RING_MAC: &str = "ring_mac";

/// The columns of a ring and its keys that have a bound.
const BOUNDED: [Bounded; 8] = [
    Bounded { column: "r.mac", name: RING_MAC, most: MAC },
    // The longest that `ExistingKey::with_key_id` accepts.
    Bounded { column: "k.key_id", name: "key_id", most: 1024 },
    // The longest name of IANA's has some 30.
    Bounded { column: "k.algorithm", name: "algorithm", most: 1024 },
    // A key of ML-DSA-87 has 3.6 KiB, and an RSA key of 8192 bits, which is the longest that is verified with, 1.5.
    Bounded { column: "k.public_jwk", name: "public_jwk", most: 8 * 1024 },
    // The name of a key at a KMS has some 100 to 200.
    Bounded { column: "k.seal_id", name: "seal_id", most: 1024 },
    // An RSA key of 8192 bits has 4.7 KiB, and what a KMS makes of it is seldom twice as long.
    Bounded { column: "k.sealed", name: "sealed", most: 16 * 1024 },
    // As `seal_id`.
    Bounded { column: "k.signer_key", name: "signer_key", most: 1024 },
    Bounded { column: "k.mac", name: "mac", most: MAC },
];

/// What reads the ring of an issuer, and what every reading begins with. It is one statement, so one moment. Rows repeat the
/// ring for each key.
/// `is_issuer` says of a column that it names the issuer.
pub(crate) fn statement(is_issuer: impl Fn(&str) -> String, seen: &str) -> String {
    let (ring_is_it, key_is_it) = (is_issuer("r.issuer"), is_issuer("k.issuer"));
    format!(
        "SELECT {seen}\
         r.version AS ring_version, r.longest_lifetime_ms, {}, \
         k.published_at, k.signs_from, k.signs_until, k.verifies_until, k.withdrawn_at, k.is_private_kept \
         FROM portcullis_schema AS s \
         LEFT JOIN portcullis_key_ring AS r ON {ring_is_it} \
         LEFT JOIN portcullis_keys AS k ON {key_is_it} \
         LIMIT {MOST_ROWS}",
        bounded::selected(&BOUNDED)
    )
}

/// The ring that the rows of a reading come to.
pub(crate) fn ring<'r, R: Row>(rows: &'r [R], now: StoreTime) -> Result<LoadedRing, Failure>
where
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
{
    bounded::check_read(rows, &BOUNDED, "restore the ring from a backup")?;
    let keys = rows.iter().filter_map(|row| columns::key(row).transpose());
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    Ok(columns::head(columns::first(rows)?)?.with(now, keys)?)
}

/// Whether what is about to be written can be read again.
///
/// # Errors
///
/// One of the values is too long.
pub(crate) fn check_written(ring_mac: &[u8], keys: &[KeyColumns]) -> Result<(), StoreError> {
    let way_out = "have your `Seal` or `Signer` give a shorter one";
    let check = |name: &str, length| bounded::check_written(&BOUNDED, name, length, way_out);
    check(RING_MAC, ring_mac.len())?;
    for key in keys {
        check("key_id", key.key_id.len())?;
        check("algorithm", key.algorithm.len())?;
        check("public_jwk", key.public_jwk.len())?;
        check("seal_id", key.seal_id.as_ref().map_or(0, String::len))?;
        check("sealed", key.sealed.as_ref().map_or(0, Vec::len))?;
        check("signer_key", key.signer_key.as_ref().map_or(0, String::len))?;
        check("mac", key.mac.len())?;
    }
    Ok(())
}
