//! The named claims, task by task: scripted agents, the real program, the shipped charts.
//!
//! Claims that are false stand in one organisation; true ones in others, since each promotion is a new base. The
//! ledger is the judge: what it calls promoted must be true.

use std::collections::BTreeSet;

use serde_json::Value;

use super::place::{Place, of_project};
use super::script::{Case, Truth, scenario};
use super::table::{self, Row, say};
use super::{Broken, codespeed, synth, tinylm};

/// Runs on which the plan rests: of six, one spread in twenty-five comes out at half of what it is, and what is
/// called decidable by it is not.
const PLAN_RUNS: &str = "16";
/// Share of the decidable small ones that must be promoted.
const FOUND: f64 = 0.9;

/// Claims that are played in one organisation.
pub(crate) struct Group {
    pub(crate) task: &'static str,
    /// The chart that it extends, and what it changes of it.
    pub(crate) chart: &'static str,
    pub(crate) keys: &'static str,
    pub(crate) cases: Vec<Case>,
    /// Whether a reader looks at what is confirmed, and vetoes a title that its diff does not bear out.
    pub(crate) reviewed: bool,
}

/// What came of all of them.
#[derive(Default)]
struct Count {
    bad: usize,
    small: usize,
    found: usize,
}

/// Plays the claims of some tasks; says whether all came as they must.
pub(crate) fn play(tasks: &[&str], all: bool) -> Result<bool, Broken> {
    let groups = [tinylm::groups(), codespeed::groups(), synth::groups()];
    table::head();
    let mut count = Count::default();
    for mut group in groups.into_iter().flatten() {
        if !tasks.contains(&group.task) {
            continue;
        }
        if !all {
            group.cases.retain(|case| case.short);
        }
        if !group.cases.is_empty() {
            group.play(&mut count)?;
        }
    }
    if count.small > 0 {
        say(&format!(
            "small true claims that the plan calls decidable: {} of {} promoted",
            count.found, count.small
        ));
    }
    // Of few, one may be missed: a share of them says nothing. The stream has hundreds.
    let missed = count.small - count.found;
    let enough = missed <= 1 || count.found as f64 >= FOUND * count.small as f64;
    if !enough {
        say("!! fewer than nine in ten decidable claims were promoted");
    }
    Ok(count.bad == 0 && enough)
}

impl Group {
    fn play(&self, count: &mut Count) -> Result<(), Broken> {
        let place = Place::new()?;
        let scenario = place.write("scenario.toml", &scenario(&self.cases, self.reviewed))?;
        let chart = place.write("chart.toml", &self.chart(&scenario))?;
        let up = ["up", &chart, "--mock", "--headless", "--until", "done"];
        let said = place.org(&up)?;
        let told = String::from_utf8_lossy(&said.stderr).into_owned();
        let ledger = place
            .json(&["ledger", "--json"])
            .inspect_err(|_| say(&told))?;
        let smallest = self.smallest(&place, &chart)?;
        for case in &self.cases {
            let entries = ledger.as_array().into_iter().flatten();
            // Those that top it up come after it.
            let entries: Vec<&Value> = entries.filter(|it| it["title"] == case.title).collect();
            if entries.is_empty() {
                say(&told);
                return Err(format!("{:?} is not in the ledger", case.name).into());
            }
            self.judge(case, &entries, smallest, count);
        }
        let alive = place.alive();
        if !alive.is_empty() {
            count.bad += 1;
            say(&format!(
                "!! outlived its organisation: {}",
                alive.join("; ")
            ));
        }
        Ok(())
    }

    /// The smallest effect that the plan calls decidable, in the metric's unit: asked only where it matters.
    fn smallest(&self, place: &Place, chart: &str) -> Result<f64, Broken> {
        let small = |case: &Case| matches!(case.truth, Truth::Small(_));
        if !self.cases.iter().any(small) {
            return Ok(f64::MAX);
        }
        let plan = place.json(&["plan", chart, "--mock", "--runs", PLAN_RUNS, "--json"])?;
        Ok(plan["smallest_effect"]["effect"]
            .as_f64()
            .unwrap_or(f64::MAX))
    }

    fn judge(&self, case: &Case, entries: &[&Value], smallest: f64, count: &mut Count) {
        let had = |status: &str| entries.iter().any(|entry| entry["status"] == status);
        // A top-up that was refused, since the champion had moved on, leaves what was before.
        let rejected = |entry: &&&Value| entry["status"] != "rejected" || entries.len() == 1;
        let Some(entry) = entries.iter().rfind(rejected) else {
            return;
        };
        let word = |key: &str| entry[key].as_str().unwrap_or_default();
        let verdict = word("status");
        let promoted = had("promoted");
        let mut reason = word("reason").to_owned();
        let good = match case.truth {
            Truth::False => !promoted && !had("rolled_back"),
            Truth::Large => promoted,
            Truth::Small(thousandths) => {
                if f64::from(thousandths) / 1000.0 >= smallest {
                    count.small += 1;
                    count.found += usize::from(promoted);
                } else {
                    reason = format!("not decidable by the plan; {reason}");
                }
                true
            }
            Truth::Bundle(part) => {
                let dropped = entry["dropped"].to_string();
                let gone = dropped.contains(part);
                if gone {
                    reason = format!("dropped {part:?}; {reason}");
                }
                gone || !promoted
            }
        };
        count.bad += usize::from(!good);
        let runs = entries.iter().filter_map(|entry| entry["runs"].as_array());
        let own = runs.flatten().filter(|run| run["arm"] == "candidate");
        let own: BTreeSet<&str> = own.filter_map(|run| run["id"].as_str()).collect();
        table::row(&Row {
            task: self.task,
            claim: case.name,
            truth: case.truth.word(),
            verdict,
            runs: own.len(),
            reason: &reason,
            good,
        });
    }

    /// The task's own chart with other agents: one for each claim.
    fn chart(&self, scenario: &str) -> String {
        let reader = if self.reviewed {
            let (prompt, sceptic) = (
                of_project("prompts/review.md"),
                of_project("prompts/sceptic.md"),
            );
            format!(
                "[roles.reader]\nprompt = \"{sceptic}\"\ntools = [\"review\", \"ledger\", \"mail\"]\n[[agents]]\nname = \"reader\"\n\
                 role = \"reader\"\nmodel = \"gpt-6.2-sol\"\n[[processes]]\nname = \"review\"\n\
                 on = \"hypothesis.confirmed\"\nby = {{ role = \"reader\", not = \"author\" }}\n\
                 prompt = \"{prompt}\"\n"
            )
        } else {
            String::new()
        };
        format!(
            "version = 1\nextends = \"{}\"\n{}\n[mock]\nscenario = \"{scenario}\"\n\
             [budget]\nwall = \"2h\"\n[[agents]]\nname = \"c{{n}}\"\ncount = {}\nrole = \"researcher\"\n\
             model = \"claude-opus-5-5\"\n{reader}",
            of_project(self.chart),
            self.keys,
            self.cases.iter().filter(|case| !case.next).count()
        )
    }
}
