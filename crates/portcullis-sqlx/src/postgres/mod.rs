//! Rings and sessions in PostgreSQL.
//!
//! # What the server has to be
//!
//! Tested with PostgreSQL 15.
//!
//! - **The primary.** A replica is refused at each reading: what it says is old, and it takes no change.
//! - **Behind PgBouncer, in any of its modes but *statement*.** Each call is one transaction, with settings of its own
//!   transaction alone and without named statements. sqlx asks for a startup parameter that PgBouncer refuses: leave it out
//!   by `PgConnectOptions::extra_float_digits(None)`, or list `extra_float_digits` in `ignore_startup_parameters`.
//!
//! An instance that hangs in the middle of a change is cut off by the server after the [deadline](PostgresRing::deadline), so
//! that others can change what it was about to.
//!
//! Each change is on the disk of the server before it counts, also where `synchronous_commit` is `off`. A failover to a replica that
//! lacks the last changes brings back keys that were withdrawn and sessions that ended, and ends sessions that rotated: with `synchronous_commit = remote_apply` and a synchronous
//! replica, none is lost.
//!
//! # Rights
//!
//! [`migrate`](PostgresRing::migrate) creates tables, and needs the rights to. A service needs what [`GRANTS`] lists.
//!
//! # Migrations of one's own
//!
//! [`SCHEMA`] is what `migrate` runs, for who keeps all SQL in one place. A test that calls `migrate` as a user without the
//! right to create tables fails where a release needs another [version](crate::SCHEMA_VERSION) of them.
mod database;
mod ring;
mod sessions;
mod told;

pub use self::ring::PostgresRing;
pub use self::sessions::PostgresSessions;

/// The tables, as SQL, for migrations of one's own.
///
/// Put a schema of yours in front of the names, or another prefix into them, and tell [`PostgresRing`] and
/// [`PostgresSessions`] the same.
pub const SCHEMA: &str = concat!(include_str!("schema.sql"), include_str!("sessions.sql"));

/// What the user of a service has to be granted, as SQL, for a user `token_issuer`.
///
/// Where the tables stand in a schema of their own, it needs `USAGE` of that as well. See
/// [`PostgresRing::grants`] for other names.
pub const GRANTS: &str = include_str!("grants.sql");

#[cfg(test)]
mod tests {
    use portcullis_issuer::store::RingStore as _;
    use sqlx::PgPool;

    use super::*;

    #[tokio::test]
    async fn grants_name_the_tables_and_the_user_as_they_are_called() {
        let pool = PgPool::connect_lazy("postgres://nobody@localhost/none").expect("an address");
        let ring = PostgresRing::new(pool);
        assert_eq!(ring.grants("token_issuer"), GRANTS.replace("token_issuer", "\"token_issuer\""));
        let ring = ring.schema("auth").and_then(|ring| ring.table_prefix("acme_"));
        let grants = ring.expect("names").grants("web\" app");
        assert_eq!(
            grants.lines().collect::<Vec<_>>(),
            [
                "GRANT USAGE ON SCHEMA \"auth\" TO \"web\"\" app\";",
                "GRANT SELECT ON \"auth\".acme_schema TO \"web\"\" app\";",
                "GRANT SELECT, INSERT, UPDATE ON \"auth\".acme_key_ring TO \"web\"\" app\";",
                "GRANT SELECT, INSERT, DELETE ON \"auth\".acme_keys TO \"web\"\" app\";",
                "GRANT SELECT, INSERT, UPDATE, DELETE ON \"auth\".acme_sessions TO \"web\"\" app\";",
                "GRANT SELECT, INSERT, UPDATE, DELETE ON \"auth\".acme_subjects TO \"web\"\" app\";",
            ]
        );
    }

    /// sqlx goes on trying to connect, until the deadline.
    #[tokio::test(start_paused = true)]
    async fn debug_and_errors_show_no_password() {
        let pool = PgPool::connect_lazy("postgres://nobody:hidden@127.0.0.1:1/none");
        let ring = PostgresRing::new(pool.expect("an address"));
        let error = ring.load("https://id.example").await.expect_err("nobody is there");
        let told = format!("{ring:?} {error} {error:?}");
        assert!(!told.contains("hidden") && told.contains("within 5s"), "{told}");
    }
}
