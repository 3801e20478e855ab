//! Answers that have no end: read line by line.

use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::time::timeout;

use super::PATIENCE;

/// A response that is being read.
pub struct Stream {
    response: reqwest::Response,
    read: Vec<u8>,
}

impl Stream {
    pub(super) fn new(response: reqwest::Response) -> Self {
        Self { response, read: Vec::new() }
    }

    /// Status code.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// Headers.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next line without its end; none when the answer is over.
    pub async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let rest = self.read.split_off(end + 1);
                let line = std::mem::replace(&mut self.read, rest);
                return Some(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("more data or the end of the stream");
            // A connection that is cut ends the answer, too.
            self.read.extend_from_slice(&chunk.ok().flatten()?);
        }
    }

    /// The next line as JSON; none when the answer is over.
    pub async fn json(&mut self) -> Option<Value> {
        let line = self.line().await?;
        Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}")))
    }

    /// The fields of the next event (Server-Sent Events), without comments; none when the answer is over.
    pub async fn event(&mut self) -> Option<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            let line = self.line().await?;
            match line.split_once(": ") {
                _ if line.is_empty() && !fields.is_empty() => return Some(fields),
                Some((name, value)) => fields.push((name.to_owned(), value.to_owned())),
                None => {}
            }
        }
    }
}
