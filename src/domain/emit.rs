//! From a chart to the text of one: what a run freezes.
//!
//! Owns the one promise that the text decodes to an equal chart, wherever it is put: agents are
//! expanded, paths absolute, and defaults written out, so that a later version's other defaults
//! change nothing. Must not know where the text goes.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Value;

use super::chart::{
    Agent, Budget, Chart, Compute, Confirm, Goal, GpuHome, GpuRequest, KeySource, Missed, MockSpec,
    ModelSpec, Office, OnIdle, Party, Process, Protocol, ProviderSpec, Range, Role, Search, Take,
    Task, Timeout, Wire,
};
use super::decode::segment;

/// The chart as TOML; decoding it gives an equal chart.
#[must_use]
pub fn to_toml(chart: &Chart) -> String {
    let mut page = Page::default();
    page.put("version", i64::from(chart.version));
    page.put("name", chart.name.as_str());
    page.put("mission", chart.mission.as_str());
    task(&mut page, &chart.task);
    protocol(&mut page, &chart.protocol);
    compute(&mut page, &chart.compute);
    budget(&mut page, &chart.budget);
    office(&mut page, &chart.office);
    if chart.landing.run.is_some() || chart.landing.gpus.is_some() {
        page.open("[landing]");
        page.maybe("run", chart.landing.run.as_deref());
        page.maybe("gpus", chart.landing.gpus.map(i64::from));
    }
    mock(&mut page, &chart.mock);
    for (name, spec) in &chart.providers {
        provider(&mut page, name, spec);
    }
    for (name, spec) in &chart.models {
        model(&mut page, name, spec);
    }
    for (name, one) in &chart.roles {
        role(&mut page, name, one);
    }
    for one in &chart.agents {
        agent(&mut page, one);
    }
    for one in &chart.processes {
        process(&mut page, one);
    }
    if !chart.search.knobs.is_empty() {
        search(&mut page, &chart.search);
    }
    page.text
}

/// The text so far.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn open(&mut self, header: &str) {
        self.text.push('\n');
        self.text.push_str(header);
        self.text.push('\n');
    }

    fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.text.push_str(key);
        self.text.push_str(" = ");
        self.text.push_str(&value.into().to_string());
        self.text.push('\n');
    }

    fn maybe(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    fn texts(&mut self, key: &str, values: &[String]) {
        if !values.is_empty() {
            self.put(key, values.to_vec());
        }
    }
}

/// Decoded paths are UTF-8, for `decode` refuses others.
fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn paths<P: AsRef<Path>>(all: &[P]) -> Vec<String> {
    all.iter().map(|one| path(one.as_ref())).collect()
}

fn map<T: Clone + Into<Value>>(values: &BTreeMap<String, T>) -> Value {
    let pairs = values
        .iter()
        .map(|(key, value)| (key.clone(), value.clone().into()));
    Value::Table(pairs.collect())
}

fn task(page: &mut Page, task: &Task) {
    page.open("[task]");
    page.put("repo", task.repo.as_str());
    page.maybe("base", task.base.as_deref());
    page.put("setup", task.setup.as_str());
    page.texts("env_key", &task.env_key);
    page.put("env", map(&task.env));
    page.maybe("overlay", task.overlay.as_deref().map(path));
    page.texts("share", &paths(&task.share));
    page.put("run", task.run.as_str());
    page.put("gpus", i64::from(task.gpus));
    page.maybe("explore_gpus", task.explore_gpus.map(i64::from));
    match task.timeout {
        Timeout::Auto => page.put("timeout", "auto"),
        Timeout::Seconds(seconds) => page.put("timeout", seconds),
    }
    page.put("seed", task.seed.as_str());
    page.put("network", task.network);
    page.maybe("progress", task.progress.as_deref());
    page.texts("must_print", &task.must_print);
    page.texts("protect", &task.protect);
    page.texts("editable", &task.editable);
    page.texts("keep", &task.keep);
    page.maybe("evaluate", task.evaluate.as_deref());
    page.texts("hidden", &paths(&task.hidden));
    page.open("[task.metric]");
    page.put("name", task.metric.name.as_str());
    page.put(
        "goal",
        match task.metric.goal {
            Goal::Min => "min",
            Goal::Max => "max",
        },
    );
    page.put("pattern", task.metric.pattern.as_str());
    page.put(
        "take",
        match task.metric.take {
            Take::Only => "only",
            Take::First => "first",
            Take::Last => "last",
            Take::Min => "min",
            Take::Max => "max",
        },
    );
    page.open("[task.measure]");
    page.maybe("flops", task.measure.flops.as_deref());
    page.maybe("params", task.measure.params.as_deref());
    page.maybe("tokens", task.measure.tokens.as_deref());
}

fn protocol(page: &mut Page, protocol: &Protocol) {
    page.open("[protocol]");
    page.put("match", protocol.matched.as_str());
    page.put("tolerance", protocol.tolerance);
    page.put("guards", map(&protocol.guards));
    page.put("baseline", i64::from(protocol.baseline));
    match protocol.confirm {
        Confirm::Auto => page.put("confirm", "auto"),
        Confirm::Seeds(seeds) => page.put("confirm", i64::from(seeds)),
    }
    page.put("alpha", protocol.alpha);
    page.maybe("margin", protocol.margin);
    page.put("notice", protocol.notice);
}

fn compute(page: &mut Page, compute: &Compute) {
    page.open("[compute]");
    page.put("launcher", compute.launcher.as_str());
    match &compute.gpus {
        GpuRequest::Auto => page.put("gpus", "auto"),
        GpuRequest::Indices(indices) => {
            page.put(
                "gpus",
                indices
                    .iter()
                    .map(|index| i64::from(*index))
                    .collect::<Vec<i64>>(),
            );
        }
        GpuRequest::Uuids(uuids) => page.put("gpus", uuids.clone()),
        GpuRequest::Simulate(count) => page.put("gpus", format!("simulate:{count}")),
    }
    page.maybe("parallel", compute.parallel.map(i64::from));
}

fn budget(page: &mut Page, budget: &Budget) {
    page.open("[budget]");
    page.maybe("usd", budget.usd);
    page.maybe("usd_per_hour", budget.usd_per_hour);
    page.maybe("gpu_hours", budget.gpu_hours);
    page.maybe("wall", budget.wall);
    // Decoded sizes fit: `decode` refuses what TOML's integers cannot say.
    page.maybe(
        "disk",
        budget
            .disk
            .map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
    );
}

fn office(page: &mut Page, office: &Office) {
    page.open("[office]");
    page.maybe(
        "grid",
        office
            .grid
            .map(|(columns, rows)| format!("{columns}x{rows}")),
    );
    let ask: Vec<String> = office.ask.iter().map(|ask| ask.word()).collect();
    page.texts("ask", &ask);
    page.maybe("notify", office.notify.as_deref());
}

fn mock(page: &mut Page, mock: &MockSpec) {
    page.open("[mock]");
    page.maybe("scenario", mock.scenario.as_deref().map(path));
    page.maybe("repo", mock.repo.as_deref());
    page.maybe("every", mock.every);
    page.maybe("setup", mock.setup.as_deref());
    page.maybe("run", mock.run.as_deref());
    page.maybe("env", mock.env.as_ref().map(map));
    page.maybe("share", mock.share.as_deref().map(paths));
    page.maybe("draws", mock.draws.map(i64::from));
}

fn provider(page: &mut Page, name: &str, spec: &ProviderSpec) {
    page.open(&format!("[{}]", segment("providers", name)));
    page.put(
        "wire",
        match spec.wire {
            Wire::Anthropic => "anthropic",
            Wire::Openai => "openai",
        },
    );
    page.put("base_url", spec.base_url.as_str());
    match &spec.key {
        // Said, since leaving it out would give a built-in provider its own key back.
        KeySource::None => page.put("key_env", ""),
        KeySource::Env(variable) => page.put("key_env", variable.as_str()),
        KeySource::File(file) => page.put("key_file", path(file)),
        KeySource::Cmd(command) => page.put("key_cmd", command.as_str()),
    }
}

fn model(page: &mut Page, name: &str, spec: &ModelSpec) {
    page.open(&format!("[{}]", segment("models", name)));
    page.put("provider", spec.provider.as_str());
    page.maybe(
        "context",
        spec.context
            .map(|tokens| i64::try_from(tokens).unwrap_or(i64::MAX)),
    );
    page.maybe(
        "price",
        spec.price.map(|price| {
            map(&BTreeMap::from([
                ("input".to_owned(), price.input),
                ("output".to_owned(), price.output),
                ("cache_read".to_owned(), price.cache_read),
                ("cache_write".to_owned(), price.cache_write),
            ]))
        }),
    );
}

fn role(page: &mut Page, name: &str, role: &Role) {
    page.open(&format!("[{}]", segment("roles", name)));
    page.maybe("prompt", role.prompt.as_deref().map(path));
    page.put("tools", role.tools.clone());
    page.maybe("effort", role.effort.map(super::chat::Effort::as_str));
    page.put(
        "compact_at",
        i64::try_from(role.compact_at).unwrap_or(i64::MAX),
    );
    page.maybe("fallback", role.fallback.as_deref());
    page.put(
        "on_idle",
        match role.on_idle {
            OnIdle::Wait => "wait",
            OnIdle::Continue => "continue",
        },
    );
    page.maybe("usd", role.usd);
}

fn agent(page: &mut Page, agent: &Agent) {
    page.open("[[agents]]");
    page.put("name", agent.name.as_str());
    page.put("role", agent.role.as_str());
    page.put("model", agent.model.as_str());
    match &agent.gpu {
        GpuHome::None => {}
        GpuHome::Auto => page.put("gpu", "auto"),
        GpuHome::Index(index) => page.put("gpu", i64::from(*index)),
        GpuHome::Uuid(uuid) => page.put("gpu", uuid.as_str()),
    }
    page.maybe("reports_to", agent.reports_to.as_deref());
    page.maybe("usd", agent.usd);
}

fn process(page: &mut Page, process: &Process) {
    page.open("[[processes]]");
    page.put("name", process.name.as_str());
    page.maybe("every", process.every);
    page.maybe("at", process.at.as_deref());
    page.maybe("on", process.on.as_deref());
    page.maybe("from", process.from.as_ref().map(party));
    page.maybe("to", process.to.as_ref().map(party));
    page.maybe("by", process.by.as_ref().map(party));
    page.maybe("prompt", process.prompt.as_deref().map(path));
    page.maybe("within", process.within);
    page.maybe("missed", process.missed.map(Missed::word));
    page.maybe("fruitless_claims", process.fruitless_claims.map(i64::from));
    page.maybe("fruitless_gpu_hours", process.fruitless_gpu_hours);
    page.maybe("idle_for", process.idle_for);
}

fn search(page: &mut Page, search: &Search) {
    page.open("[search]");
    page.put("draws", i64::from(search.draws));
    page.put("predicts", search.predicts);
    for knob in &search.knobs {
        page.open("[[search.knobs]]");
        page.put("name", knob.name.as_str());
        page.put("file", knob.file.as_str());
        page.put("pattern", knob.pattern.as_str());
        match &knob.range {
            Range::Values(values) => page.put("values", values.clone()),
            Range::Between {
                low,
                high,
                log,
                whole,
            } => {
                page.put("low", *low);
                page.put("high", *high);
                page.put("scale", if *log { "log" } else { "linear" });
                page.put("whole", *whole);
            }
        }
    }
}

fn party(party: &Party) -> Value {
    match party {
        Party::Name(name) => Value::from(name.as_str()),
        Party::Role { role, not } => {
            let mut table = BTreeMap::from([("role".to_owned(), role.clone())]);
            table.extend(not.clone().map(|not| ("not".to_owned(), not)));
            map(&table)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::to_toml;
    use crate::domain::decode::fixtures::{FULL, MINIMAL, ODD, context};
    use crate::domain::decode::{Context, decode};

    #[test]
    fn a_frozen_chart_is_the_same_chart_anywhere() {
        for text in [FULL, MINIMAL, ODD] {
            let chart = decode(text, &context());
            let chart = chart
                .chart
                .unwrap_or_else(|| panic!("{:#?}", chart.problems));
            let frozen = to_toml(&chart);
            let elsewhere = Context {
                base: Path::new("/elsewhere"),
                home: None,
                known_models: &[],
                frozen: false,
            };
            let again = decode(&frozen, &elsewhere);
            assert_eq!(again.problems, [], "{frozen}");
            assert_eq!(again.chart, Some(chart), "{frozen}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_text_is_kept(
            text in "[ -~\\r\\n\\t\u{1}\u{7f}\u{85}öé\"'\\\\]{0,30}",
            number in prop::num::f64::POSITIVE,
        ) {
            let mut chart = decode(ODD, &context()).chart.expect("a good chart");
            chart.mission = text.clone();
            chart.task.run = format!("x{text}");
            chart.task.env.insert("A".to_owned(), text.clone());
            chart.task.keep = vec![format!("x{text}").replace("..", "")];
            chart.models.values_mut().for_each(|model| model.context = Some(7));
            chart.protocol.margin = Some(number.min(1e300));
            let again = decode(&to_toml(&chart), &context());
            prop_assert_eq!(&again.problems, &vec![]);
            prop_assert_eq!(again.chart, Some(chart));
        }
    }
}
