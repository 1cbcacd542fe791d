//! The page of the guide on operations says what each reason means.
use portcullis::Error;

const PAGE: &str = include_str!("../../../docs/guide/operations.md");

/// What the page says of a reason: `` - **`reason`**, status: cause. *First step:* step ``.
#[derive(Debug)]
struct Entry {
    reason: String,
    status: String,
    cause: String,
    step: String,
}

fn entries() -> Vec<Entry> {
    let (_, rest) = PAGE.split_once("\n## What each reason means\n").expect("the section");
    let section = rest.split("\n## ").next().unwrap_or_default();
    let items = section.split("\n- **`").skip(1);
    items
        .map(|item| {
            let text = item.split_whitespace().collect::<Vec<_>>().join(" ");
            let (reason, rest) = text.split_once("`**, ").expect("a reason");
            let (status, rest) = rest.split_once(": ").expect("a status");
            let (cause, step) = rest.split_once(" *First step:* ").expect("a first step");
            let [reason, status, cause, step] = [reason, status, cause, step].map(str::to_owned);
            Entry { reason, status, cause, step }
        })
        .collect()
}

#[test]
fn the_list_has_every_reason_with_status_cause_and_first_step_and_no_other() {
    let entries = entries();
    let reasons: Vec<_> = entries.iter().map(|entry| entry.reason.as_str()).collect();
    assert_eq!(reasons, Error::REASONS);
    for Entry { reason, status, cause, step } in &entries {
        assert!(["400", "401", "403", "500", "503"].contains(&status.as_str()), "{reason}");
        assert_eq!(status == "503", reason.ends_with("_unavailable"), "{reason}");
        assert!(!cause.is_empty() && step.ends_with('.'), "{reason}");
    }
}
