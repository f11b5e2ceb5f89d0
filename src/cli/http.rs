//! The few HTTP requests that the command line makes.

use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::runtime;

/// Creates a client for requests to `url`. It follows no redirects and uses no proxy. Only https needs root certificates,
/// because small containers have none.
pub(super) fn client(url: &str) -> anyhow::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(10));
    if url.starts_with("http://") {
        builder = builder.tls_certs_only([]);
    }
    builder.build().context("cannot load the system's root certificates")
}

/// Returns the body at `url`, at most `limit` bytes; blocks until it has arrived.
pub(super) fn download(url: &str, limit: usize) -> anyhow::Result<Vec<u8>> {
    runtime::block_on(async { fetch(&client(url)?, url, limit).await })
}

/// Returns the body at `url`, at most `limit` bytes.
pub(super) async fn fetch(client: &reqwest::Client, url: &str, limit: usize) -> anyhow::Result<Vec<u8>> {
    let mut answer = client
        .get(url)
        .send()
        .await
        .with_context(|| format!("cannot fetch {url}; check the URL and that the server runs"))?;
    ensure!(answer.status() == 200, "cannot fetch {url}: expected status 200, found {}", answer.status());
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.with_context(|| format!("cannot read the response from {url}"))? {
        ensure!(body.len() + chunk.len() <= limit, "cannot fetch {url}: expected at most {limit} bytes, found more");
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
