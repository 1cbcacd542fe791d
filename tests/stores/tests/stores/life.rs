//! What happens to a ring in the years of its life, on every store.
use portcullis_issuer::ring::Phase;
use portcullis_issuer::store::{FileRing, MemoryRing, RingStore as _, RingVersion};
use portcullis_issuer::{BuildError, PrivatePart, RingError, TokenIssuer};
use portcullis_stores_tests::{Database, ISSUER, NEW, OLD, Ring, builder, issuer, mint, signer};
use tempfile::TempDir;

/// A store of each kind, and what has to stay for it.
async fn stores() -> (Vec<Ring>, TempDir, [Database; 2]) {
    let (databases, folder) = (Database::each().await, tempfile::tempdir().unwrap());
    let file = FileRing::open(folder.path().join("ring.json")).unwrap();
    let [sqlite, postgres] = &databases;
    let stores = vec![
        Ring::Memory(MemoryRing::new()),
        Ring::File(file),
        sqlite.ring().await,
        postgres.ring().await,
    ];
    (stores, folder, databases)
}

fn ring_error(error: BuildError) -> RingError {
    match error {
        BuildError::Ring(error) => error,
        other => panic!("{other}"),
    }
}

fn version(issuer: &TokenIssuer<Ring>) -> RingVersion {
    issuer.status().unwrap().version
}

#[tokio::test]
async fn the_root_secret_is_replaced_in_four_steps_while_instances_on_neighbouring_lists_go_on() {
    let (stores, _folder, _databases) = stores().await;
    for store in stores {
        let start = async |secrets: &[&str]| builder(secrets, store.clone()).build().await.unwrap();
        let first = start(&[OLD]).await;
        let (key, token) = (signer(&first), mint(&first).unwrap());
        let steps = [&[OLD][..], &[OLD, NEW], &[NEW, OLD], &[NEW]];
        for neighbours in steps.windows(2) {
            let (one, other) = (start(neighbours[0]).await, start(neighbours[1]).await);
            for instance in [&one, &other, &one, &other] {
                instance.refresh().await.unwrap();
                assert_eq!(signer(instance), key, "{store:?}");
            }
            assert_eq!(one.key_set().unwrap(), other.key_set().unwrap(), "{store:?}");
        }
        let last = start(&[NEW]).await;
        let policy = last.policy_builder().build().unwrap();
        assert!(policy.verify_token_now(&token).is_ok(), "{store:?}");
        // Who has the old one alone cannot read any of it.
        let refused = builder(&[OLD], store.clone()).build().await.map(drop).map_err(ring_error);
        assert!(matches!(refused, Err(RingError::Foreign(_))), "{store:?} {refused:?}");
    }
}

#[tokio::test]
async fn a_root_secret_that_was_lost_or_mixed_up_makes_no_key() {
    let (stores, _folder, _databases) = stores().await;
    for store in stores {
        let first = issuer(store.clone()).await.unwrap();
        let before = store.load(ISSUER).await.unwrap().ring;
        let refused = builder(&[NEW], store.clone()).build().await.map(drop).map_err(ring_error);
        assert!(matches!(refused, Err(RingError::Foreign(_))), "{store:?} {refused:?}");
        assert_eq!(store.load(ISSUER).await.unwrap().ring, before, "{store:?}");
        first.refresh().await.unwrap();
    }
}

#[tokio::test]
async fn the_ring_that_was_read_is_there_for_the_next_instance_byte_for_byte() {
    let (stores, _folder, _databases) = stores().await;
    for store in stores {
        let first = issuer(store.clone()).await.unwrap();
        first.withdraw(&signer(&first)).await.unwrap();
        let second = issuer(store.clone()).await.unwrap();
        assert_eq!(first.key_set().unwrap(), second.key_set().unwrap(), "{store:?}");
        assert_eq!(signer(&first), signer(&second), "{store:?}");
        assert_eq!((version(&first), version(&second)), (RingVersion(2), RingVersion(2)));
    }
}

#[tokio::test]
async fn a_ring_row_beside_missing_keys_is_a_fault_and_nothing_is_made() {
    for database in Database::each().await {
        let running = issuer(database.ring().await).await.unwrap();
        let keys = running.key_set().unwrap();
        database.sql("DELETE FROM portcullis_keys").await;
        assert_eq!(running.refresh().await, Err(RingError::NoKeys));
        let refused = issuer(database.ring().await).await.map(drop).map_err(ring_error);
        assert_eq!(refused, Err(RingError::NoKeys));
        assert_eq!(database.number("SELECT count(*) FROM portcullis_keys").await, 0);
        assert_eq!(database.number("SELECT version FROM portcullis_key_ring").await, 1);
        // What was read serves on.
        assert_eq!(running.key_set().unwrap(), keys);
        assert!(mint(&running).is_ok());
    }
}

/// Whoever deletes the ring to begin anew deletes its keys first, and so is asked twice.
#[tokio::test]
async fn the_row_of_a_ring_is_not_deleted_beside_its_keys() {
    for database in Database::each().await {
        issuer(database.ring().await).await.unwrap();
        database.try_sql("DELETE FROM portcullis_key_ring").await.unwrap_err();
        database.sql("DELETE FROM portcullis_keys").await;
        database.sql("DELETE FROM portcullis_key_ring").await;
        let anew = issuer(database.ring().await).await.unwrap();
        assert_eq!(version(&anew), RingVersion(1));
    }
}

#[tokio::test]
async fn whoever_edits_a_row_adds_no_key_and_changes_none() {
    // In order: what is of a key is foreign, what is of the ring is a foreign ring.
    let others = "FROM portcullis_keys AS o WHERE o.key_id <> portcullis_keys.key_id AND o.sealed IS NOT NULL \
                  ORDER BY o.key_id LIMIT 1) WHERE sealed IS NOT NULL";
    let of_keys = [
        format!("UPDATE portcullis_keys SET sealed = (SELECT sealed {others}"),
        format!("UPDATE portcullis_keys SET public_jwk = (SELECT public_jwk {others}"),
        "UPDATE portcullis_keys SET signs_from = 0".to_owned(),
        "UPDATE portcullis_keys SET signs_until = NULL".to_owned(),
        "UPDATE portcullis_keys SET verifies_until = 9223372036854775807".to_owned(),
        "UPDATE portcullis_keys SET withdrawn_at = NULL, published_at = 1".to_owned(),
        "UPDATE portcullis_keys SET algorithm = 'ES384'".to_owned(),
        "UPDATE portcullis_keys SET seal_id = NULL, sealed = NULL".to_owned(),
        "UPDATE portcullis_keys SET seal_id = NULL, sealed = NULL, signer_key = 'mine'".to_owned(),
        "UPDATE portcullis_keys SET mac = (SELECT mac FROM portcullis_key_ring)".to_owned(),
        "INSERT INTO portcullis_keys SELECT issuer, 'mine', algorithm, public_jwk, seal_id, sealed, signer_key, \
         published_at, signs_from, signs_until, verifies_until, withdrawn_at, is_private_kept, mac FROM portcullis_keys \
         WHERE signs_until IS NULL"
            .to_owned(),
    ];
    let of_rings = [
        "DELETE FROM portcullis_keys WHERE signs_until IS NULL",
        "UPDATE portcullis_key_ring SET version = version + 1",
        "UPDATE portcullis_key_ring SET longest_lifetime_ms = 864000000",
        "UPDATE portcullis_key_ring SET mac = (SELECT mac FROM portcullis_keys LIMIT 1)",
    ];
    let of_rings = of_rings.map(str::to_owned);
    for database in Database::each().await {
        database.sql("CREATE TABLE ring_before AS SELECT * FROM portcullis_key_ring").await;
        database.sql("CREATE TABLE keys_before AS SELECT * FROM portcullis_keys").await;
        let running = issuer(database.ring().await).await.unwrap();
        running.withdraw(&signer(&running)).await.unwrap();
        let keys = running.key_set().unwrap();
        database.sql("INSERT INTO ring_before SELECT * FROM portcullis_key_ring").await;
        database.sql("INSERT INTO keys_before SELECT * FROM portcullis_keys").await;
        for (is_ring, edit) in
            of_keys.iter().map(|edit| (false, edit)).chain(of_rings.iter().map(|it| (true, it)))
        {
            database.sql(edit).await;
            let started = issuer(database.ring().await).await.map(drop).map_err(ring_error);
            for refused in [running.refresh().await, started] {
                match refused {
                    Err(RingError::Foreign(_)) if !is_ring => {}
                    Err(RingError::ForeignRing(_)) if is_ring => {}
                    other => panic!("{edit}: {other:?}"),
                }
            }
            assert_eq!(running.key_set().unwrap(), keys, "{edit}");
            database.sql("DELETE FROM portcullis_keys").await;
            database.sql("DELETE FROM portcullis_key_ring").await;
            database.sql("INSERT INTO portcullis_key_ring SELECT * FROM ring_before").await;
            database.sql("INSERT INTO portcullis_keys SELECT * FROM keys_before").await;
            running.refresh().await.unwrap();
        }
        // Half of a private part is not one.
        database.sql("UPDATE portcullis_keys SET seal_id = NULL WHERE sealed IS NOT NULL").await;
        let refused = running.refresh().await;
        let Err(RingError::Store(error)) = refused else { panic!("{refused:?}") };
        assert!(error.reason.contains("half there"), "{error}");
    }
}

/// An instance that starts after the backup was restored knows nothing of the withdrawal: the documentation says so.
#[tokio::test]
async fn an_instance_that_runs_withdraws_again_what_a_backup_brings_back() {
    for database in Database::each().await {
        let running = issuer(database.ring().await).await.unwrap();
        let stolen = signer(&running);
        database.sql("CREATE TABLE ring_backup AS SELECT * FROM portcullis_key_ring").await;
        database.sql("CREATE TABLE keys_backup AS SELECT * FROM portcullis_keys").await;
        running.withdraw(&stolen).await.unwrap();
        for restore in [
            "DELETE FROM portcullis_keys",
            "DELETE FROM portcullis_key_ring",
            "INSERT INTO portcullis_key_ring SELECT * FROM ring_backup",
            "INSERT INTO portcullis_keys SELECT * FROM keys_backup",
        ] {
            database.sql(restore).await;
        }
        let fresh = issuer(database.ring().await).await.unwrap();
        assert_eq!(signer(&fresh), stolen, "what a backup says is all that there is to know");
        running.refresh().await.unwrap();
        assert!(!running.key_set().unwrap().body.contains(&stolen));
        fresh.refresh().await.unwrap();
        assert_eq!(fresh.key_set().unwrap(), running.key_set().unwrap());
        let keys = fresh.status().unwrap().keys;
        let phase = keys.iter().find(|key| key.key_id == stolen).unwrap().phase;
        assert_eq!(phase, Phase::Withdrawn);
        let ring = database.ring().await.load(ISSUER).await.unwrap().ring.unwrap().1;
        let row = ring.keys.iter().find(|row| row.key_id == stolen).unwrap();
        assert_eq!(row.private, None::<PrivatePart>, "its private part is gone as well");
    }
}

/// The release before this one had no sessions.
#[tokio::test]
async fn tables_of_the_release_before_are_brought_to_this_one_and_keep_their_keys() {
    for database in Database::each().await {
        let ring = database.ring().await;
        let made = issuer(ring.clone()).await.unwrap();
        let signer_before = signer(&made);
        database.sql("DROP TABLE portcullis_sessions").await;
        database.sql("DROP TABLE portcullis_subjects").await;
        database.sql("UPDATE portcullis_schema SET version = 1, compatible_from = 1").await;
        let told = ring.load(ISSUER).await.unwrap_err().reason;
        assert!(told.contains("version 1") && told.contains("call `migrate`"), "{told}");
        ring.migrate().await.unwrap();
        assert_eq!(signer(&issuer(ring).await.unwrap()), signer_before);
        assert_eq!(database.number("SELECT version FROM portcullis_schema").await, 2);
        let from = database.number("SELECT compatible_from FROM portcullis_schema").await;
        assert_eq!(from, 1, "the release before goes on");
        assert_eq!(database.number("SELECT count(*) FROM portcullis_sessions").await, 0);
    }
}
