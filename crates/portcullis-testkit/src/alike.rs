//! Names that a store could take for one another.

/// Issuers that differ, however a database compares texts.
pub(crate) fn issuers() -> [String; 13] {
    let long = "i".repeat(1000);
    [
        "one",
        "One",
        "one/",
        "one ",
        " one",
        "on_",
        "on%",
        "o'n\"e",
        "one--",
        "\u{f6}ne",
        "o\u{308}ne",
        "",
        &long,
    ]
    .map(str::to_owned)
}
