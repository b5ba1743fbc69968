//! What a task's chart could say, guessed from one run of its command: metric, measures, progress,
//! seed.
//!
//! Owns the guesses. They are proposals for a person to read, so a wrong one costs an edit; what
//! nothing speaks for is left out rather than invented. Must not know how the command was run, or the
//! chart's file.

use std::collections::BTreeMap;

use regex::Regex;

use super::chart::{Goal, Take};

/// Words of a metric's name, best first, and which way is better.
const METRICS: [(&str, Goal); 13] = [
    ("bpb", Goal::Min),
    ("loss", Goal::Min),
    ("perplexity", Goal::Min),
    ("ppl", Goal::Min),
    ("error", Goal::Min),
    ("nll", Goal::Min),
    ("accuracy", Goal::Max),
    ("acc", Goal::Max),
    ("f1", Goal::Max),
    ("auc", Goal::Max),
    ("reward", Goal::Max),
    ("score", Goal::Max),
    ("bleu", Goal::Max),
];
/// Words that make a metric the one that counts.
const HELD_OUT: [&str; 4] = ["val", "eval", "test", "minimum"];
/// Longest name that is taken for one.
const NAME_MAX: usize = 60;

/// A value that a run prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// Its name in the output.
    pub name: String,
    /// A regex whose group is the value.
    pub pattern: String,
    /// How often it was printed.
    pub times: usize,
}

/// The metric that is proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricGuess {
    /// Where it is printed.
    pub printed: Printed,
    /// Which way is better.
    pub goal: Goal,
    /// Which of several counts.
    pub take: Take,
}

/// What a run's output speaks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proposal {
    /// The metric.
    pub metric: Option<MetricGuess>,
    /// Floating-point operations of the whole run.
    pub flops: Option<Printed>,
    /// Parameters of the model.
    pub params: Option<Printed>,
    /// Training tokens.
    pub tokens: Option<Printed>,
    /// A regex of done and total.
    pub progress: Option<String>,
    /// Everything that was printed with a name, for the words where nothing fits.
    pub names: Vec<String>,
}

/// Reads a run's output.
#[must_use]
pub fn propose(output: &str) -> Proposal {
    let all = printed(output);
    let holding = |word: &str| {
        let fits = |it: &&Printed| it.times == 1 && it.name.to_lowercase().contains(word);
        all.iter().rev().find(fits).cloned()
    };
    Proposal {
        metric: metric(&all),
        flops: holding("flop"),
        params: holding("param"),
        tokens: holding("token"),
        progress: progress(output),
        names: all.iter().map(|it| it.name.clone()).collect(),
    }
}

/// `name: number` and `name = number`, in the order of their first line.
fn printed(output: &str) -> Vec<Printed> {
    let line = Regex::new(
        r"([A-Za-z][A-Za-z0-9_./ -]*?)(\s*[:=]\s*)[-+]?(\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?)",
    )
    .expect("a regex of ours");
    let mut at: BTreeMap<String, usize> = BTreeMap::new();
    let mut found: Vec<Printed> = Vec::new();
    for part in line.captures_iter(output) {
        let name = part[1].trim().to_owned();
        if name.len() > NAME_MAX {
            continue;
        }
        if let Some(known) = at.get(&name) {
            found[*known].times += 1;
            continue;
        }
        let separator = if part[2].contains(':') { ":" } else { "=" };
        let escaped = regex::escape(&name);
        // Only a word of its own: `loss` is not `val_loss`.
        let pattern = format!(r"(?:^|[^\w.]){escaped}\s*{separator}\s*([-+0-9.,eE]+)");
        at.insert(name.clone(), found.len());
        found.push(Printed {
            name,
            pattern,
            times: 1,
        });
    }
    found
}

fn metric(all: &[Printed]) -> Option<MetricGuess> {
    let rank = |it: &Printed| {
        let name = it.name.to_lowercase();
        let word = METRICS.iter().position(|(word, _)| name.contains(word))?;
        let held_out = HELD_OUT.iter().any(|word| name.contains(word));
        Some((!held_out, word))
    };
    let (best, printed) = all
        .iter()
        .filter_map(|it| Some((rank(it)?, it)))
        .min_by_key(|(rank, _)| *rank)?;
    let take = if printed.times == 1 {
        Take::Only
    } else {
        Take::Last
    };
    Some(MetricGuess {
        printed: printed.clone(),
        goal: METRICS[best.1].1,
        take,
    })
}

/// `step 3/10` and the like, printed at least twice.
fn progress(output: &str) -> Option<String> {
    let line = Regex::new(r"([A-Za-z]+)[ :=]*(\d+)\s*/\s*(\d+)").expect("a regex of ours");
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for part in line.captures_iter(output) {
        *times.entry(part[1].to_owned()).or_insert(0) += 1;
    }
    let (word, _) = times
        .into_iter()
        .filter(|(_, times)| *times > 1)
        .max_by_key(|(_, times)| *times)?;
    Some(format!(r"{word}[ :=]*(\d+)\s*/\s*(\d+)"))
}

/// The variable in which a program looks for its seed, by its source.
#[must_use]
pub fn seed_variable(source: &str) -> Option<String> {
    let read = Regex::new(
        r#"(?:environ(?:\.get)?|getenv|env::var)\s*[\[(]\s*["']([A-Za-z0-9_]*(?i:seed)[A-Za-z0-9_]*)["']"#,
    )
    .expect("a regex of ours");
    let shell = Regex::new(r"\$\{?([A-Z0-9_]*SEED[A-Z0-9_]*)").expect("a regex of ours");
    let name = |regex: &Regex| Some(regex.captures(source)?[1].to_owned());
    name(&read).or_else(|| name(&shell))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chart::Goal;

    #[test]
    fn reads_what_nanochat_prints() {
        let said = "Total number of training tokens: 5,242,880\n\
                    Total training FLOPs estimate: 1.2e+15\ntotal parameters: 73,531,392\n\
                    step 00010/00100 (10.0%) | loss: 7.3 | lrm: 1.00\n\
                    step 00020/00100 (20.0%) | loss: 6.1 | lrm: 1.00\n\
                    Validation bpb: 1.31\nValidation bpb: 1.19\nMinimum validation bpb: 1.19\n";
        let guess = propose(said);
        let metric = guess.metric.expect("a metric");
        assert_eq!(metric.goal, Goal::Min);
        assert!(metric.printed.name.to_lowercase().contains("bpb"));
        let value = |printed: &Printed, expected: &str| {
            let regex = Regex::new(&printed.pattern).expect("a regex");
            let found = regex.captures_iter(said).last().expect("found");
            assert_eq!(&found[1], expected, "{printed:?}");
        };
        value(&metric.printed, "1.19");
        value(&guess.flops.expect("flops"), "1.2e+15");
        value(&guess.params.expect("parameters"), "73,531,392");
        value(&guess.tokens.expect("tokens"), "5,242,880");
        let progress = Regex::new(&guess.progress.expect("progress")).expect("a regex");
        assert_eq!(&progress.captures(said).expect("found")[2], "00100");
    }

    #[test]
    fn invents_nothing() {
        for said in ["", "all is well\n", "time: 12.5\nlr = 0.1\n"] {
            let guess = propose(said);
            assert_eq!(guess.metric, None, "{said}");
            assert_eq!((guess.flops, guess.progress), (None, None), "{said}");
        }
    }

    #[test]
    fn what_is_held_out_counts_and_the_last_of_several() {
        let guess = propose("loss: 3\nloss: 2\nval_acc = 0.3\nval_acc = 0.5\n");
        let metric = guess.metric.expect("a metric");
        assert_eq!(metric.printed.name, "val_acc");
        assert_eq!((metric.goal, metric.take), (Goal::Max, Take::Last));
    }

    #[test]
    fn finds_where_the_seed_comes_from() {
        for (source, name) in [
            ("seed = int(os.environ[\"ORG_SEED\"])", Some("ORG_SEED")),
            ("os.environ.get('SEED', 1)", Some("SEED")),
            ("std::env::var(\"RUN_SEED\")", Some("RUN_SEED")),
            ("python3 t.py --seed \"${SEED:-1}\"", Some("SEED")),
            ("torch.manual_seed(42)", None),
        ] {
            assert_eq!(seed_variable(source).as_deref(), name, "{source}");
        }
    }
}
