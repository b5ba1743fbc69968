//! `[task]`: what is being improved, and how that is measured.
//!
//! Owns the reading of that table. Must not know the protocol or the org.

use super::sheet::Sheet;
use super::table::Table;
use super::text;
use crate::domain::chart::{Goal, Measures, Metric, SEED_VARIABLE, Take, Task, Timeout};

pub(super) fn task(sheet: &mut Sheet<'_>, root: &mut Table<'_>) -> Task {
    let mut table = root.table(sheet, "task", "task");
    let task = Task {
        repo: table
            .take(sheet, "repo")
            .and_then(|item| text::repository(sheet, &item))
            .unwrap_or_default(),
        base: table
            .take(sheet, "base")
            .and_then(|item| text::branch(sheet, &item)),
        setup: table.text(sheet, "setup").unwrap_or_default(),
        env_key: globs(sheet, &mut table, "env_key"),
        env: table
            .take(sheet, "env")
            .and_then(|item| item.env(sheet))
            .unwrap_or_default(),
        overlay: table
            .take(sheet, "overlay")
            .and_then(|item| text::path(sheet, &item)),
        share: {
            let items = table.list(sheet, "share");
            text::paths(sheet, items).unwrap_or_default()
        },
        run: table.text(sheet, "run").unwrap_or_default(),
        gpus: table
            .take(sheet, "gpus")
            .and_then(|item| item.count(sheet))
            .unwrap_or(1),
        explore_gpus: table
            .take(sheet, "explore_gpus")
            .and_then(|item| item.count(sheet)),
        timeout: timeout(sheet, &mut table),
        seed: table
            .take(sheet, "seed")
            .and_then(|item| text::variable(sheet, &item))
            .unwrap_or_else(|| SEED_VARIABLE.to_owned()),
        network: table
            .take(sheet, "network")
            .and_then(|item| item.flag(sheet))
            .unwrap_or(false),
        metric: metric(sheet, &mut table),
        progress: table
            .take(sheet, "progress")
            .and_then(|item| text::pattern(sheet, &item, 2)),
        must_print: table.texts(sheet, "must_print").unwrap_or_default(),
        protect: globs(sheet, &mut table, "protect"),
        editable: globs(sheet, &mut table, "editable"),
        keep: globs(sheet, &mut table, "keep"),
        evaluate: table.text(sheet, "evaluate"),
        hidden: {
            let items = table.list(sheet, "hidden");
            text::paths(sheet, items).unwrap_or_default()
        },
        measure: measure(sheet, &mut table),
    };
    table.finish(sheet);
    task
}

fn globs(sheet: &mut Sheet<'_>, table: &mut Table<'_>, name: &'static str) -> Vec<String> {
    let items = table.list(sheet, name);
    text::globs(sheet, items)
}

fn timeout(sheet: &mut Sheet<'_>, table: &mut Table<'_>) -> Timeout {
    match table.take(sheet, "timeout") {
        Some(item) if !item.is_auto() => {
            item.seconds(sheet).map_or(Timeout::Auto, Timeout::Seconds)
        }
        _ => Timeout::Auto,
    }
}

fn metric(sheet: &mut Sheet<'_>, task: &mut Table<'_>) -> Metric {
    let mut table = task.table(sheet, "metric", "task.metric");
    let metric = Metric {
        name: table.text(sheet, "name").unwrap_or_default(),
        goal: match table.word(sheet, "goal") {
            Some("max") => Goal::Max,
            _ => Goal::Min,
        },
        pattern: table
            .take(sheet, "pattern")
            .and_then(|item| text::pattern(sheet, &item, 1))
            .unwrap_or_default(),
        take: match table.word(sheet, "take") {
            Some("first") => Take::First,
            Some("last") => Take::Last,
            Some("min") => Take::Min,
            Some("max") => Take::Max,
            _ => Take::Only,
        },
    };
    table.finish(sheet);
    metric
}

fn measure(sheet: &mut Sheet<'_>, task: &mut Table<'_>) -> Measures {
    let mut table = task.table(sheet, "measure", "task.measure");
    let mut pattern = |sheet: &mut Sheet<'_>, name: &'static str| {
        table
            .take(sheet, name)
            .and_then(|item| text::pattern(sheet, &item, 1))
    };
    let measures = Measures {
        flops: pattern(sheet, "flops"),
        params: pattern(sheet, "params"),
        tokens: pattern(sheet, "tokens"),
    };
    table.finish(sheet);
    measures
}
