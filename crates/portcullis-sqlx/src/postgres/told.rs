//! What each store of this database is told besides, in the same words.

/// The setters of a store that know of schemas and rights.
macro_rules! told_of_schemas {
    ($store:ident) => {
        impl $store {
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

            /// [`GRANTS`](crate::postgres::GRANTS) for this user, with the names of this store.
            pub fn grants(&self, user: &str) -> String {
                self.0.grants(user)
            }
        }
    };
}

pub(super) use told_of_schemas;
