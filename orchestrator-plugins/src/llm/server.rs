//! Who is asked: the model that the author names, and those that take its place.

use std::env;

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::Spending;

use super::price::{Bound, Price, Prices};
use super::wire::Api;
use super::with::{Config, Fallback, MOCK};
use crate::config::invalid;
use crate::outbound;

/// A model, and where it is. Without `Debug`, for the key is secret.
pub(super) struct Server {
    pub(super) model: String,
    pub(super) api: Api,
    /// `None` for the mock.
    pub(super) base_url: Option<String>,
    pub(super) key: Option<String>,
    /// The variable that holds the key, and the key of the config that names it.
    key_from: Option<(String, String)>,
    pub(super) max_tokens: Option<u64>,
    pub(super) price: Option<Price>,
}

impl Server {
    /// All that a config names, in the order in which they are asked.
    ///
    /// # Errors
    /// Class `invalid`, naming the key: a model without a server, a variable that is not set.
    pub(super) fn all(with: &Config, prices: &Prices) -> Result<Vec<Self>, StepError> {
        let first = Self::first(with, prices)?;
        let mut all = vec![first];
        for (place, fallback) in with.fallbacks.iter().enumerate() {
            let server = all[0].fallback(fallback, &format!("fallbacks[{place}]."), prices)?;
            all.push(server);
        }
        Ok(all)
    }

    fn first(with: &Config, prices: &Prices) -> Result<Self, StepError> {
        let model = with.model.clone().unwrap_or_else(|| MOCK.to_owned());
        let base_url = match (&with.base_url, with.api) {
            _ if model == MOCK => None,
            (Some(url), _) => Some(url.clone()),
            (None, Some(api)) => Some(api.home().to_owned()),
            (None, None) => {
                let message = format!("`base_url`: the model `{model}` needs one; only `{MOCK}` is built in");
                return Err(invalid(message));
            }
        };
        let (key, key_from) = match base_url {
            Some(_) => key(with.api_key.as_deref(), with.api_key_env.as_deref(), "")?,
            None => (None, None),
        };
        let price = priced(with.price, "", &model, prices)?;
        let (api, max_tokens) = (with.api.unwrap_or_default(), with.max_tokens);
        Ok(Self { model, api, base_url, key, key_from, max_tokens, price })
    }

    /// What takes its place. On another server nothing of the first one holds: its key least of all.
    fn fallback(&self, given: &Fallback, at: &str, prices: &Prices) -> Result<Self, StepError> {
        let price = priced(given.price, at, &given.model, prices)?;
        let max_tokens = given.max_tokens.or(self.max_tokens);
        let model = given.model.clone();
        if model == MOCK {
            let api = Api::default();
            return Ok(Self { model, api, base_url: None, key: None, key_from: None, max_tokens, price });
        }
        let (key, key_from) = key(given.api_key.as_deref(), given.api_key_env.as_deref(), at)?;
        let here = |api, url: String| (api, Some(url), key.clone(), key_from.clone());
        let (api, base_url, key, key_from) = match (&given.base_url, given.api, &self.base_url) {
            (Some(url), api, _) => here(api.unwrap_or_default(), url.clone()),
            (None, Some(api), _) if api != self.api || self.base_url.is_none() => {
                here(api, api.home().to_owned())
            }
            (None, _, Some(url)) if key.is_some() || key_from.is_some() => here(self.api, url.clone()),
            (None, _, Some(url)) => (self.api, Some(url.clone()), self.key.clone(), self.key_from.clone()),
            (None, _, None) => {
                let message =
                    format!("`{at}base_url`: the model `{model}` needs one; only `{MOCK}` is built in");
                return Err(invalid(message));
            }
        };
        Ok(Self { model, api, base_url, key, key_from, max_tokens, price })
    }

    /// Reads the key, where a variable holds it.
    ///
    /// # Errors
    /// Class `invalid`, naming the variable.
    pub(super) fn unlock(&mut self) -> Result<(), StepError> {
        let Some((key, name)) = &self.key_from else { return Ok(()) };
        let wrong = |why: &str| {
            Err(invalid(format!("`{key}`: the variable {} {why}", outbound::shortened(name, 60))))
        };
        match env::var(name) {
            Ok(found) if !found.trim().is_empty() => self.key = Some(found.trim().to_owned()),
            Ok(_) => return wrong("is empty"),
            Err(_) => return wrong("is not set in this process's environment"),
        }
        Ok(())
    }

    /// The most that asking it `questions` times can spend, where the first question has so many bytes.
    pub(super) fn spends(&self, bytes: u64, questions: u32) -> Spending {
        let max_tokens = self.max_tokens.or(self.base_url.as_ref().and(self.api.limit()));
        let spent = Bound { bytes, questions, max_tokens }.spending(self.price);
        match self.base_url {
            Some(_) => spent,
            // It costs nothing, unless the author says that it does.
            None => Spending { micro_usd: spent.micro_usd.or(Some(0)), ..spent },
        }
    }
}

fn priced(given: Option<Price>, at: &str, model: &str, prices: &Prices) -> Result<Option<Price>, StepError> {
    match given.as_ref().and_then(Price::problem) {
        Some(problem) => Err(invalid(format!("`{at}price`: {problem}"))),
        None => Ok(given.or_else(|| prices.of(model))),
    }
}

/// A key that is given, or where it is.
type KeyPlace = (Option<String>, Option<(String, String)>);

fn key(given: Option<&str>, variable: Option<&str>, at: &str) -> Result<KeyPlace, StepError> {
    match (given, variable) {
        (Some(_), Some(_)) => Err(invalid(format!("`{at}api_key` and `{at}api_key_env` exclude each other"))),
        (given, variable) => {
            let from = variable.map(|name| (format!("{at}api_key_env"), name.to_owned()));
            Ok((given.map(|key| key.trim().to_owned()), from))
        }
    }
}
