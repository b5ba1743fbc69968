//! `[[agents]]` and `[[processes]]`: the members of the org and what they do together.
//!
//! Owns the reading of these tables and the expansion of `count`. Must not know whether a role,
//! model or agent named here exists.

use toml::de::DeValue;

use super::item::Item;
use super::protocol::{gpu_index, is_uuid};
use super::sheet::Sheet;
use super::table::Table;
use super::{text, units};
use crate::domain::chart::{Agent, GpuHome, Missed, Party, Process};
use crate::domain::keys::AGENTS_MAX;
use crate::domain::suggest::{meant, quoted};

/// What stands for the number of an agent of several.
const NUMBER: &str = "{n}";

pub(super) fn agents(sheet: &mut Sheet<'_>, root: &mut Table<'_>) -> Vec<Agent> {
    let mut agents = Vec::new();
    for (index, item) in root
        .list(sheet, "agents")
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        sheet.remember(&item.path, item.span.start);
        let (pattern, count) = agent(sheet, &item);
        if agents.len() + count as usize > AGENTS_MAX as usize {
            let message = format!("{} makes more than {AGENTS_MAX} agents", item.path);
            item.problem(
                sheet,
                message,
                "lower a count, or make it two orgs".to_owned(),
            );
            break;
        }
        for n in 1..=count {
            let numbered = |text: &str| text.replace(NUMBER, &n.to_string());
            agents.push(Agent {
                name: numbered(&pattern.name),
                reports_to: pattern.reports_to.as_deref().map(numbered),
                ..pattern.clone()
            });
            sheet.agent_from(index);
        }
    }
    agents
}

/// One table: the agent with `{n}` still in its name, and how many of it.
fn agent(sheet: &mut Sheet<'_>, item: &Item<'_>) -> (Agent, u32) {
    let mut table = Table::of(sheet, item, "agents[]");
    let name = table.take(sheet, "name");
    let count = table
        .take(sheet, "count")
        .and_then(|item| item.count(sheet))
        .unwrap_or(1);
    let agent = Agent {
        name: name
            .and_then(|item| agent_name(sheet, &item, count))
            .unwrap_or_default(),
        role: table.text(sheet, "role").unwrap_or_default(),
        model: table.text(sheet, "model").unwrap_or_default(),
        gpu: table
            .take(sheet, "gpu")
            .map_or(GpuHome::None, |item| gpu_home(sheet, &item)),
        reports_to: table.text(sheet, "reports_to"),
        usd: table.real(sheet, "usd"),
    };
    table.finish(sheet);
    (agent, count)
}

fn agent_name(sheet: &mut Sheet<'_>, item: &Item<'_>, count: u32) -> Option<String> {
    let name = item.text(sheet)?;
    if count > 1 && !name.contains(NUMBER) {
        let message = format!("{count} agents would be called {}", quoted(&name));
        let plain: String = name.chars().take(20).collect();
        item.problem(
            sheet,
            message,
            format!("put {NUMBER} into the name: \"{plain}-{NUMBER}\""),
        );
    } else {
        // The last number is the longest.
        let last = name.replace(NUMBER, &count.to_string());
        text::name(sheet, &item.path, item.span.start, &last);
    }
    Some(name)
}

fn gpu_home(sheet: &mut Sheet<'_>, item: &Item<'_>) -> GpuHome {
    match item.value {
        DeValue::String(word) if word == "auto" => GpuHome::Auto,
        DeValue::String(uuid) if is_uuid(uuid) => GpuHome::Uuid(uuid.to_string()),
        DeValue::String(_) => {
            item.refuse(sheet, "names no GPU");
            GpuHome::None
        }
        DeValue::Integer(_) => gpu_index(sheet, item).map_or(GpuHome::None, GpuHome::Index),
        _ => {
            item.wrong(sheet, "\"auto\", an index or a UUID");
            GpuHome::None
        }
    }
}

pub(super) fn processes(sheet: &mut Sheet<'_>, root: &mut Table<'_>) -> Vec<Process> {
    let mut processes = Vec::new();
    for item in root.list(sheet, "processes").unwrap_or_default() {
        sheet.remember(&item.path, item.span.start);
        processes.push(process(sheet, &item));
    }
    processes
}

fn process(sheet: &mut Sheet<'_>, item: &Item<'_>) -> Process {
    let mut table = Table::of(sheet, item, "processes[]");
    let name = table.take(sheet, "name").and_then(|item| {
        let name = item.text(sheet)?;
        text::name(sheet, &item.path, item.span.start, &name);
        Some(name)
    });
    let at = table.take(sheet, "at").and_then(|item| {
        let at = item.text(sheet)?;
        if !units::time_of_day(&at) {
            let message = format!("{} = {} is no time of day", item.path, quoted(&at));
            item.problem(sheet, message, "write at = \"09:00\"".to_owned());
        }
        Some(at)
    });
    let process = Process {
        name: name.unwrap_or_default(),
        every: table
            .take(sheet, "every")
            .and_then(|item| item.seconds(sheet)),
        at,
        on: table.word(sheet, "on").map(str::to_owned),
        from: table
            .take(sheet, "from")
            .and_then(|item| party(sheet, &item)),
        to: table.take(sheet, "to").and_then(|item| party(sheet, &item)),
        by: table.take(sheet, "by").and_then(|item| party(sheet, &item)),
        prompt: table
            .take(sheet, "prompt")
            .and_then(|item| text::path(sheet, &item)),
        within: table
            .take(sheet, "within")
            .and_then(|item| item.seconds(sheet)),
        missed: table.word(sheet, "missed").map(|word| match word {
            "skip" => Missed::Skip,
            "nag" => Missed::Nag,
            _ => Missed::Escalate,
        }),
        fruitless_claims: table
            .take(sheet, "fruitless_claims")
            .and_then(|item| item.count(sheet)),
        fruitless_gpu_hours: table.real(sheet, "fruitless_gpu_hours"),
        idle_for: table
            .take(sheet, "idle_for")
            .and_then(|item| item.seconds(sheet)),
    };
    let starts = ["every", "at", "on"]
        .iter()
        .filter(|key| table.has(key))
        .count();
    if starts != 1 && item.value.is_table() {
        let message = format!(
            "{} must have one of every, at and on, and has {starts}",
            item.path
        );
        let hint = "write one: every = \"1h\", at = \"09:00\" or on = \"hypothesis.confirmed\"";
        item.problem(sheet, message, hint.to_owned());
    }
    table.finish(sheet);
    process
}

fn party(sheet: &mut Sheet<'_>, item: &Item<'_>) -> Option<Party> {
    const KEYS: [&str; 2] = ["role", "not"];
    if let DeValue::String(_) = item.value {
        return item.text(sheet).map(Party::Name);
    }
    if !item.value.is_table() {
        item.wrong(sheet, "a name or a table");
        return None;
    }
    let (mut role, mut not) = (None, None);
    for (name, item, at) in item.entries(sheet)? {
        match name.as_str() {
            "role" => role = item.text(sheet),
            "not" => not = item.text(sheet),
            _ => {
                let message = format!("unknown key {}", quoted(&name));
                sheet.problem(&item.path, at, message, meant(&name, KEYS, "a party has"));
            }
        }
    }
    if role.is_none() {
        let path = format!("{}.role", item.path);
        sheet.missing(
            &path,
            item.span.start,
            "write role = \"researcher\"".to_owned(),
        );
    }
    role.map(|role| Party::Role { role, not })
}
