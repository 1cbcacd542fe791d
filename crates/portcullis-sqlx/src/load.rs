//! What a reading asks for, what it comes to, and how much of it is taken: whoever can write to the tables must not exhaust the memory of who
//! reads them.
use core::fmt::Write as _;

use portcullis_issuer::StoreTime;
use portcullis_issuer::store::{LoadedRing, StoreError};
use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::call::Failure;
use crate::columns::{self, KeyColumns};

/// The most rows that are taken. An issuer accepts 64 keys, and says of one more that there are too many.
const MOST_ROWS: usize = 65;

/// The most bytes of a MAC. HMAC-SHA-256 has 32, and the suite of `portcullis-testkit` writes one of each byte that there is.
const MAC: usize = 256;

/// The most bytes of the columns of a key.
const MOST: [(&str, usize); 7] = [
    // The longest that `ExistingKey::with_key_id` accepts.
    ("key_id", 1024),
    // The longest name of IANA's has some 30.
    ("algorithm", 1024),
    // An RSA key of 8192 bits, which is the longest that is verified with, has 1.5 KiB.
    ("public_jwk", 8 * 1024),
    // The name of a key at a KMS has some 100 to 200.
    ("seal_id", 1024),
    // An RSA key of 8192 bits has 4.7 KiB, and what a KMS makes of it is seldom twice as long.
    ("sealed", 16 * 1024),
    // As `seal_id`.
    ("signer_key", 1024),
    ("mac", MAC),
];

/// What a row calls the MAC of the ring.
const RING_MAC: &str = "ring_mac";

/// What reads the ring of an issuer, and `more`. It is one statement, so one moment. Rows repeat the ring for each key. A value
/// that is too long stays in the database, and its column is named by `too_long`. `is_issuer` says of a column that it names
/// the issuer.
pub(crate) fn statement(is_issuer: impl Fn(&str) -> String, more: &str) -> String {
    let (mut faults, mut values) = (String::new(), String::new());
    let ring_mac = ("r.mac", RING_MAC, MAC);
    let keys = MOST.map(|(name, most)| (format!("k.{name}"), name, most));
    let keys = keys.iter().map(|(column, name, most)| (column.as_str(), *name, *most));
    for (column, name, most) in core::iter::once(ring_mac).chain(keys) {
        // To write into a text does not fail.
        let _ = write!(faults, "WHEN octet_length({column}) > {most} THEN '{name}' ");
        let _ = write!(
            values,
            "CASE WHEN octet_length({column}) <= {most} THEN {column} END AS {name}, "
        );
    }
    let (ring_is_it, key_is_it) = (is_issuer("r.issuer"), is_issuer("k.issuer"));
    format!(
        "SELECT s.version AS schema_version, s.compatible_from, {more}\
         r.version AS ring_version, r.longest_lifetime_ms, CASE {faults}END AS too_long, {values}\
         k.published_at, k.signs_from, k.signs_until, k.verifies_until, k.withdrawn_at, k.is_private_kept \
         FROM portcullis_schema AS s \
         LEFT JOIN portcullis_key_ring AS r ON {ring_is_it} \
         LEFT JOIN portcullis_keys AS k ON {key_is_it} \
         LIMIT {MOST_ROWS}"
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
    check_read(rows)?;
    let keys = rows.iter().filter_map(|row| columns::key(row).transpose());
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    Ok(columns::head(columns::first(rows)?)?.with(now, keys)?)
}

/// Whether all values of these rows were taken.
///
/// # Errors
///
/// One of them is too long.
fn check_read<'r, R: Row>(rows: &'r [R]) -> Result<(), Failure>
where
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    for row in rows {
        if let Some(name) = row.try_get::<Option<String>, _>("too_long")? {
            return Err(StoreError::new(format!(
                "a row is longer than it may be: its `{name}` has more than {} bytes, so somebody else wrote it; restore the ring from a backup, and find out who else writes to the store",
                most(&name)
            ))
            .into());
        }
    }
    Ok(())
}

/// Whether what is about to be written can be read again.
///
/// # Errors
///
/// One of the values is too long.
pub(crate) fn check_written(ring_mac: &[u8], keys: &[KeyColumns]) -> Result<(), StoreError> {
    let check = |name: &str, length: usize| {
        let most = most(name);
        if length <= most {
            return Ok(());
        }
        Err(StoreError::new(format!(
            "`{name}` has {length} bytes, and at most {most} are kept: nothing was changed; have your `Seal` or `Signer` give a shorter one"
        )))
    };
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

fn most(name: &str) -> usize {
    let found = MOST.iter().find(|(column, _)| *column == name);
    found.map_or(MAC, |(_, most)| *most)
}
