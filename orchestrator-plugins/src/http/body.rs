//! What a request carries.
//!
//! A body is in memory before it is sent, so that a redirect can repeat it, and the same config gives the same bytes on every
//! attempt: the boundary of a multipart body is made of what it separates.

use std::path::Path;

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::Context;
use orchestrator_core::value::Digest;
use reqwest::Url;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::plugin::Config;
use super::request::pairs;
use crate::below;
use crate::config::{self, invalid};

/// The longest body: 64 MiB. It is in memory as a whole.
const BODY_MAX: u64 = 64 << 20;

/// The keys that each give the body.
pub(super) const KEYS: [&str; 5] = ["json", "form", "multipart", "body", "body_file"];

/// A body, and what it is if the author does not say.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) content_type: Option<HeaderValue>,
    pub(super) bytes: Vec<u8>,
}

impl Body {
    fn of(content_type: &'static str, bytes: Vec<u8>) -> Self {
        Self { content_type: Some(HeaderValue::from_static(content_type)), bytes }
    }
}

/// The body that a config gives.
///
/// # Errors
/// Class `invalid`, naming the key: more than one body, a value of another kind, a file that cannot be read.
pub(super) async fn body(context: &Context, with: &Config) -> Result<Option<Body>, StepError> {
    let given = [
        // Also null: `json: null` sends it.
        with.json.is_some(),
        with.form.is_some(),
        with.multipart.is_some(),
        with.body.is_some(),
        with.body_file.is_some(),
    ];
    let mut given = KEYS.iter().zip(given).filter(|(_, given)| *given).map(|(key, _)| *key);
    if let (Some(one), Some(other)) = (given.next(), given.next()) {
        return Err(invalid(format!("`{one}` and `{other}` exclude each other")));
    }
    let body = if let Some(json) = &with.json {
        Body::of("application/json", json.to_string().into_bytes())
    } else if let Some(form) = &with.form {
        Body::of("application/x-www-form-urlencoded", urlencoded(form)?)
    } else if let Some(parts) = &with.multipart {
        multipart(&context.workdir, parts).await?
    } else if let Some(body) = &with.body {
        Body { content_type: None, bytes: config::text(body).into_bytes() }
    } else if let Some(path) = &with.body_file {
        let bytes = below::read(&context.workdir, path, "body_file", BODY_MAX).await?;
        Body::of("application/octet-stream", bytes)
    } else {
        return Ok(None);
    };
    if body.bytes.len() as u64 > BODY_MAX {
        return Err(invalid(format!("the body is longer than {BODY_MAX} bytes, the longest that is sent")));
    }
    Ok(Some(body))
}

fn urlencoded(form: &Map<String, Value>) -> Result<Vec<u8>, StepError> {
    let pairs = pairs("form", form)?;
    // The encoding of forms is that of queries.
    let mut url = Url::parse("http://form/").map_err(|error| invalid(format!("`form`: {error}")))?;
    url.query_pairs_mut().extend_pairs(pairs);
    Ok(url.query().unwrap_or_default().as_bytes().to_vec())
}

/// One part that is more than a text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    /// A file below the folder of the run.
    #[serde(default)]
    file: Option<String>,
    /// A text, in place of a file.
    #[serde(default)]
    text: Option<String>,
    /// What the receiver is told that the file is called; without it, the last part of its path.
    #[serde(default)]
    filename: Option<String>,
    /// What it is; without it, `application/octet-stream` for a file.
    #[serde(default, rename = "type")]
    content_type: Option<String>,
}

async fn multipart(workdir: &Path, parts: &Map<String, Value>) -> Result<Body, StepError> {
    let mut made = Vec::new();
    for (name, value) in parts {
        let items = match value {
            Value::Array(items) => items.as_slice(),
            Value::Null => &[],
            one => std::slice::from_ref(one),
        };
        for item in items {
            made.push(part(workdir, name, item).await?);
        }
    }
    let separated: Vec<u8> =
        made.iter().flat_map(|(head, content)| [head.as_bytes(), content].concat()).collect();
    let digest = Digest::of(&separated);
    let mut boundary = "orchestrator-".to_owned();
    boundary.extend(digest.as_bytes().iter().take(16).map(|byte| format!("{byte:02x}")));
    let holds = |(_, content): &(String, Vec<u8>), boundary: &str| {
        content.windows(boundary.len()).any(|window| window == boundary.as_bytes())
    };
    while made.iter().any(|part| holds(part, &boundary)) {
        boundary.push('-');
    }
    let mut bytes = Vec::new();
    for (head, content) in &made {
        bytes.extend_from_slice(format!("--{boundary}\r\n{head}\r\n").as_bytes());
        bytes.extend_from_slice(content);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let kind = HeaderValue::from_str(&format!("multipart/form-data; boundary={boundary}"));
    let kind = kind.map_err(|error| invalid(format!("`multipart`: {error}")))?;
    Ok(Body { content_type: Some(kind), bytes })
}

/// The head and the content of a part.
async fn part(workdir: &Path, name: &str, value: &Value) -> Result<(String, Vec<u8>), StepError> {
    let key = format!("multipart.{name}");
    let disposition = format!("Content-Disposition: form-data; name=\"{}\"", quoted(name));
    if let Some(text) = config::scalar(value) {
        return Ok((format!("{disposition}\r\n"), text.into_bytes()));
    }
    let part: Part = serde_json::from_value(value.clone())
        .map_err(|error| invalid(format!("`{key}` is neither a text nor a part: {error}")))?;
    let (content, filename, kind) = match (part.file, part.text) {
        (Some(path), None) => {
            let own = Path::new(&path).file_name().map(|name| name.to_string_lossy().into_owned());
            let kind = part.content_type.or_else(|| Some("application/octet-stream".to_owned()));
            {
                let content = below::read(workdir, &path, &format!("{key}.file"), BODY_MAX).await?;
                (content, part.filename.or(own), kind)
            }
        }
        (None, Some(text)) => (text.into_bytes(), part.filename, part.content_type),
        _ => return Err(invalid(format!("`{key}`: exactly one of `file` and `text` is needed"))),
    };
    let mut head = disposition;
    if let Some(filename) = filename {
        head.push_str(&format!("; filename=\"{}\"", quoted(&filename)));
    }
    head.push_str("\r\n");
    if let Some(kind) = kind {
        if HeaderValue::from_str(&kind).is_err() {
            return Err(invalid(format!("`{key}.type` holds a line end or another control character")));
        }
        head.push_str(&format!("Content-Type: {kind}\r\n"));
    }
    Ok((head, content))
}

/// A name inside of quotes, as browsers write it (WHATWG HTML, multipart/form-data encoding).
fn quoted(name: &str) -> String {
    name.replace('\r', "%0D").replace('\n', "%0A").replace('"', "%22")
}
