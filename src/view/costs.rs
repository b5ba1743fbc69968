//! What models cost: tokens and dollars by agent, model or claim, and what cache misses cost of it.
//!
//! Owns the attribution. A request counts for the claim that its agent registered next, since that is
//! what it was for, and for none after the last. A prompt's beginning that was sent before in the same
//! conversation and was not read from a cache is a miss; it cost the difference to a read. Must not know
//! how it is printed elsewhere, nor who may spend.

use std::collections::BTreeMap;

use serde::Serialize;

use super::figure;
use super::paint::{Paint, Tint};
use super::table::{Cell, Table};
use crate::domain::chart::Chart;
use crate::domain::chat::Usage;
use crate::domain::event::{Event, Kind};
use crate::domain::price::{self, Rates};
use crate::domain::{model, price::AS_OF};

/// What no claim was registered after.
const NO_CLAIM: &str = "no claim";

/// What costs are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Who asked.
    Agent,
    /// Who answered.
    Model,
    /// What it was for.
    Hypothesis,
}

/// Costs, as `org costs --json` prints them.
#[derive(Debug, Clone, Serialize)]
pub struct Costs {
    /// The run.
    pub run: String,
    /// `agent`, `model` or `hypothesis`.
    pub by: &'static str,
    /// By name, dearest first.
    pub rows: Vec<Row>,
    /// All of them.
    pub total: Row,
    /// The day of the built-in price table.
    pub prices_as_of: &'static str,
}

/// One line of costs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Row {
    /// Whose or what for.
    pub name: String,
    /// Requests made.
    pub requests: u64,
    /// Requests that gave nothing usable.
    pub failed: u64,
    /// Tokens.
    pub tokens: Tokens,
    /// US dollars settled.
    pub usd: f64,
    /// US dollars set aside for requests whose cost will never be known.
    pub usd_unknown: f64,
    /// What was sent before and not read from a cache.
    pub cache_misses: Misses,
}

/// Tokens, in disjoint counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// Prompt tokens that no cache had.
    pub input: u64,
    /// Reply tokens.
    pub output: u64,
    /// Prompt tokens from a cache.
    pub cache_read: u64,
    /// Prompt tokens into one.
    pub cache_write: u64,
}

/// Cache misses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Misses {
    /// Tokens.
    pub tokens: u64,
    /// US dollars more than had they been read from a cache.
    pub usd: f64,
}

impl Row {
    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.tokens.input += other.tokens.input;
        self.tokens.output += other.tokens.output;
        self.tokens.cache_read += other.tokens.cache_read;
        self.tokens.cache_write += other.tokens.cache_write;
        self.usd += other.usd;
        self.usd_unknown += other.usd_unknown;
        self.cache_misses.tokens += other.cache_misses.tokens;
        self.cache_misses.usd += other.cache_misses.usd;
    }

    fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }
}

/// An agent's last request.
#[derive(Debug, Clone, Default)]
struct Last {
    model: String,
    conversation: u64,
    /// Prompt tokens of the conversation's last reply.
    prompt: u64,
    /// Set aside for what is in flight.
    reserved: f64,
}

/// Costs being read from a log.
#[derive(Debug)]
pub struct Reader<'c> {
    chart: &'c Chart,
    by: By,
    last: BTreeMap<String, Last>,
    /// What will count for an agent's next claim.
    pending: BTreeMap<String, Row>,
    rows: BTreeMap<String, Row>,
}

impl<'c> Reader<'c> {
    /// A reader that has read nothing yet.
    #[must_use]
    pub fn new(chart: &'c Chart, by: By) -> Self {
        Self {
            chart,
            by,
            last: BTreeMap::new(),
            pending: BTreeMap::new(),
            rows: BTreeMap::new(),
        }
    }

    /// Reads the next event.
    pub fn see(&mut self, event: &Event) {
        match &event.body {
            Kind::RequestReserved {
                agent,
                conversation,
                usd,
                model,
                ..
            } => self.asked(agent, *conversation, *usd, model),
            Kind::ReplyReceived {
                agent, usage, usd, ..
            } => self.replied(agent, usage, *usd),
            Kind::RequestFailed { agent, usd, .. } => {
                self.last_of(agent).reserved = 0.0;
                let row = Row {
                    failed: 1,
                    usd_unknown: *usd,
                    ..Row::default()
                };
                self.count(agent, &row);
            }
            Kind::HypothesisRegistered { id, agent, .. }
            | Kind::HypothesisRejected { id, agent, .. } => {
                if let Some(row) = self.pending.remove(agent) {
                    self.enter(&format!("h{id}"), &row);
                }
            }
            _ => {}
        }
    }

    fn asked(&mut self, agent: &str, conversation: u64, usd: f64, model: &str) {
        let chart = self.chart;
        let last = self.last_of(agent);
        let lost = std::mem::replace(&mut last.reserved, usd);
        let own = || chart.agent(agent).map(|agent| agent.model.clone());
        let model = Some(model.to_owned()).filter(|model| !model.is_empty());
        let model = model.or_else(own).unwrap_or_default();
        if last.conversation != conversation || last.model != model {
            *last = Last {
                model,
                conversation,
                prompt: 0,
                reserved: usd,
            };
        }
        let row = Row {
            requests: 1,
            usd_unknown: lost,
            ..Row::default()
        };
        self.count(agent, &row);
    }

    fn replied(&mut self, agent: &str, usage: &Usage, usd: f64) {
        let chart = self.chart;
        let last = self.last_of(agent);
        last.reserved = 0.0;
        let cache_write = usage.cache_write + usage.cache_write_1h;
        let prompt = usage.input + usage.cache_read + cache_write;
        let known = std::mem::replace(&mut last.prompt, prompt).min(prompt);
        let missed = known.saturating_sub(usage.cache_read);
        let rates = model::resolve(chart, &last.model).and_then(|model| model.rates);
        let row = Row {
            tokens: Tokens {
                input: usage.input,
                output: usage.output,
                cache_read: usage.cache_read,
                cache_write,
            },
            usd,
            cache_misses: Misses {
                tokens: missed,
                usd: rates.map_or(0.0, |rates| dearer(&rates, usage, missed)),
            },
            ..Row::default()
        };
        self.count(agent, &row);
    }

    fn last_of(&mut self, agent: &str) -> &mut Last {
        self.last.entry(agent.to_owned()).or_default()
    }

    fn count(&mut self, agent: &str, row: &Row) {
        match self.by {
            By::Agent => self.enter(agent, row),
            By::Model => {
                let model = self.last_of(agent).model.clone();
                self.enter(&model, row);
            }
            By::Hypothesis => {
                let pending = self.pending.entry(agent.to_owned()).or_default();
                pending.add(row);
            }
        }
    }

    fn enter(&mut self, name: &str, row: &Row) {
        let named = self.rows.entry(name.to_owned());
        named.or_insert_with(|| Row::named(name)).add(row);
    }

    /// What was read.
    #[must_use]
    pub fn costs(mut self, run: &str) -> Costs {
        for (_, row) in std::mem::take(&mut self.pending) {
            self.enter(NO_CLAIM, &row);
        }
        let mut rows: Vec<Row> = self.rows.into_values().collect();
        rows.sort_by(|a, b| b.usd.total_cmp(&a.usd).then_with(|| a.name.cmp(&b.name)));
        let mut total = Row::named("all");
        rows.iter().for_each(|row| total.add(row));
        Costs {
            run: run.to_owned(),
            by: match self.by {
                By::Agent => "agent",
                By::Model => "model",
                By::Hypothesis => "hypothesis",
            },
            rows,
            total,
            prices_as_of: AS_OF,
        }
    }
}

/// How much more an exchange cost than one in which `missed` tokens were read from the cache.
fn dearer(rates: &Rates, usage: &Usage, missed: u64) -> f64 {
    let mut read = *usage;
    read.cache_read += missed;
    let mut left = missed;
    // What was missed was written anew, as far as anything was.
    for paid in [
        &mut read.cache_write_1h,
        &mut read.cache_write,
        &mut read.input,
    ] {
        let part = left.min(*paid);
        *paid -= part;
        left -= part;
    }
    price::cost(rates, usage) - price::cost(rates, &read)
}

/// Costs as a table.
#[must_use]
pub fn text(costs: &Costs, width: usize, paint: Paint) -> String {
    let heads = [
        ">REQUESTS",
        ">INPUT",
        ">CACHED",
        ">WRITTEN",
        ">OUTPUT",
        ">USD",
        ">MISSED",
        ">MISS USD",
        "NAME",
    ];
    let mut table = Table::new(&heads);
    for row in costs.rows.iter().chain([&costs.total]) {
        let tint = if row.name == costs.total.name {
            Tint::Bold
        } else {
            Tint::None
        };
        table.row(vec![
            row.requests.to_string().into(),
            figure::count(row.tokens.input).into(),
            figure::count(row.tokens.cache_read).into(),
            figure::count(row.tokens.cache_write).into(),
            figure::count(row.tokens.output).into(),
            format!("{:.4}", row.usd).into(),
            figure::count(row.cache_misses.tokens).into(),
            format!("{:.4}", row.cache_misses.usd).into(),
            Cell::tinted(tint, &row.name),
        ]);
    }
    let mut out = table.text(width, paint);
    out.push_str(&words(costs).join("\n"));
    out.push('\n');
    out
}

fn words(costs: &Costs) -> Vec<String> {
    let mut words = Vec::new();
    let total = &costs.total;
    let prompt = total.tokens.input + total.tokens.cache_read + total.tokens.cache_write;
    if prompt > 0 {
        let hit = 100.0 * total.tokens.cache_read as f64 / prompt as f64;
        words.push(format!("{hit:.0} % of the prompts came from a cache"));
    }
    if total.usd_unknown > 0.0 {
        let unknown = total.usd_unknown;
        words.push(format!(
            "${unknown:.4} stay set aside for requests whose cost will never be known"
        ));
    }
    let day = costs.prices_as_of;
    words.push(format!("prices of {day}, the chart's over them"));
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chat::Stop;
    use crate::domain::event::{Actor, Text};
    use crate::domain::protocol::Claim;
    use crate::view::sample;

    fn event(body: Kind) -> Event {
        Event {
            seq: 1,
            at: sample::start(),
            actor: Actor::Agent("ana".to_owned()),
            cause: None,
            body,
        }
    }

    fn asked(conversation: u64) -> Event {
        event(Kind::RequestReserved {
            agent: "ana".to_owned(),
            request: 1,
            conversation,
            items: Vec::new(),
            usd: 0.5,
            model: "claude-opus-5-5".to_owned(),
            provider: "anthropic".to_owned(),
            near: String::new(),
        })
    }

    fn replied(usage: Usage) -> Event {
        event(Kind::ReplyReceived {
            agent: "ana".to_owned(),
            request: 1,
            items: Vec::new(),
            text: Text::from(""),
            thinking: Text::from(""),
            calls: Vec::new(),
            truncated: Vec::new(),
            stop: Stop::EndTurn,
            usage,
            usd: price::cost(
                &price::builtin("claude-opus-5-5").expect("known").rates,
                &usage,
            ),
        })
    }

    fn read(by: By, events: &[Event]) -> Costs {
        let chart = sample::chart();
        let mut reader = Reader::new(&chart, by);
        events.iter().for_each(|event| reader.see(event));
        reader.costs("r")
    }

    #[test]
    fn a_miss_is_what_was_sent_before_and_not_read() {
        let first = Usage {
            cache_write: 10_000,
            ..Usage::default()
        };
        let hit = Usage {
            cache_read: 10_000,
            cache_write: 500,
            ..Usage::default()
        };
        let miss = Usage {
            cache_read: 4_000,
            cache_write: 7_000,
            ..Usage::default()
        };
        let story = [
            asked(1),
            replied(first),
            asked(1),
            replied(hit),
            asked(1),
            replied(miss),
            asked(2),
            replied(first),
        ];
        let costs = read(By::Agent, &story);
        let [row] = costs.rows.as_slice() else {
            panic!("{costs:?}")
        };
        assert_eq!((row.requests, row.cache_misses.tokens), (4, 6_500));
        let more = 6_500.0 * (5.0 - 0.2) / 1e6;
        assert!((row.cache_misses.usd - more).abs() < 1e-12, "{row:?}");
        let all: f64 = (2.0 * 10_000.0 + 500.0 + 7_000.0) * 5.0 + 14_000.0 * 0.2;
        assert!((costs.total.usd - all / 1e6).abs() < 1e-12);
        assert_eq!(read(By::Model, &story).rows[0].name, "claude-opus-5-5");
    }

    #[test]
    fn a_request_counts_for_the_claim_that_follows_it() {
        let usage = Usage {
            input: 1_000,
            ..Usage::default()
        };
        let claim = event(Kind::HypothesisRejected {
            id: 3,
            agent: "ana".to_owned(),
            title: "t".to_owned(),
            claim: Claim::Improve,
            reason: "lint".to_owned(),
            commit: None,
            call: None,
        });
        let story = [asked(1), replied(usage), asked(1), claim, asked(1)];
        let costs = read(By::Hypothesis, &story);
        let requests: Vec<(&str, u64)> = costs
            .rows
            .iter()
            .map(|row| (row.name.as_str(), row.requests))
            .collect();
        assert_eq!(requests, [("h3", 2), ("no claim", 1)]);
        // The request that never came back stays set aside.
        assert!((costs.total.usd_unknown - 0.5).abs() < 1e-12);
        let page = text(&costs, 200, Paint::Plain);
        assert!(
            page.contains("no claim") && page.contains("0.5000 stay"),
            "{page}"
        );
    }
}
