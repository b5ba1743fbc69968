//! `[providers]`, `[models]`, `[roles]`: who answers, with what, and what agents are.
//!
//! Owns the reading of these tables and the built-in entries beside them. Must not know agents.

use std::collections::BTreeMap;

use super::item::Item;
use super::sheet::Sheet;
use super::table::Table;
use super::text;
use crate::domain::chart::{
    COMPACT_AT, KeySource, ModelSpec, OnIdle, Price, ProviderSpec, Role, Wire,
};
use crate::domain::chat::Effort;
use crate::domain::keys::TOOLS;
use crate::domain::suggest::{meant, quoted};

/// Longest name of a model; vendors' are far shorter.
const MODEL_NAME_MAX: usize = 200;

pub(super) fn providers(
    sheet: &mut Sheet<'_>,
    root: &mut Table<'_>,
) -> BTreeMap<String, ProviderSpec> {
    let mut providers = BTreeMap::new();
    for name in ProviderSpec::BUILT_IN {
        providers.extend(ProviderSpec::built_in(name).map(|spec| (name.to_owned(), spec)));
    }
    for (name, item) in root.named(sheet, "providers") {
        text::name(sheet, &item.path, item.span.start, &name);
        let spec = provider(sheet, &name, &item);
        providers.insert(name, spec);
    }
    providers
}

fn provider(sheet: &mut Sheet<'_>, name: &str, item: &Item<'_>) -> ProviderSpec {
    let built_in = ProviderSpec::built_in(name);
    let mut table = Table::of(sheet, item, "providers.*");
    let own = built_in.is_none();
    let wire = if own {
        table.need(sheet, "wire")
    } else {
        table.take(sheet, "wire")
    };
    let wire = wire
        .and_then(|item| item.word(sheet))
        .map(|word| match word {
            "anthropic" => Wire::Anthropic,
            _ => Wire::Openai,
        });
    let url = if own {
        table.need(sheet, "base_url")
    } else {
        table.take(sheet, "base_url")
    };
    let base_url = url.as_ref().and_then(|item| text::base_url(sheet, item));
    let key = key_source(sheet, &mut table);
    table.finish(sheet);
    let mut spec = built_in.unwrap_or(ProviderSpec {
        wire: Wire::Openai,
        base_url: String::new(),
        key: KeySource::None,
    });
    spec.wire = wire.unwrap_or(spec.wire);
    spec.base_url = base_url.unwrap_or(spec.base_url);
    spec.key = key.unwrap_or(spec.key);
    if let (Some(item), Wire::Anthropic) = (url, spec.wire)
        && spec.base_url.trim_end_matches('/').ends_with("/v1")
    {
        let message = format!(
            "{} ends with /v1, which the anthropic wire adds itself",
            item.path
        );
        sheet.warn(
            &item.path,
            item.span.start,
            message,
            "leave /v1 out".to_owned(),
        );
    }
    spec
}

fn key_source(sheet: &mut Sheet<'_>, table: &mut Table<'_>) -> Option<KeySource> {
    let env = table.take(sheet, "key_env");
    let file = table.take(sheet, "key_file");
    let cmd = table.take(sheet, "key_cmd");
    let given = [&env, &file, &cmd].into_iter().flatten().count();
    if given > 1 {
        let message = format!("{} names {given} places for one key", table.path);
        let hint = "keep one of key_env, key_file and key_cmd".to_owned();
        sheet.problem(&table.path, table.at, message, hint);
    }
    let env = env
        .and_then(|item| text::key_variable(sheet, &item))
        .map(|name| {
            if name.is_empty() {
                KeySource::None
            } else {
                KeySource::Env(name)
            }
        });
    let file = file
        .and_then(|item| text::path(sheet, &item))
        .map(KeySource::File);
    let cmd = cmd.and_then(|item| item.text(sheet)).map(KeySource::Cmd);
    env.or(file).or(cmd)
}

pub(super) fn models(sheet: &mut Sheet<'_>, root: &mut Table<'_>) -> BTreeMap<String, ModelSpec> {
    let mut models = BTreeMap::new();
    for (name, item) in root.named(sheet, "models") {
        let odd = name.trim().is_empty() || name.len() > MODEL_NAME_MAX;
        if odd || name.chars().any(char::is_control) {
            let message = format!("{} cannot name a model", quoted(&name));
            item.problem(
                sheet,
                message,
                "write the name as the server knows it".to_owned(),
            );
        }
        let known = sheet
            .context
            .known_models
            .iter()
            .find(|(known, _)| *known == name);
        let mut table = Table::of(sheet, &item, "models.*");
        let provider = match known {
            Some(_) => table.take(sheet, "provider"),
            None => table.need(sheet, "provider"),
        };
        let provider = provider.and_then(|item| item.text(sheet));
        let spec = ModelSpec {
            provider: provider
                .or_else(|| known.map(|(_, provider)| (*provider).to_owned()))
                .unwrap_or_default(),
            context: table
                .take(sheet, "context")
                .and_then(|item| item.tokens(sheet)),
            price: price(sheet, &mut table),
        };
        table.finish(sheet);
        models.insert(name, spec);
    }
    models
}

fn price(sheet: &mut Sheet<'_>, model: &mut Table<'_>) -> Option<Price> {
    let given = model.has("price");
    let mut table = model.table(sheet, "price", "models.*.price");
    let input = table.real(sheet, "input");
    let output = table.real(sheet, "output");
    let cache_read = table.real(sheet, "cache_read");
    let cache_write = table.real(sheet, "cache_write");
    table.finish(sheet);
    let input = input.unwrap_or(0.0);
    given.then(|| Price {
        input,
        output: output.unwrap_or(0.0),
        cache_read: cache_read.unwrap_or(input),
        cache_write: cache_write.unwrap_or(input),
    })
}

pub(super) fn roles(sheet: &mut Sheet<'_>, root: &mut Table<'_>) -> BTreeMap<String, Role> {
    let mut roles = BTreeMap::new();
    for name in Role::BUILT_IN {
        roles.extend(Role::built_in(name).map(|role| (name.to_owned(), role)));
    }
    for (name, item) in root.named(sheet, "roles") {
        text::name(sheet, &item.path, item.span.start, &name);
        let built_in = roles.get(&name).cloned();
        roles.insert(name, role(sheet, built_in, &item));
    }
    roles
}

fn role(sheet: &mut Sheet<'_>, built_in: Option<Role>, item: &Item<'_>) -> Role {
    let mut table = Table::of(sheet, item, "roles.*");
    // Only the built-in roles have a prompt and tools of their own.
    let (prompt, tools) = if built_in.is_some() {
        (table.take(sheet, "prompt"), table.take(sheet, "tools"))
    } else {
        (table.need(sheet, "prompt"), table.need(sheet, "tools"))
    };
    let fallback = table.text(sheet, "fallback");
    let role = Role {
        prompt: prompt.and_then(|item| text::path(sheet, &item)),
        tools: match tools {
            Some(item) => grants(sheet, &item),
            None => built_in.map(|role| role.tools).unwrap_or_default(),
        },
        effort: table.word(sheet, "effort").and_then(Effort::parse),
        compact_at: table
            .take(sheet, "compact_at")
            .and_then(|item| item.tokens(sheet))
            .unwrap_or(COMPACT_AT),
        fallback,
        on_idle: match table.word(sheet, "on_idle") {
            Some("continue") => OnIdle::Continue,
            _ => OnIdle::Wait,
        },
        usd: table.real(sheet, "usd"),
    };
    table.finish(sheet);
    role
}

fn grants(sheet: &mut Sheet<'_>, item: &Item<'_>) -> Vec<String> {
    let mut tools: Vec<String> = Vec::new();
    for element in item.elements(sheet).unwrap_or_default() {
        let Some(tool) = element.text(sheet) else {
            continue;
        };
        if tool != "done" && !TOOLS.contains(&tool.as_str()) {
            let message = format!("{}: there is no tool {}", element.path, quoted(&tool));
            let hint = granted_by(&tool).unwrap_or_else(|| meant(&tool, TOOLS, "write one of"));
            element.problem(sheet, message, hint);
        } else if tool != "done" && !tools.contains(&tool) {
            tools.push(tool);
        }
    }
    tools
}

/// The grant behind a tool that is not granted by its own name.
fn granted_by(tool: &str) -> Option<String> {
    let grant = match tool {
        "read" | "search" => "files:read",
        "write" | "edit" => "files",
        "send" => "mail",
        "hypothesis" => "experiment",
        "note" => "notebook",
        _ => return None,
    };
    Some(format!("write {grant:?}, which grants {tool}"))
}
