//! What each store of this database is told, in the same words.

/// The setters of a store, which is a [`Database`](super::database::Database) inside.
macro_rules! told {
    ($store:ident, keeps: $keeps:literal, deadline: $deadline:literal) => {
        impl $store {
            #[doc = $keeps]
            pub fn new(pool: sqlx::PgPool) -> Self {
                Self($crate::postgres::database::Database::new(pool))
            }

            /// The schema that the tables stand in, which has to be there: `auth`.
            ///
            /// If you do not call it: where the connection looks first (`search_path`), which is `public` as a rule.
            ///
            /// # Errors
            ///
            /// It is empty or longer than 63 bytes, has another character than lower-case letters, digits and `_`, or begins with
            /// a digit.
            pub fn schema(mut self, schema: &str) -> Result<Self, $crate::names::NameFault> {
                self.0.names = self.0.names.in_schema(schema)?;
                Ok(self)
            }

            /// What the names of the tables begin with: `key_ring`, `keys`, `sessions`, `subjects` and `schema` follow.
            ///
            /// If you do not call it: `portcullis_`.
            ///
            /// # Errors
            ///
            /// It is longer than 32 bytes, has another character than lower-case letters, digits and `_`, or begins with a digit.
            pub fn table_prefix(mut self, prefix: &str) -> Result<Self, $crate::names::NameFault> {
                self.0.names = self.0.names.with_prefix(prefix)?;
                Ok(self)
            }

            /// How long a call may take in all: waiting for a connection, making one, and each statement. Then it fails,
            /// whatever the pool and the server do.
            ///
            #[doc = $deadline]
            pub fn deadline(mut self, deadline: core::time::Duration) -> Self {
                self.0.deadline = deadline;
                self
            }

            /// Makes the tables, or changes those of an earlier release: for rings and for sessions. Where they are as they
            /// should be, nothing is done, and no right to create any is needed.
            ///
            /// Any number of processes may call it at once, as when they start. Instances of the release before go on with the
            /// new tables as long as these say that they may.
            ///
            /// # Errors
            ///
            /// The database cannot be asked, the user may not create tables, or the tables are of a later release that this one
            /// cannot go by. Nothing was changed, unless the deadline was over.
            pub async fn migrate(&self) -> Result<(), portcullis_issuer::store::StoreError> {
                self.0.migrate().await
            }

            /// [`GRANTS`](crate::postgres::GRANTS) for this user, with the names of this store.
            pub fn grants(&self, user: &str) -> String {
                self.0.grants(user)
            }
        }

        impl core::fmt::Debug for $store {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_struct(stringify!($store))
                    .field("names", &self.0.names)
                    .field("deadline", &self.0.deadline)
                    .finish_non_exhaustive()
            }
        }
    };
}

pub(super) use told;
