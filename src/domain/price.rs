//! What models cost: the built-in table, and the arithmetic from tokens to dollars.
//!
//! Owns names, windows and prices of the vendors' models, so that a chart needs none of them and
//! `check` can say "did you mean". Prices are the vendors' public price pages as of [`AS_OF`]; a
//! chart's `[models]` overrides them. Must not know who spends, caps, or any wire.

use super::chart::Price;
use super::chat::Usage;

/// The day on which the table was compared with the vendors' price pages.
pub const AS_OF: &str = "2026-11-23";

/// Anthropic writes a cache for five minutes at 1.25 times the input price and for an hour at twice
/// it; charts give the former.
const HOUR_OVER_FIVE_MINUTES: f64 = 1.6;

/// A price that rises for the whole request once its prompt is long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Surcharge {
    /// Prompt tokens, cached ones included, above which it applies.
    pub above: u64,
    /// Factor on input and on both cache prices.
    pub input: f64,
    /// Factor on output.
    pub output: f64,
}

/// All that turns tokens into dollars.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Dollars per million tokens.
    pub price: Price,
    /// What long prompts cost more.
    pub surcharge: Option<Surcharge>,
}

impl From<Price> for Rates {
    fn from(price: Price) -> Self {
        Self {
            price,
            surcharge: None,
        }
    }
}

/// A model that charts may name without describing it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BuiltinModel {
    /// Its name on the wire, without a snapshot's date.
    pub name: &'static str,
    /// The built-in provider that serves it.
    pub provider: &'static str,
    /// Context window in tokens, prompt and reply together.
    pub context: u64,
    /// Most tokens of one reply.
    pub max_output: u64,
    /// What it costs.
    pub rates: Rates,
}

/// The model of that name; a dated snapshot (`…-20260922`, `…-2026-11-17`) is the model it froze.
#[must_use]
pub fn builtin(model: &str) -> Option<BuiltinModel> {
    let find = |name: &str| TABLE.iter().find(|row| row.name == name).copied();
    find(model).or_else(|| find(undated(model)?))
}

/// All built-in names, newest first within each vendor.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|row| row.name)
}

/// Dollars that an exchange cost.
#[must_use]
pub fn cost(rates: &Rates, usage: &Usage) -> f64 {
    let prompt = usage.input + usage.cache_read + usage.cache_write + usage.cache_write_1h;
    let (more_input, more_output) = factors(rates, prompt);
    let Price {
        input,
        output,
        cache_read,
        cache_write,
    } = rates.price;
    let prompt = usage.input as f64 * input
        + usage.cache_read as f64 * cache_read
        + usage.cache_write as f64 * cache_write
        + usage.cache_write_1h as f64 * cache_write * HOUR_OVER_FIVE_MINUTES;
    (prompt * more_input + usage.output as f64 * output * more_output) / 1e6
}

/// Dollars that a request may cost at most: nothing read from a cache, all of it written to one
/// (for an hour, where that is asked for), and the longest reply.
#[must_use]
pub fn worst_case(rates: &Rates, prompt_tokens: u64, max_output: u64, hour: bool) -> f64 {
    let (more_input, more_output) = factors(rates, prompt_tokens);
    let write = rates.price.cache_write * if hour { HOUR_OVER_FIVE_MINUTES } else { 1.0 };
    let dearest = rates.price.input.max(write).max(rates.price.cache_read);
    (prompt_tokens as f64 * dearest * more_input
        + max_output as f64 * rates.price.output * more_output)
        / 1e6
}

/// The longest reply, in tokens, that so many dollars pay for beside the prompt.
#[must_use]
pub fn affordable(rates: &Rates, prompt_tokens: u64, hour: bool, usd: f64) -> u64 {
    let (_, more_output) = factors(rates, prompt_tokens);
    let left = usd - worst_case(rates, prompt_tokens, 0, hour);
    let each = rates.price.output * more_output / 1e6;
    if each <= 0.0 {
        return u64::MAX;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and a cast saturates"
    )]
    let tokens = (left / each).max(0.0) as u64;
    tokens
}

fn factors(rates: &Rates, prompt: u64) -> (f64, f64) {
    match rates.surcharge {
        Some(surcharge) if prompt > surcharge.above => (surcharge.input, surcharge.output),
        _ => (1.0, 1.0),
    }
}

/// The name before a snapshot's date, where there is one.
fn undated(model: &str) -> Option<&str> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let at = |back: usize| {
        let cut = model.len().checked_sub(back)?;
        Some((model.get(..cut)?, model.get(cut..)?.strip_prefix('-')?))
    };
    let compact = at(9).filter(|(_, date)| digits(date));
    let dashed = at(11).filter(|(_, date)| {
        let bytes = date.as_bytes();
        bytes[4] == b'-' && bytes[7] == b'-' && digits(&date.replace('-', ""))
    });
    compact.or(dashed).map(|(name, _)| name)
}

const fn row(
    name: &'static str,
    provider: &'static str,
    window: (u64, u64),
    price: [f64; 4],
    surcharge: Option<Surcharge>,
) -> BuiltinModel {
    let [input, output, cache_read, cache_write] = price;
    BuiltinModel {
        name,
        provider,
        context: window.0,
        max_output: window.1,
        rates: Rates {
            price: Price {
                input,
                output,
                cache_read,
                cache_write,
            },
            surcharge,
        },
    }
}

const fn claude(name: &'static str, price: [f64; 4]) -> BuiltinModel {
    row(name, "anthropic", (1_000_000, 128_000), price, None)
}

const fn gpt(name: &'static str, price: [f64; 4]) -> BuiltinModel {
    row(name, "openai", (1_050_000, 128_000), price, Some(LONG_GPT))
}

/// OpenAI: above 272k prompt tokens the whole request costs more.
const LONG_GPT: Surcharge = Surcharge {
    above: 272_000,
    input: 2.0,
    output: 1.5,
};
/// Claude Haiku 5.5: above 100k prompt tokens, 0.50 and 2.50 in place of 0.10 and 0.50.
const LONG_HAIKU: Surcharge = Surcharge {
    above: 100_000,
    input: 5.0,
    output: 5.0,
};

/// Dollars per million tokens: input, output, cache read, cache write (five minutes). Sources:
/// Anthropic's pricing page (platform.claude.com/docs, about-claude/pricing) and OpenAI's model
/// pages (developers.openai.com/api/docs/models). Cache prices of gpt-6.2-astra are not published
/// in full; they are put at the family's usual ratios.
const TABLE: [BuiltinModel; 20] = [
    claude("claude-fable-5-2", [8.0, 40.0, 0.20, 10.0]),
    claude("claude-fable-5-1", [10.0, 50.0, 0.25, 12.5]),
    claude("claude-opus-5-5", [4.0, 20.0, 0.20, 5.0]),
    claude("claude-sonnet-5-5", [2.0, 10.0, 0.10, 2.5]),
    row(
        "claude-haiku-5-5",
        "anthropic",
        (1_000_000, 128_000),
        [0.10, 0.50, 0.01, 0.125],
        Some(LONG_HAIKU),
    ),
    claude("claude-opus-5", [5.0, 25.0, 0.50, 6.25]),
    claude("claude-opus-4-8", [5.0, 25.0, 0.50, 6.25]),
    claude("claude-opus-4-7", [5.0, 25.0, 0.50, 6.25]),
    claude("claude-opus-4-6", [5.0, 25.0, 0.50, 6.25]),
    // Launched with the smaller window; the smaller figure only compacts earlier.
    row(
        "claude-opus-4-5",
        "anthropic",
        (200_000, 64_000),
        [5.0, 25.0, 0.50, 6.25],
        None,
    ),
    row(
        "claude-haiku-4-5",
        "anthropic",
        (200_000, 64_000),
        [1.0, 5.0, 0.10, 1.25],
        None,
    ),
    gpt("gpt-6.2-astra", [8.0, 40.0, 0.40, 10.0]),
    gpt("gpt-6.2-sol", [2.0, 10.0, 0.10, 2.5]),
    gpt("gpt-6.1-sol", [2.0, 10.0, 0.10, 2.5]),
    gpt("gpt-6-astra", [10.0, 50.0, 1.00, 12.5]),
    gpt("gpt-6-sol", [2.0, 10.0, 0.20, 2.5]),
    gpt("gpt-6-luna", [0.10, 0.50, 0.01, 0.125]),
    gpt("gpt-5.6-sol", [4.0, 20.0, 0.40, 5.0]),
    gpt("gpt-5.6-terra", [2.0, 12.0, 0.20, 2.5]),
    gpt("gpt-5.6-luna", [0.20, 1.2, 0.02, 0.25]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn dollars(model: &str, usage: Usage) -> f64 {
        cost(&builtin(model).unwrap().rates, &usage)
    }

    #[test]
    fn an_exchange_costs_what_the_price_page_says() {
        let usage = Usage {
            input: 1_000,
            output: 2_000,
            cache_read: 90_000,
            cache_write: 3_000,
            cache_write_1h: 1_000,
        };
        let want = (4.0 + 40.0 + 18.0 + 15.0 + 8.0) / 1e3;
        assert!((dollars("claude-opus-5-5", usage) - want).abs() < 1e-12);
    }

    #[test]
    fn a_long_prompt_costs_more_from_its_first_token_and_cached_tokens_make_it_long() {
        let short = Usage {
            input: 2_000,
            cache_read: 270_000,
            output: 1_000,
            ..Usage::default()
        };
        let long = Usage {
            input: 2_001,
            ..short
        };
        assert!((dollars("gpt-6.2-sol", short) - 0.041).abs() < 1e-12);
        assert!((dollars("gpt-6.2-sol", long) - (2.0 * 0.031_002 + 1.5 * 0.01)).abs() < 1e-12);
        let haiku = Usage {
            input: 100_001,
            output: 10,
            ..Usage::default()
        };
        assert!((dollars("claude-haiku-5-5", haiku) - (0.050_000_5 + 0.000_025)).abs() < 1e-12);
    }

    #[test]
    fn no_exchange_costs_more_than_its_worst_case() {
        for name in names() {
            let rates = builtin(name).unwrap().rates;
            for prompt in [10, 99_999, 100_001, 272_001, 900_000] {
                let most = worst_case(&rates, prompt, 500, false);
                for usage in [
                    Usage {
                        input: prompt,
                        output: 500,
                        ..Usage::default()
                    },
                    Usage {
                        cache_write: prompt,
                        output: 500,
                        ..Usage::default()
                    },
                    Usage {
                        cache_read: prompt,
                        output: 500,
                        ..Usage::default()
                    },
                ] {
                    assert!(cost(&rates, &usage) <= most + 1e-12, "{name} {usage:?}");
                }
            }
        }
    }

    #[test]
    fn names_are_unique_and_snapshots_are_their_models() {
        let mut all: Vec<_> = names().collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), TABLE.len());
        for (asked, found) in [
            ("claude-haiku-4-5-20251001", Some("claude-haiku-4-5")),
            ("gpt-6.2-sol-2026-11-17", Some("gpt-6.2-sol")),
            ("claude-opus-5-5", Some("claude-opus-5-5")),
            ("claude-opus-5-55", None),
            ("é-20251001", None),
            ("ü2345678é", None),
            ("", None),
        ] {
            assert_eq!(builtin(asked).map(|model| model.name), found, "{asked}");
        }
    }
}
