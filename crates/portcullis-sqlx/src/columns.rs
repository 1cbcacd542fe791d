//! The columns of a key, and the ring that rows come to.
use core::num::TryFromIntError;
use core::time::Duration;

use portcullis_issuer::StoreTime;
use portcullis_issuer::ring::KeyTimes;
use portcullis_issuer::seal::Sealed;
use portcullis_issuer::store::{LoadedRing, RingVersion, StoreError, StoredRing};
use portcullis_issuer::{KeyRow, PrivatePart};
use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::call::Failure;
use crate::schema::{self, Present};

/// What a database has to have for these columns.
macro_rules! columns {
    ($(#[$docs:meta])* fn $name:ident($row:ident) -> $what:ty $body:block) => {
        $(#[$docs])*
        pub(crate) fn $name<'r, R: Row>($row: &'r R) -> Result<$what, sqlx::Error>
        where
            &'static str: ColumnIndex<R>,
            String: Decode<'r, R::Database> + Type<R::Database>,
            Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
            i64: Decode<'r, R::Database> + Type<R::Database>,
            bool: Decode<'r, R::Database> + Type<R::Database>,
        $body
    };
}

/// A key as its columns.
#[derive(Clone)]
pub(crate) struct KeyColumns {
    pub(crate) key_id: String,
    pub(crate) algorithm: String,
    pub(crate) public_jwk: String,
    pub(crate) seal_id: Option<String>,
    pub(crate) sealed: Option<Vec<u8>>,
    pub(crate) signer_key: Option<String>,
    pub(crate) published_at: i64,
    pub(crate) signs_from: i64,
    pub(crate) signs_until: Option<i64>,
    pub(crate) verifies_until: Option<i64>,
    pub(crate) withdrawn_at: Option<i64>,
    pub(crate) is_private_kept: bool,
    pub(crate) mac: Vec<u8>,
}

columns! {
    /// The key of a row. `None`: it has none.
    fn key(row) -> Option<KeyColumns> {
        let Some(key_id) = row.try_get("key_id")? else { return Ok(None) };
        Ok(Some(KeyColumns {
            key_id,
            algorithm: row.try_get("algorithm")?,
            public_jwk: row.try_get("public_jwk")?,
            seal_id: row.try_get("seal_id")?,
            sealed: row.try_get("sealed")?,
            signer_key: row.try_get("signer_key")?,
            published_at: row.try_get("published_at")?,
            signs_from: row.try_get("signs_from")?,
            signs_until: row.try_get("signs_until")?,
            verifies_until: row.try_get("verifies_until")?,
            withdrawn_at: row.try_get("withdrawn_at")?,
            is_private_kept: row.try_get("is_private_kept")?,
            mac: row.try_get("mac")?,
        }))
    }
}

columns! {
    /// The version of the tables.
    fn present(row) -> Present {
        Ok(Present {
            version: row.try_get("schema_version")?,
            compatible_from: row.try_get("compatible_from")?,
        })
    }
}

/// The first row of a reading, whose tables this release can go by.
pub(crate) fn checked<'r, R: Row>(rows: &'r [R]) -> Result<&'r R, Failure>
where
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
{
    let first = first(rows)?;
    present(first)?.check()?;
    Ok(first)
}

/// What every row of a reading begins with.
pub(crate) struct Head {
    ring: Option<(i64, i64, Vec<u8>)>,
}

columns! {
    /// The ring that a row is of. `None`: there is none.
    fn head(row) -> Head {
        let Some(version) = row.try_get("ring_version")? else { return Ok(Head { ring: None }) };
        let lifetime = row.try_get("longest_lifetime_ms")?;
        Ok(Head { ring: Some((version, lifetime, row.try_get("ring_mac")?)) })
    }
}

impl Head {
    /// The ring that rows come to.
    pub(crate) fn with(
        self,
        now: StoreTime,
        keys: impl IntoIterator<Item = KeyColumns>,
    ) -> Result<LoadedRing, StoreError> {
        let Some((version, lifetime, mac)) = self.ring else {
            return Ok(LoadedRing { now, ring: None });
        };
        let negative = |what: &str| {
            StoreError::new(format!(
                "the {what} of the ring is negative: somebody else wrote it; restore the ring from a backup"
            ))
        };
        let version = u64::try_from(version).map_err(|_| negative("version"))?;
        let lifetime = u64::try_from(lifetime).map_err(|_| negative("longest lifetime"))?;
        let keys = keys.into_iter().map(KeyColumns::into_row).collect::<Result<_, _>>()?;
        let longest_lifetime = Duration::from_millis(lifetime);
        let ring = StoredRing { longest_lifetime, keys, mac };
        Ok(LoadedRing { now, ring: Some((RingVersion(version), ring)) })
    }
}

impl KeyColumns {
    pub(crate) fn of(row: &KeyRow) -> Self {
        let KeyRow { key_id, algorithm, public_jwk, private, times, mac } = row.clone();
        let KeyTimes {
            published_at,
            signs_from,
            signs_until,
            verifies_until,
            withdrawn_at,
            is_private_kept,
        } = times;
        let (seal_id, sealed, signer_key) = match private {
            Some(PrivatePart::Sealed(Sealed { seal_id, bytes })) => {
                (Some(seal_id), Some(bytes), None)
            }
            Some(PrivatePart::AtSigner { name }) => (None, None, Some(name)),
            None => (None, None, None),
        };
        let millis = |at: Option<StoreTime>| at.map(StoreTime::as_millis);
        Self {
            key_id,
            algorithm,
            public_jwk,
            seal_id,
            sealed,
            signer_key,
            published_at: published_at.as_millis(),
            signs_from: signs_from.as_millis(),
            signs_until: millis(signs_until),
            verifies_until: millis(verifies_until),
            withdrawn_at: millis(withdrawn_at),
            is_private_kept,
            mac,
        }
    }

    fn into_row(self) -> Result<KeyRow, StoreError> {
        let private = match (self.seal_id, self.sealed, self.signer_key) {
            (Some(seal_id), Some(bytes), None) => {
                Some(PrivatePart::Sealed(Sealed { seal_id, bytes }))
            }
            (None, None, Some(name)) => Some(PrivatePart::AtSigner { name }),
            (None, None, None) => None,
            _ => {
                return Err(StoreError::new(
                    "a key has a private part that is half there: `seal_id` and `sealed`, or `signer_key` alone, are one; restore the ring from a backup",
                ));
            }
        };
        let time = StoreTime::from_millis;
        let times = KeyTimes {
            published_at: time(self.published_at),
            signs_from: time(self.signs_from),
            signs_until: self.signs_until.map(time),
            verifies_until: self.verifies_until.map(time),
            withdrawn_at: self.withdrawn_at.map(time),
            is_private_kept: self.is_private_kept,
        };
        let Self { key_id, algorithm, public_jwk, mac, .. } = self;
        Ok(KeyRow { key_id, algorithm, public_jwk, private, times, mac })
    }
}

/// A lifetime as it is kept.
///
/// # Errors
///
/// It is not a number of whole milliseconds that the column holds: what is read back would be another.
pub(crate) fn lifetime_millis(lifetime: Duration) -> Result<i64, StoreError> {
    let millis = i64::try_from(lifetime.as_millis()).ok();
    let exact = millis.filter(|_| lifetime.subsec_nanos().is_multiple_of(1_000_000));
    exact.ok_or_else(|| {
        StoreError::new(format!(
            "a longest lifetime of {lifetime:?} is not kept: whole milliseconds are"
        ))
    })
}

/// A version as it is kept.
///
/// # Errors
///
/// No ring has it.
pub(crate) fn kept_version(version: RingVersion) -> Result<i64, TryFromIntError> {
    i64::try_from(version.0)
}

/// The first row of a reading, of which there is always one.
pub(crate) fn first<R>(rows: &[R]) -> Result<&R, StoreError> {
    rows.first().ok_or_else(schema::no_row)
}
