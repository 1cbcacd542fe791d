//! How much of a row is taken: whoever can write to the tables must not exhaust the memory of who reads them.
use core::fmt::Write as _;

use portcullis_issuer::store::StoreError;
use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::call::Failure;

/// A column whose values have a bound.
#[derive(Clone, Copy)]
pub(crate) struct Bounded {
    /// Where it stands: `k.mac`.
    pub(crate) column: &'static str,
    /// What a reading calls it.
    pub(crate) name: &'static str,
    /// The most bytes of a value.
    pub(crate) most: usize,
}

/// What selects these columns. A value that is too long stays in the database, and `too_long` names its column.
pub(crate) fn selected(columns: &[Bounded]) -> String {
    let (mut faults, mut values) = (String::new(), String::new());
    for Bounded { column, name, most } in columns {
        // To write into a text does not fail.
        let _ = write!(faults, "WHEN octet_length({column}) > {most} THEN '{name}' ");
        let _ = write!(
            values,
            ", CASE WHEN octet_length({column}) <= {most} THEN {column} END AS {name}"
        );
    }
    format!("CASE {faults}END AS too_long{values}")
}

/// Whether all values of these rows were taken. `way_out` is what to do if not.
///
/// # Errors
///
/// One of them is too long.
pub(crate) fn check_read<'r, R: Row>(
    rows: &'r [R],
    columns: &[Bounded],
    way_out: &str,
) -> Result<(), Failure>
where
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    for row in rows {
        if let Some(name) = row.try_get::<Option<String>, _>("too_long")? {
            let most = columns.iter().find(|it| it.name == name).map_or(0, |it| it.most);
            return Err(StoreError::new(format!(
                "a row is longer than it may be: its `{name}` has more than {most} bytes, so somebody else wrote it; {way_out}, and find out who else writes to the store"
            ))
            .into());
        }
    }
    Ok(())
}

/// Whether a value of this length, which is about to be written, can be read again.
///
/// # Errors
///
/// It is too long.
pub(crate) fn check_written(
    columns: &[Bounded],
    name: &str,
    length: usize,
    way_out: &str,
) -> Result<(), StoreError> {
    let most = columns.iter().find(|it| it.name == name).map_or(0, |it| it.most);
    if length <= most {
        return Ok(());
    }
    Err(StoreError::new(format!(
        "`{name}` has {length} bytes, and at most {most} are kept: nothing was changed; {way_out}"
    )))
}
