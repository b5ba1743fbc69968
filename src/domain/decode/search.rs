//! `[search]`: the knobs that agents without a model turn.
//!
//! Owns the reading of that table. Must not know who searches, nor the task.

use super::item::Item;
use super::sheet::Sheet;
use super::table::Table;
use super::text;
use crate::domain::chart::{DRAWS, Knob, Range, Search};

pub(super) fn search(sheet: &mut Sheet<'_>, root: &mut Table<'_>) -> Search {
    let mut table = root.table(sheet, "search", "search");
    let draws = table.take(sheet, "draws");
    let draws = draws.and_then(|item| item.count(sheet)).unwrap_or(DRAWS);
    let predicts = table.take(sheet, "predicts");
    let predicts = predicts.and_then(|item| item.real(sheet));
    let mut knobs = Vec::new();
    for item in table.list(sheet, "knobs").unwrap_or_default() {
        sheet.remember(&item.path, item.span.start);
        knobs.push(knob(sheet, &item));
    }
    table.finish(sheet);
    Search {
        draws,
        predicts: predicts.unwrap_or_default(),
        knobs,
    }
}

fn knob(sheet: &mut Sheet<'_>, item: &Item<'_>) -> Knob {
    let mut table = Table::of(sheet, item, "search.knobs[]");
    let knob = Knob {
        name: table.text(sheet, "name").unwrap_or_default(),
        file: table
            .take(sheet, "file")
            .and_then(|item| text::glob(sheet, &item))
            .unwrap_or_default(),
        pattern: table
            .take(sheet, "pattern")
            .and_then(|item| text::pattern(sheet, &item, 1))
            .unwrap_or_default(),
        range: range(sheet, item, &mut table),
    };
    table.finish(sheet);
    knob
}

fn range(sheet: &mut Sheet<'_>, item: &Item<'_>, table: &mut Table<'_>) -> Range {
    let values = table.texts(sheet, "values");
    let (low, high) = (table.real(sheet, "low"), table.real(sheet, "high"));
    let log = table.word(sheet, "scale") == Some("log");
    let whole = table.take(sheet, "whole");
    let whole = whole.and_then(|item| item.flag(sheet)).unwrap_or(false);
    let bounds = table.has("low") || table.has("high");
    if let (Some(values), false) = (&values, bounds) {
        if values.is_empty() {
            let message = format!("{}.values is empty", item.path);
            item.problem(sheet, message, "list what it may be".to_owned());
        }
        return Range::Values(values.clone());
    }
    let given = table.has("values") || (table.has("low") && table.has("high"));
    if (!given || (table.has("values") && bounds)) && item.value.is_table() {
        let message = format!("{} must have either values, or low and high", item.path);
        let hint = "write low = 0.001 and high = 0.1, or values = [\"relu\", \"gelu\"]";
        item.problem(sheet, message, hint.to_owned());
    }
    let (low, high) = (low.unwrap_or(1.0), high.unwrap_or(2.0));
    if low >= high || (log && low <= 0.0) {
        let message = format!("{}: no number lies between {low} and {high}", item.path);
        let hint = if log && low <= 0.0 {
            "write low above 0, or scale = \"linear\""
        } else {
            "write low below high"
        };
        item.problem(sheet, message, hint.to_owned());
    }
    Range::Between {
        low,
        high,
        log,
        whole,
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::chart::Range;
    use crate::domain::decode::decode;
    use crate::domain::decode::fixtures::{MINIMAL, context};

    fn chart(knob: &str) -> String {
        format!(
            "{MINIMAL}[search]\npredicts = 0.5\n[[search.knobs]]\nname = \"k\"\nfile = \"k.py\"\n\
             pattern = 'k = (.)'\n{knob}\n"
        )
    }

    #[test]
    fn ranges() {
        let between = |low, high, log, whole| Range::Between {
            low,
            high,
            log,
            whole,
        };
        let cases = [
            ("low = 1\nhigh = 2", between(1.0, 2.0, false, false)),
            (
                "low = 1e-3\nhigh = 1\nscale = \"log\"\nwhole = true",
                between(1e-3, 1.0, true, true),
            ),
            (
                "values = [\"a\", \"b\"]",
                Range::Values(vec!["a".to_owned(), "b".to_owned()]),
            ),
        ];
        for (knob, range) in cases {
            let read = decode(&chart(knob), &context());
            let search = read.chart.unwrap_or_else(|| panic!("{:#?}", read.problems));
            assert_eq!(search.search.knobs[0].range, range);
            assert_eq!((search.search.draws, search.search.predicts), (20, 0.5));
        }
    }

    #[test]
    fn ranges_that_are_none() {
        let cases = [
            ("", "must have either values, or low and high"),
            ("low = 1", "must have either values, or low and high"),
            (
                "low = 1\nhigh = 2\nvalues = [\"3\"]",
                "must have either values, or low and high",
            ),
            ("low = 2\nhigh = 1", "no number lies between 2 and 1"),
            (
                "low = 0\nhigh = 1\nscale = \"log\"",
                "no number lies between 0 and 1",
            ),
            ("values = []", "search.knobs[0].values is empty"),
            (
                "low = 1\nhigh = 2\nscale = \"lag\"",
                "search.knobs[0].scale cannot be \"lag\"",
            ),
        ];
        for (knob, message) in cases {
            let problems = decode(&chart(knob), &context()).problems;
            assert_eq!(problems.len(), 1, "{knob}: {problems:#?}");
            assert!(problems[0].message.contains(message), "{problems:#?}");
            assert!(!problems[0].hint.is_empty());
        }
        let bare = format!("{MINIMAL}[search]\n");
        let paths: Vec<String> = decode(&bare, &context())
            .problems
            .into_iter()
            .map(|problem| problem.path)
            .collect();
        assert_eq!(paths, ["search.predicts", "search.knobs"]);
    }
}
