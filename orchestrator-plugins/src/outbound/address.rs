//! Addresses as authors write them and as messages show them.

#[cfg(any(feature = "http", feature = "llm"))]
use std::borrow::Cow;
use std::error::Error;

#[cfg(any(feature = "http", feature = "llm"))]
use orchestrator_core::port::secret::Mask;

use reqwest::Url;
#[cfg(feature = "http")]
use reqwest::header::HeaderName;

/// Reads `text` as an address that can be called.
///
/// # Errors
/// What is wrong, as a fragment for a message.
pub(crate) fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("`{}` is not a URL: {error}", text_shown(text)))?;
    match url.scheme() {
        "http" | "https" if url.username().is_empty() && url.password().is_none() => Ok(url),
        // Whatever stands before an `@` is easily taken for the host.
        "http" | "https" => Err("a URL holds no user and no password".to_owned()),
        other => Err(format!("`{other}` is not a scheme that can be called; use http or https")),
    }
}

/// An address as messages show it: without user, password, query and fragment, where secrets stand.
pub(crate) fn shown(url: &Url) -> String {
    text_shown(url.as_str())
}

/// As [`shown`], of an address as it was written: where a secret stands in it, stars do. An address that was read has another
/// spelling, in which the secret would not be known.
#[cfg(any(feature = "http", feature = "llm"))]
pub(crate) fn shown_masked(url: &Url, written: &str, mask: &Mask) -> String {
    match mask.text(written) {
        Cow::Borrowed(_) => shown(url),
        Cow::Owned(masked) => text_shown(&masked),
    }
}

/// As [`shown`], for a text that may hold expressions or be no address at all.
pub(crate) fn text_shown(text: &str) -> String {
    // An expression may hold `?` and `#`: look for them behind the last one only.
    let after = text.rfind("}}").map_or(0, |at| at + 2);
    let end = text[after..].find(['?', '#']).map_or(text.len(), |at| after + at);
    let text = &text[..end];
    let Some((scheme, rest)) = text.split_once("://") else { return shortened(text, 200) };
    let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let path = path.map(|path| format!("/{path}")).unwrap_or_default();
    shortened(&format!("{scheme}://{host}{path}"), 200)
}

/// The beginning of a text, on one line.
pub(crate) fn shortened(text: &str, chars: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(chars) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

/// The innermost cause of an error: the outer ones say only that something failed, and some name the whole address.
pub(crate) fn cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Headers that say where a message ends, which only the client can know.
#[cfg(feature = "http")]
pub(crate) fn is_framing(name: &HeaderName) -> bool {
    *name == reqwest::header::CONTENT_LENGTH || *name == reqwest::header::TRANSFER_ENCODING
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_what_may_be_secret() {
        for (text, expected) in [
            ("https://user:pass@host:8080/a/b?token=1#x", "https://host:8080/a/b"),
            ("https://host?token=1", "https://host"),
            ("http://a@b@c/p@q", "http://c/p@q"),
            ("${{ inputs.url }}", "${{ inputs.url }}"),
            ("${{ inputs.url ? 1 }}/x?q=1", "${{ inputs.url ? 1 }}/x"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(text_shown(text), expected);
        }
    }

    #[test]
    fn only_http_addresses_can_be_called() {
        assert!(address("http://[::1]:80/x").is_ok());
        for (text, expected) in [
            ("ftp://host/x", "`ftp` is not a scheme"),
            ("file:///etc/passwd", "`file` is not a scheme"),
            ("host/path", "is not a URL"),
            ("http://", "is not a URL"),
            ("http://user:secret@", "is not a URL"),
            ("http://user:secret@host/", "no user and no password"),
            ("http://public.example@127.0.0.1/", "no user and no password"),
        ] {
            let problem = address(text).unwrap_err();
            assert!(problem.contains(expected) && !problem.contains("secret"), "{problem}");
        }
    }
}
