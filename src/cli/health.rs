//! `health`: checks whether a running service is ready.

use std::time::Duration;

use anyhow::Context as _;

use super::args::Global;
use super::http;
use super::output::{self, Failure};
use super::runtime::block_on;
use super::source::Source;
use crate::reload::Files;

pub(super) fn health(global: &Global, url: Option<String>) -> Result<(), Failure> {
    let url = match url {
        Some(url) => url,
        None => {
            let source = Source::of(global, &[]);
            let loaded = source.read(&mut Files::new(), None).map_err(|faults| source.failure(&faults))?;
            let admin = &loaded.config.serve.admin;
            let host = match admin.host.text().as_str() {
                "0.0.0.0" => "127.0.0.1".to_owned(),
                "::" => "[::1]".to_owned(),
                host if host.contains(':') => format!("[{host}]"),
                host => host.to_owned(),
            };
            format!("http://{host}:{}/health/ready", admin.port)
        }
    };
    let body = block_on(async move {
        let client = http::client(&url)?;
        let response = client
            .get(&url)
            .timeout(Duration::from_secs(2))
            .send()
            .await
            .with_context(|| format!("no response from {url}"))?;
        let status = response.status();
        let body = response.text().await.unwrap_or_default();
        anyhow::ensure!(status.is_success(), "expected 200 from {url}, found {status}: {}", body.trim());
        Ok(body)
    })?;
    degraded_conditions(&body).iter().for_each(|line| output::note(line));
    if global.json { output::line("{\"ready\":true}") } else { output::line("ready") }
}

/// Returns the degraded conditions in a readiness document, one line per fault.
fn degraded_conditions(document: &str) -> Vec<String> {
    let document: serde_json::Map<String, serde_json::Value> = serde_json::from_str(document).unwrap_or_default();
    let lines = |(name, concern): (&String, &serde_json::Value)| {
        let since = concern["since"].as_str()?;
        let faults = concern["faults"].as_array()?.iter().filter_map(serde_json::Value::as_str);
        Some(faults.map(|fault| format!("{name}, since {since}: {fault}")).collect::<Vec<_>>())
    };
    document.iter().filter_map(lines).flatten().collect()
}
