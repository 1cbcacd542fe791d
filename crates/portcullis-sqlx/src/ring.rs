//! The steps of each call of a ring, which are the same for both databases; what they say to it is not.

/// What a store of rings does: `$store` is a `Database` inside. Its file has the statements, `load_on` and `insert_all`.
macro_rules! ring_store {
    ($store:ident, $connection:ident) => {
        impl $store {
            async fn swap_on(
                &self,
                connection: &mut $connection,
                issuer: &str,
                from: Option<RingVersion>,
                ring: &StoredRing,
            ) -> Result<Swap, $crate::call::Failure> {
                let Ok(from) = from.map($crate::columns::kept_version).transpose() else {
                    return Ok(Swap::Lost);
                };
                let lifetime = $crate::columns::lifetime_millis(ring.longest_lifetime)?;
                let keys: Vec<_> = ring.keys.iter().map($crate::columns::KeyColumns::of).collect();
                $crate::load::check_written(&ring.mac, &keys)?;
                let mut transaction = self.0.change(connection).await?;
                let change = match from {
                    None => self.0.query(FIRST).bind(issuer).bind(lifetime).bind(&ring.mac),
                    Some(version) => {
                        self.0.query(NEXT).bind(issuer).bind(lifetime).bind(&ring.mac).bind(version)
                    }
                };
                if change.execute(&mut *transaction).await?.rows_affected() == 0 {
                    transaction.rollback().await?;
                    return Ok(Swap::Lost);
                }
                self.0.query(DELETE_KEYS).bind(issuer).execute(&mut *transaction).await?;
                self.insert_all(&mut transaction, issuer, keys).await?;
                transaction.commit().await?;
                Ok(Swap::Done)
            }
        }

        impl RingStore for $store {
            async fn load(&self, issuer: &str) -> Result<LoadedRing, StoreError> {
                call!(&self.0, |connection| self.load_on(connection, issuer).await?)
            }

            async fn swap(
                &self,
                issuer: &str,
                from: Option<RingVersion>,
                ring: &StoredRing,
            ) -> Result<Swap, StoreError> {
                call!(&self.0, |connection| self.swap_on(connection, issuer, from, ring).await?)
            }
        }
    };
}

pub(crate) use ring_store;
