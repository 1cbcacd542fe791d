//! What each store is told, in the same words.

/// The setters of a store, which is a `Database` of its module inside.
macro_rules! told {
    (
        $store:ident, $database:ident, $pool:ty,
        keeps: $keeps:literal, deadline: $deadline:literal
    ) => {
        impl $store {
            #[doc = $keeps]
            pub fn new(pool: $pool) -> Self {
                Self($database::new(pool))
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

            /// How long a call may take in all: waiting for a connection, for others' changes, and each statement. Then it fails,
            /// whatever the pool and the database do.
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
            /// The database cannot be asked or written to, its user may not create tables, or the tables are of a later release
            /// that this one cannot go by. Nothing was changed, unless the deadline was over.
            pub async fn migrate(&self) -> Result<(), portcullis_issuer::store::StoreError> {
                self.0.migrate().await
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

pub(crate) use told;
