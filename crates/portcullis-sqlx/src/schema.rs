//! Which version of the tables is there, and whether this release goes by it.
use portcullis_issuer::store::StoreError;

/// The version of the tables that this release makes, and needs.
pub const SCHEMA_VERSION: i64 = 2;

/// What the table of versions says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Present {
    /// The version of the tables.
    pub(crate) version: i64,
    /// Releases that need this version, or a later one, may use them.
    pub(crate) compatible_from: i64,
}

impl Present {
    /// There are no tables.
    pub(crate) const NONE: Self = Self { version: 0, compatible_from: 0 };

    /// # Errors
    ///
    /// This release cannot go by these tables.
    pub(crate) fn check(self) -> Result<(), StoreError> {
        let Self { version, compatible_from } = self;
        if version < SCHEMA_VERSION {
            Err(StoreError::new(format!(
                "the tables have version {version}, and this release needs {SCHEMA_VERSION}: call `migrate` once, with a user who may change tables"
            )))
        } else if compatible_from > SCHEMA_VERSION {
            Err(StoreError::new(format!(
                "the tables have version {version}, which is for releases that need {compatible_from} or later, and this one needs {SCHEMA_VERSION}: run the release that changed the tables"
            )))
        } else {
            Ok(())
        }
    }

    /// The steps from these tables to those of this release; none where they are of a later one.
    pub(crate) fn missing<'s>(self, steps: &'s [&'s str]) -> &'s [&'s str] {
        let done = usize::try_from(self.version).unwrap_or(0);
        steps.get(done..).unwrap_or_default()
    }
}

/// The table of versions is there, and its row is not.
pub(crate) fn no_row() -> StoreError {
    StoreError::new(
        "the table of the schema's version is empty: somebody deleted its row, and `INSERT` of the SQL in `SCHEMA` puts it back",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(version: i64, compatible_from: i64) -> Option<String> {
        Present { version, compatible_from }.check().err().map(|error| error.reason)
    }

    #[test]
    fn tables_of_a_later_release_serve_where_that_says_so() {
        assert_eq!(told(2, 1), None);
        assert_eq!(told(2, 2), None);
        assert_eq!(told(3, 2), None);
        let told = told(4, 3).expect("refused");
        assert!(told.contains("version 4") && told.contains("need 3 or later"), "{told}");
        assert!(told.contains("this one needs 2: run the release"), "{told}");
    }

    #[test]
    fn tables_of_an_earlier_release_are_to_be_migrated() {
        for version in [0, 1] {
            let told = told(version, version).expect("refused");
            assert!(told.contains(&format!("version {version}")), "{told}");
            assert!(told.contains("needs 2: call `migrate`"), "{told}");
        }
    }

    #[test]
    fn steps_that_were_done_are_not_done_again() {
        let (steps, at) =
            (["a", "b"], |version| Present { version, compatible_from: 1 }.missing(&["a", "b"]));
        assert_eq!((at(0), at(1), at(2), at(7)), (&steps[..], &steps[1..], &[][..], &[][..]));
    }
}
