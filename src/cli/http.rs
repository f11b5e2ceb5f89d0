//! The few HTTP requests that the command line makes.

use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::runtime;
use crate::remote::{built_now, http_client, without_secrets};

/// Creates a client for requests to `url`, which uses no proxy.
pub(super) fn client(url: &str) -> anyhow::Result<reqwest::Client> {
    built_now(http_client(url).no_proxy().timeout(Duration::from_secs(10)), url).map_err(anyhow::Error::msg)
}

/// Returns the body at `url`, at most `limit` bytes; blocks until it has arrived.
pub(super) fn download(url: &str, limit: usize) -> anyhow::Result<Vec<u8>> {
    runtime::block_on(async { fetch(&client(url)?, url, limit).await })
}

/// Returns the body at `url`, at most `limit` bytes.
pub(super) async fn fetch(client: &reqwest::Client, url: &str, limit: usize) -> anyhow::Result<Vec<u8>> {
    let shown = without_secrets(url);
    let mut answer = client
        .get(url)
        .send()
        .await
        .map_err(reqwest::Error::without_url)
        .with_context(|| format!("cannot fetch {shown}; check the URL and that the server runs"))?;
    ensure!(answer.status() == 200, "cannot fetch {shown}: expected status 200, found {}", answer.status());
    let mut body = Vec::new();
    while let Some(chunk) = answer
        .chunk()
        .await
        .map_err(reqwest::Error::without_url)
        .with_context(|| format!("cannot read the response from {shown}"))?
    {
        ensure!(body.len() + chunk.len() <= limit, "cannot fetch {shown}: expected at most {limit} bytes, found more");
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
