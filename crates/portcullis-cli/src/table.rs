//! Columns for a terminal of any width.
use unicode_width::UnicodeWidthStr as _;

/// What stands between two columns.
const GAP: usize = 2;
/// What stands in front of the first column.
const MARGIN: usize = 1;

/// Lines with the cells in columns, each line at most `width` wide. Words are never broken, so a word that is
/// wider than that makes its line as wide. Where the columns do not fit beside each other, each row becomes a
/// short list.
pub(crate) fn lines<const N: usize>(
    head: [&str; N],
    rows: &[[String; N]],
    width: usize,
) -> Vec<String> {
    let has_head = head.iter().any(|name| !name.is_empty());
    let head = head.map(str::to_owned);
    let all = || has_head.then_some(&head).into_iter().chain(rows);
    let natural: [usize; N] =
        core::array::from_fn(|at| all().map(|row| row[at].width()).max().unwrap_or(0));
    let least: [usize; N] =
        core::array::from_fn(|at| all().map(|row| longest_word(&row[at])).max().unwrap_or(0));
    match widths(natural, least, width.saturating_sub(MARGIN + GAP * (N - 1))) {
        Some(widths) => all().flat_map(|row| beside(row, widths)).collect(),
        None => rows.iter().flat_map(|row| below(&head, row, width)).collect(),
    }
}

/// How wide each column is: as wide as its text, or else wide enough for its longest word, and all columns that
/// have to wrap alike. `None`: they do not fit.
fn widths<const N: usize>(
    natural: [usize; N],
    least: [usize; N],
    room: usize,
) -> Option<[usize; N]> {
    let with = |cap: usize| -> [usize; N] {
        core::array::from_fn(|at| natural[at].min(cap).max(least[at]))
    };
    let fits = |cap: usize| with(cap).iter().sum::<usize>() <= room;
    if !fits(0) {
        return None;
    }
    let (mut cap, most) = (0, natural.iter().copied().max().unwrap_or(0));
    while cap < most && fits(cap + 1) {
        cap += 1;
    }
    let mut widths = with(cap);
    // What is left goes to the columns that still wrap, the last one first: it has the longest text.
    let mut left = room - widths.iter().sum::<usize>();
    for at in (0..N).rev() {
        let more = (natural[at] - widths[at]).min(left);
        widths[at] += more;
        left -= more;
    }
    Some(widths)
}

/// A row as the lines that it takes.
fn beside<const N: usize>(row: &[String; N], widths: [usize; N]) -> Vec<String> {
    let cells: [Vec<String>; N] = core::array::from_fn(|at| wrapped(&row[at], widths[at]));
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    let line = |number: usize| {
        let mut line = " ".repeat(MARGIN);
        let mut end = MARGIN;
        for (cell, width) in cells.iter().zip(widths) {
            line.push_str(&" ".repeat(end.saturating_sub(line.width())));
            line.push_str(cell.get(number).map_or("", String::as_str));
            end += width + GAP;
        }
        line.trim_end().to_owned()
    };
    (0..height).map(line).collect()
}

/// A row as a list: its first cell, and below it the others, each after its name.
fn below<const N: usize>(head: &[String; N], row: &[String; N], width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let indent = row[0].len() - row[0].trim_start().len() + MARGIN;
    let mut push = |indent: usize, text: &str| {
        let wrapped = wrapped(text, width.saturating_sub(indent));
        lines.extend(wrapped.iter().map(|line| format!("{}{line}", " ".repeat(indent))));
    };
    push(indent, row[0].trim_start());
    for (name, cell) in head.iter().zip(row).skip(1).filter(|(_, cell)| !cell.is_empty()) {
        let (name, cell) = (name.trim_start(), cell.trim_start());
        let text = if name.is_empty() { cell.to_owned() } else { format!("{name}: {cell}") };
        push(indent + GAP, &text);
    }
    lines
}

/// Lines of whole words, each at most `width` wide unless a word is wider. Spaces within a line stay.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for (at, word) in text.split(' ').enumerate() {
        let needed = word.width() + usize::from(at > 0);
        let is_full = used + needed > width && used > 0 && !word.is_empty();
        if let Some(line) = lines.last_mut().filter(|_| !is_full) {
            if at > 0 {
                line.push(' ');
            }
            line.push_str(word);
            used += needed;
        } else {
            used = word.width();
            lines.push(word.to_owned());
        }
    }
    lines
}

fn longest_word(text: &str) -> usize {
    // Spaces in front belong to the first word.
    let start = text.len() - text.trim_start_matches(' ').len();
    let words = text[start..].split(' ').map(str::width);
    let first = start + text[start..].split(' ').next().map_or(0, str::width);
    words.max().unwrap_or(0).max(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows<const N: usize>(rows: &[[&str; N]]) -> Vec<[String; N]> {
        rows.iter().map(|row| row.map(str::to_owned)).collect()
    }

    #[test]
    fn columns_are_as_wide_as_their_text_where_there_is_room() {
        let rows = rows(&[["aud", "one of a, b"], ["exp", "later"]]);
        assert_eq!(
            lines(["claim", "what it takes"], &rows, 80),
            [" claim  what it takes", " aud    one of a, b", " exp    later"]
        );
        assert_eq!(lines(["", ""], &rows, 80), [" aud  one of a, b", " exp  later"]);
    }

    #[test]
    fn text_wraps_at_words_where_there_is_less() {
        let rows = rows(&[["audience", "one of several names"]]);
        let expected = [" audience  one of", "           several", "           names"];
        assert_eq!(lines(["", ""], &rows, 19), expected);
    }

    #[test]
    fn a_row_becomes_a_list_where_its_columns_do_not_fit() {
        let rows = rows(&[["  audience", "https://api.example.com/orders", ""], ["b", "c", "d"]]);
        assert_eq!(
            lines(["", "takes", "has"], &rows, 30),
            [
                "   audience",
                "     takes:",
                "     https://api.example.com/orders",
                " b",
                "   takes: c",
                "   has: d"
            ]
        );
    }

    #[test]
    fn no_word_is_ever_broken_and_no_line_wider_than_it_must_be() {
        let cells = ["", "a", "some words", "https://id.example/realms/orders", "  indented words"];
        for width in 0..70 {
            for (first, second) in cells.iter().flat_map(|one| cells.map(|other| (one, other))) {
                let rows = rows(&[[first, second, "some more words"]]);
                let lines = lines(["key", "", "value"], &rows, width);
                let words: Vec<_> = [first, second, "some more words"]
                    .into_iter()
                    .flat_map(|cell| cell.split_whitespace())
                    .collect();
                for word in words {
                    assert!(lines.iter().any(|line| line.contains(word)), "{word}: {lines:?}");
                }
                for line in &lines {
                    let is_one_word = line.split_whitespace().count() <= 1;
                    assert!(line.width() <= width || is_one_word, "{width}: {line:?}");
                }
            }
        }
    }

    #[test]
    fn wide_characters_count_for_two() {
        let rows = rows(&[["名前", "x"], ["name", "y"]]);
        assert_eq!(lines(["", ""], &rows, 80), [" 名前  x", " name  y"]);
    }

    #[test]
    fn spaces_within_a_line_stay() {
        assert_eq!(wrapped("a  b", 80), ["a  b"]);
        assert_eq!(wrapped("", 80), [""]);
    }
}
