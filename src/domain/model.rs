//! Which server serves a model, and on what terms: the chart's word over the built-in table's.

use super::chart::{Chart, KeySource, Price, ProviderSpec, Wire};
use super::price::{self, Rates};
use super::search;

/// Most tokens that one reply may have: a turn of an agent is never a book, and what is set aside for
/// a request grows with it.
pub const MAX_OUTPUT: u64 = 32_000;
/// The context window of a model of which nothing is known, in tokens.
const UNKNOWN_CONTEXT: u64 = 128_000;

/// A model with all that is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The chart's name for its server.
    pub provider: String,
    /// The server.
    pub spec: ProviderSpec,
    /// Whether it is its vendor's own, at the provider of that name.
    pub vendors: bool,
    /// What it costs; none where nobody said.
    pub rates: Option<Rates>,
    /// Context window, tokens.
    pub context: u64,
    /// Most tokens of one reply.
    pub max_output: u64,
}

/// The models that a chart may name without describing them, each with its provider.
#[must_use]
pub fn known() -> Vec<(&'static str, &'static str)> {
    price::names()
        .filter_map(|name| Some((name, price::builtin(name)?.provider)))
        .chain([(search::MODEL, search::PROVIDER)])
        .collect()
}

/// What is known of a model; none where the chart names a provider that it lacks.
#[must_use]
pub fn resolve(chart: &Chart, name: &str) -> Option<Model> {
    if search::plays(chart, name) {
        return Some(nobody());
    }
    let own = chart.models.get(name);
    let builtin = price::builtin(name);
    let provider = match (own, builtin) {
        (Some(own), _) => own.provider.clone(),
        (None, Some(builtin)) => builtin.provider.to_owned(),
        (None, None) => return None,
    };
    let rates = own
        .and_then(|own| own.price)
        .map(Rates::from)
        .or(builtin.map(|builtin| builtin.rates));
    let context = own
        .and_then(|own| own.context)
        .or(builtin.map(|builtin| builtin.context))
        .unwrap_or(UNKNOWN_CONTEXT);
    Some(Model {
        spec: chart.providers.get(&provider)?.clone(),
        rates,
        context,
        vendors: builtin.is_some_and(|builtin| builtin.provider == provider),
        max_output: most_output(context, builtin.map(|builtin| builtin.max_output)),
        provider,
    })
}

/// A small window must not be promised away to the reply: servers refuse a limit that the prompt
/// leaves no room for.
fn most_output(context: u64, own: Option<u64>) -> u64 {
    MAX_OUTPUT.min(own.unwrap_or(MAX_OUTPUT)).min(context / 4)
}

/// In place of a model where none is asked: nothing is sent anywhere, and nothing costs anything.
fn nobody() -> Model {
    Model {
        provider: search::PROVIDER.to_owned(),
        spec: ProviderSpec {
            wire: Wire::Openai,
            base_url: String::new(),
            key: KeySource::None,
        },
        rates: Some(Rates::from(Price {
            input: 0.0,
            output: 0.0,
            cache_read: 0.0,
            cache_write: 0.0,
        })),
        context: UNKNOWN_CONTEXT,
        vendors: false,
        max_output: 0,
    }
}
