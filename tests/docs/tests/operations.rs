//! The page of the guide on operations says what each reason means.
use portcullis::Error;

const PAGE: &str = include_str!("../../../docs/guide/operations.md");

#[test]
fn the_table_has_every_reason_with_status_cause_and_first_step_and_no_other() {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `"));
    let rows: Vec<Vec<_>> = rows.map(|row| row.split(" | ").map(str::trim).collect()).collect();
    let reasons: Vec<_> = rows.iter().map(|row| row[0].trim_matches(['|', ' ', '`'])).collect();
    assert_eq!(reasons, Error::REASONS);
    for row in rows {
        let [reason, status, cause, step] = row[..] else { panic!("{row:?}") };
        assert!(["400", "401", "403", "500", "503"].contains(&status), "{reason}");
        assert_eq!(status == "503", reason.ends_with("_unavailable`"), "{reason}");
        assert!(!cause.is_empty() && !step.trim_matches(['|', ' ']).is_empty(), "{reason}");
    }
}
