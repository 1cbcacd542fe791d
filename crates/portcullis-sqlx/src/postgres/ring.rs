use portcullis_issuer::StoreTime;
use portcullis_issuer::store::{LoadedRing, RingStore, RingVersion, StoreError, StoredRing, Swap};
use sqlx::{PgConnection, Row as _};

use super::database::{Database, Query, SEEN, call};
use super::told::told_of_schemas;
use crate::call::Failure;
use crate::columns::{self, KeyColumns};
use crate::load;
use crate::ring::ring_store;
use crate::told::told;

const FIRST: &str = "\
    INSERT INTO portcullis_key_ring (issuer, version, longest_lifetime_ms, mac) VALUES ($1, 1, $2, $3) \
    ON CONFLICT DO NOTHING";

const NEXT: &str = "\
    UPDATE portcullis_key_ring SET version = version + 1, longest_lifetime_ms = $2, mac = $3 \
    WHERE issuer = $1 AND version = $4";

const DELETE_KEYS: &str = "DELETE FROM portcullis_keys WHERE issuer = $1";

/// All keys at once: a round trip for each would add up where the database is far.
const INSERT_KEYS: &str = "\
    INSERT INTO portcullis_keys (issuer, key_id, algorithm, public_jwk, seal_id, sealed, signer_key, published_at, \
    signs_from, signs_until, verifies_until, withdrawn_at, is_private_kept, mac) \
    SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[], $8::bigint[], \
    $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::boolean[], $14::bytea[])";

/// Rings in PostgreSQL, for any number of instances.
///
/// ```no_run
/// use portcullis_sqlx::PostgresRing;
/// use sqlx::postgres::PgPoolOptions;
///
/// # async fn open() -> Result<PostgresRing, Box<dyn std::error::Error>> {
/// let pool = PgPoolOptions::new()
///     .connect("postgres://orders@db.internal/orders")
///     .await?;
/// let ring = PostgresRing::new(pool).schema("auth")?;
/// ring.migrate().await?; // or SQL of your own: see `postgres::SCHEMA`
/// # Ok(ring) }
/// ```
///
/// Clones are one store. A call that is cut short, by its deadline or because nobody waits for it any more, takes its
/// connection with it: the pool makes another.
#[derive(Clone)]
pub struct PostgresRing(Database);

told!(
    PostgresRing, Database, sqlx::PgPool,
    keeps: "Keeps rings in the database of this pool. Nothing is asked yet.",
    deadline: "If you do not call it: 5 s. An instance reads its ring once a minute and goes by what it read for ten, so it can wait for the next time. What took over 10 s is not gone by, so more than that is of no use."
);
told_of_schemas!(PostgresRing);

ring_store!(PostgresRing, PgConnection);

impl PostgresRing {
    async fn load_on(
        &self,
        connection: &mut PgConnection,
        issuer: &str,
    ) -> Result<LoadedRing, Failure> {
        let statement = load::statement(|column| format!("{column} = $1"), SEEN);
        let rows = self.0.read(connection, self.0.query(&statement).bind(issuer)).await?;
        let now = StoreTime::from_millis(columns::first(&rows)?.try_get("now")?);
        load::ring(&rows, now)
    }

    /// All keys at once.
    async fn insert_all(
        &self,
        connection: &mut PgConnection,
        issuer: &str,
        keys: Vec<KeyColumns>,
    ) -> Result<(), Failure> {
        self.insert(issuer, &keys).execute(connection).await?;
        Ok(())
    }

    fn insert<'q>(&self, issuer: &'q str, keys: &[KeyColumns]) -> Query<'q> {
        fn column<T>(keys: &[KeyColumns], of: impl Fn(&KeyColumns) -> T) -> Vec<T> {
            keys.iter().map(of).collect()
        }
        self.0
            .query(INSERT_KEYS)
            .bind(issuer)
            .bind(column(keys, |key| key.key_id.clone()))
            .bind(column(keys, |key| key.algorithm.clone()))
            .bind(column(keys, |key| key.public_jwk.clone()))
            .bind(column(keys, |key| key.seal_id.clone()))
            .bind(column(keys, |key| key.sealed.clone()))
            .bind(column(keys, |key| key.signer_key.clone()))
            .bind(column(keys, |key| key.published_at))
            .bind(column(keys, |key| key.signs_from))
            .bind(column(keys, |key| key.signs_until))
            .bind(column(keys, |key| key.verifies_until))
            .bind(column(keys, |key| key.withdrawn_at))
            .bind(column(keys, |key| key.is_private_kept))
            .bind(column(keys, |key| key.mac.clone()))
    }
}
