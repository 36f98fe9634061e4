//! What models cost.

use std::collections::BTreeMap;

use orchestrator_core::port::plugin::Spending;
use serde::Deserialize;

use super::answer::Usage;

/// What a model costs, in US dollars for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// For what is sent.
    pub input: f64,
    /// For what comes back.
    pub output: f64,
    /// For that part of what is sent which the server had kept from an earlier request; as `input` where it is not given.
    #[serde(default)]
    pub cached_input: Option<f64>,
}

/// A table of prices, by model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prices(BTreeMap<String, Price>);

impl Price {
    /// What is wrong with it, as a fragment for a message.
    pub(super) fn problem(&self) -> Option<String> {
        let parts =
            [("input", Some(self.input)), ("output", Some(self.output)), ("cached_input", self.cached_input)];
        let wrong =
            parts.into_iter().find(|(_, price)| !price.is_none_or(|price| (0.0..=1e9).contains(&price)));
        wrong.map(|(name, _)| format!("`{name}` is not a price from 0 to 1,000,000,000"))
    }

    /// What that costs, in millionths of a dollar, rounded up: a dollar for a million tokens is a millionth for one.
    pub(super) fn of(&self, usage: &Usage) -> u64 {
        let cached = usage.cached_input_tokens.min(usage.input_tokens);
        let fresh = (usage.input_tokens - cached) as f64 * self.input;
        let cached = cached as f64 * self.cached_input.unwrap_or(self.input);
        // A float that is too large becomes the largest integer.
        (fresh + cached + usage.output_tokens as f64 * self.output).ceil() as u64
    }

    /// The most that so many tokens cost, in millionths of a dollar.
    fn most(&self, input: u64, output: u64) -> u64 {
        let dearest = self.cached_input.map_or(self.input, |cached| cached.max(self.input));
        Self { input: dearest, output: self.output, cached_input: None }.of(&Usage::counted(input, 0, output))
    }
}

impl Prices {
    /// Reads a table: YAML, a mapping of models to prices. A name that ends with `*` is that of all models which begin so; the
    /// longest that fits counts.
    ///
    /// # Errors
    /// What is wrong, with its line where there is one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let prices: BTreeMap<String, Price> =
            serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        match prices.iter().find_map(|(model, price)| Some((model, price.problem()?))) {
            Some((model, problem)) => Err(format!("`{model}`: {problem}")),
            None => Ok(Self(prices)),
        }
    }

    /// The price of a model.
    #[must_use]
    pub fn of(&self, model: &str) -> Option<Price> {
        if let Some(price) = self.0.get(model) {
            return Some(*price);
        }
        let fits = |name: &str| name.strip_suffix('*').is_some_and(|begin| model.starts_with(begin));
        let fitting = self.0.iter().filter(|(name, _)| fits(name));
        fitting.max_by_key(|(name, _)| name.len()).map(|(_, price)| *price)
    }
}

/// The most that a model is sent and gives back, over all the questions that one attempt asks it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    /// How many bytes the first question has. No token is shorter than one byte.
    pub(super) bytes: u64,
    /// How many questions there may be.
    pub(super) questions: u32,
    /// The longest answer, in tokens.
    pub(super) max_tokens: Option<u64>,
}

/// What servers add to a question: the marks between messages, and the words by which tools are explained.
const ADDED: u64 = 2_048;

/// The longest complaint about an answer, in bytes; it goes with the next question.
pub(super) const COMPLAINT_MAX: usize = 4_096;

impl Bound {
    /// What that comes to.
    pub(super) fn spending(&self, price: Option<Price>) -> Spending {
        let Some(answer) = self.max_tokens else { return Spending::UNBOUNDED };
        let questions = u64::from(self.questions);
        let first = self.bytes.saturating_add(ADDED);
        // Each question repeats what was asked and answered before.
        let grown =
            answer.saturating_add(COMPLAINT_MAX as u64).saturating_mul(questions * (questions - 1) / 2);
        let input = first.saturating_mul(questions).saturating_add(grown);
        let output = answer.saturating_mul(questions);
        Spending {
            tokens: Some(input.saturating_add(output)),
            micro_usd: price.map(|price| price.most(input, output)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_names_models_and_families() {
        let table = "m: { input: 1, output: 2 }\nm-*: { input: 3, output: 4, cached_input: 0.5 }\n\"m-9*\": { input: 5, output: 6 }\n";
        let prices = Prices::parse(table).unwrap();
        for (model, input) in [("m", Some(1.0)), ("m-1", Some(3.0)), ("m-99", Some(5.0)), ("n", None)] {
            assert_eq!(prices.of(model).map(|price| price.input), input, "{model}");
        }
        for (table, expected) in [
            ("m: { input: 1 }", "output"),
            ("m: { input: 1, output: -2 }", "`m`: `output` is not a price"),
            ("m: { input: .nan, output: 2 }", "`m`: `input` is not a price"),
            ("m: { input: 1, output: 2, per: 3 }", "per"),
            ("- 1", ""),
        ] {
            let problem = Prices::parse(table).unwrap_err();
            assert!(problem.contains(expected), "{table}: {problem}");
        }
    }

    #[test]
    fn what_was_kept_is_cheaper() {
        let price = Price { input: 2.0, output: 10.0, cached_input: Some(0.2) };
        assert_eq!(price.of(&Usage::counted(1_000, 0, 100)), 3_000);
        assert_eq!(price.of(&Usage::counted(1_000, 500, 100)), 2_100);
        assert_eq!(price.of(&Usage::counted(1, 0, 0)), 2);
        assert_eq!(Price { cached_input: None, ..price }.of(&Usage::counted(1_000, 500, 100)), 3_000);
        assert_eq!(price.of(&Usage::counted(u64::MAX, 0, u64::MAX)), u64::MAX);
    }

    #[test]
    fn the_bound_grows_with_the_questions() {
        let price = Price { input: 1.0, output: 1.0, cached_input: None };
        let spent = |questions| Bound { bytes: 100, questions, max_tokens: Some(50) }.spending(Some(price));
        assert_eq!(spent(1).tokens, Some(100 + ADDED + 50));
        assert_eq!(spent(1).micro_usd, spent(1).tokens);
        assert_eq!(spent(2).tokens, Some(2 * (100 + ADDED + 50) + 50 + 4_096));
        assert_eq!(
            Bound { bytes: 1, questions: 1, max_tokens: None }.spending(Some(price)),
            Spending::UNBOUNDED
        );
    }
}
