//! One request as plain data: what can be sent again after a challenge, and shown in an error.

use crate::error::IsapiError;
use crate::lists::InconsistentList;
use crate::parse::Malformed;
use bytes::Bytes;
use domain::id::DeviceIndex;
use reqwest::{Method, Url};
use serde_json::Value;
use std::fmt;

/// A request to the gateway. Its `Display` is method and path: no query, no body.
pub(crate) struct Call {
    pub(crate) method: Method,
    path: &'static str,
    /// An opaque name that becomes the last part of the path.
    item: Option<String>,
    device: Option<DeviceIndex>,
    pub(crate) body: Bytes,
    /// Whether the body holds a secret, which the gateway's free words might then repeat.
    pub(crate) secret: bool,
}

impl Call {
    pub(crate) fn get(path: &'static str) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn put(path: &'static str) -> Self {
        Self::new(Method::PUT, path)
    }

    pub(crate) fn post(path: &'static str) -> Self {
        Self::new(Method::POST, path)
    }

    pub(crate) fn delete(path: &'static str, item: impl Into<String>) -> Self {
        Self {
            item: Some(item.into()),
            ..Self::new(Method::DELETE, path)
        }
    }

    fn new(method: Method, path: &'static str) -> Self {
        Self {
            method,
            path,
            item: None,
            device: None,
            body: Bytes::new(),
            secret: false,
        }
    }

    /// Addresses a device behind the gateway.
    pub(crate) fn device(self, device: &DeviceIndex) -> Self {
        Self {
            device: Some(device.clone()),
            ..self
        }
    }

    /// Sends this as its body.
    pub(crate) fn json(self, body: &Value) -> Self {
        Self {
            body: body.to_string().into(),
            ..self
        }
    }

    /// Marks the body as holding a secret.
    pub(crate) fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// Where it goes, under a base URL that may have a path of its own.
    pub(crate) fn url(&self, base: &Url) -> Url {
        let mut url = base.clone();
        url.set_path(&format!("{}{}", base.path().trim_end_matches('/'), self.path));
        if let (Some(item), Ok(mut segments)) = (&self.item, url.path_segments_mut()) {
            segments.push(item);
        }
        url.query_pairs_mut().append_pair("format", "json");
        if let Some(device) = &self.device {
            url.query_pairs_mut().append_pair("devIndex", device.as_str());
        }
        url
    }

    pub(crate) fn malformed(&self, source: Malformed) -> IsapiError {
        IsapiError::Malformed {
            request: self.to_string(),
            source,
        }
    }

    pub(crate) fn inconsistent(&self, source: InconsistentList) -> IsapiError {
        IsapiError::Inconsistent {
            request: self.to_string(),
            source,
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}
