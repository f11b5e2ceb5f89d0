//! Requests of object stores to this host, which use no proxy.

use std::pin::Pin;
use std::time::Duration;

use object_store::ClientOptions;
use object_store::client::{
    ClientConfigKey, HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use reqwest::Client;

use super::client::{NO_ROOT_CERTIFICATES, http_client};
use super::proxy::is_local_url;

/// Makes clients that use the proxy of the environment, but not for requests to this host.
#[derive(Clone, Copy, Debug)]
pub(super) struct LocalWithoutProxy {
    /// The time limit of a request.
    pub(super) timeout: Duration,
}

#[derive(Debug)]
struct Routes {
    /// Sends requests to this host.
    direct: Client,
    proxied: HttpClient,
}

impl HttpConnector for LocalWithoutProxy {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let proxied = ReqwestConnector::default().connect(options)?;
        let permits_http = options.get_config_value(&ClientConfigKey::AllowHttp).as_deref() == Some("true");
        let scheme = if permits_http { "http://localhost" } else { "https://localhost" };
        let direct = http_client(scheme)
            .https_only(!permits_http)
            .timeout(self.timeout)
            .build()
            .map_err(|_| object_store::Error::Generic { store: "local", source: NO_ROOT_CERTIFICATES.into() })?;
        Ok(HttpClient::new(Routes { direct, proxied }))
    }
}

impl HttpService for Routes {
    fn call<'s, 'c>(
        &'s self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>
    where
        's: 'c,
        Self: 'c,
    {
        match is_local_url(&request.uri().to_string()) {
            true => self.direct.call(request),
            false => Box::pin(self.proxied.execute(request)),
        }
    }
}
