//! Which statuses an author expects: `201`, `2xx`, `200-204`, or a list of such.

use serde_json::Value;

/// Ranges of statuses, both ends included.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expected(Vec<(u16, u16)>);

impl Default for Expected {
    fn default() -> Self {
        Self(vec![(200, 299)])
    }
}

impl Expected {
    /// Reads `expect`.
    ///
    /// # Errors
    /// What is wrong, as a fragment for a message.
    pub(super) fn read(value: Option<&Value>) -> Result<Self, String> {
        match value {
            None | Some(Value::Null) => Ok(Self::default()),
            Some(Value::Array(items)) if items.is_empty() => {
                Err("the list is empty: no status could be right".to_owned())
            }
            Some(Value::Array(items)) => items.iter().map(range).collect::<Result<_, _>>().map(Self),
            Some(one) => Ok(Self(vec![range(one)?])),
        }
    }

    /// Whether `status` is one of them.
    pub(super) fn covers(&self, status: u16) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }
}

fn range(value: &Value) -> Result<(u16, u16), String> {
    let text = crate::config::text(value);
    let status = |text: &str| text.trim().parse::<u16>().ok().filter(|status| (100..=599).contains(status));
    let class = || {
        let hundreds = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX"))?;
        let first = status(&format!("{hundreds}00"))?;
        Some((first, first + 99))
    };
    let span = || {
        let (first, last) = text.split_once('-')?;
        Some((status(first)?, status(last)?)).filter(|(first, last)| first <= last)
    };
    status(&text)
        .map(|status| (status, status))
        .or_else(class)
        .or_else(span)
        .ok_or_else(|| format!("`{text}` is not a status such as 201, 2xx or 200-204"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn statuses_are_numbers_classes_ranges_and_lists_of_them() {
        let covers = |value: Value, status| Expected::read(Some(&value)).unwrap().covers(status);
        assert!(covers(json!(201), 201) && !covers(json!(201), 200));
        assert!(covers(json!("404"), 404));
        assert!(covers(json!("4xx"), 400) && covers(json!("4XX"), 499) && !covers(json!("4xx"), 500));
        assert!(covers(json!("200-204"), 204) && !covers(json!("200-204"), 205));
        assert!(covers(json!([200, "5xx"]), 503) && !covers(json!([200, "5xx"]), 404));
        assert!(covers(json!(null), 299) && !covers(json!(null), 300));
    }

    #[test]
    fn anything_else_is_refused() {
        for value in [
            json!(99),
            json!(600),
            json!("ok"),
            json!("xx"),
            json!("9xx"),
            json!("204-200"),
            json!([]),
            json!([true]),
            json!({}),
        ] {
            assert!(Expected::read(Some(&value)).is_err(), "{value}");
        }
    }
}
