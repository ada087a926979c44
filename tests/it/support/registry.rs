//! A client of the registry, which logs in, uploads blobs and pushes images.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use swr_emulator::internal::{Secret, long_term_password};
use swr_emulator::{BUILTIN_ACCESS_KEY, BUILTIN_SECRET_KEY};

use super::{Answer, Client};

/// The media type of a manifest of an image.
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The digest of some content.
pub(crate) fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content)))
}

/// A client of the registry, with or without a bearer token.
pub(crate) struct Registry {
    pub(crate) client: Client,
    pub(crate) bearer: Option<String>,
}

impl Registry {
    /// The built-in admin, with all rights to some repositories.
    pub(crate) async fn admin(client: &Client, repositories: &[&str]) -> Self {
        Self::login(client, BUILTIN_ACCESS_KEY, BUILTIN_SECRET_KEY, repositories).await
    }

    pub(crate) async fn login(client: &Client, ak: &str, sk: &str, repositories: &[&str]) -> Self {
        let mut client = client.clone();
        client.token = None;
        let scopes: Vec<_> = repositories
            .iter()
            .map(|name| format!("scope=repository:{name}:pull,push,delete"))
            .collect();
        let password = long_term_password(ak, &Secret::new(sk));
        let answer = ask_for_token(&client, Some((ak, &password)), &scopes.join("&")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let bearer = answer.json()["token"].as_str().expect("a token").to_owned();
        Self {
            client,
            bearer: Some(bearer),
        }
    }

    pub(crate) async fn anonymous(client: &Client, scope: &str) -> Self {
        let mut client = client.clone();
        client.token = None;
        let answer = ask_for_token(&client, None, scope).await;
        let bearer = answer.json()["token"].as_str().expect("a token").to_owned();
        Self {
            client,
            bearer: Some(bearer),
        }
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(bearer) = &self.bearer {
            request = request.header("Authorization", format!("Bearer {bearer}"));
        }
        self.client
            .request(request.body(body.into()).expect("legal"))
            .await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    /// Uploads a blob in one piece; its digest.
    pub(crate) async fn push_blob(&self, repository: &str, content: &[u8]) -> String {
        let digest = digest(content);
        let location = self.start(repository).await;
        let path = format!("{location}?digest={digest}");
        let answer = self.send("PUT", &path, &[], content.to_vec()).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        digest
    }

    /// Starts an upload; where it goes on.
    pub(crate) async fn start(&self, repository: &str) -> String {
        let path = format!("/v2/{repository}/blobs/uploads/");
        let answer = self.send("POST", &path, &[], "").await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        let location = answer.header("location").expect("a location").to_owned();
        assert!(
            location.starts_with(&format!("/v2/{repository}/blobs/uploads/")),
            "{location}"
        );
        location
    }

    /// Pushes an image of one layer; its digest.
    pub(crate) async fn push_image(&self, repository: &str, tag: &str, layer: &[u8]) -> String {
        self.push_blob(repository, b"{}").await;
        self.push_blob(repository, layer).await;
        let manifest = image(&[layer]);
        let path = format!("/v2/{repository}/manifests/{tag}");
        let headers = [("Content-Type", OCI_MANIFEST)];
        let answer = self.send("PUT", &path, &headers, manifest.clone()).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let digest = digest(manifest.as_bytes());
        assert_eq!(
            answer.header("docker-content-digest"),
            Some(digest.as_str())
        );
        digest
    }
}

/// Asks for a bearer token, with an access key and a password or without.
pub(crate) async fn ask_for_token(
    client: &Client,
    login: Option<(&str, &str)>,
    query: &str,
) -> Answer {
    let authorization = login.map(|(access_key, password)| {
        let login = BASE64_STANDARD.encode(format!("cn-north-4@{access_key}:{password}"));
        format!("Basic {login}")
    });
    ask_for_token_with(client, authorization, query).await
}

/// The same with the header `Authorization` as it is.
pub(crate) async fn ask_for_token_with(
    client: &Client,
    authorization: Option<String>,
    query: &str,
) -> Answer {
    let path = format!("/swr/auth/v2/registry/auth/?service=dockyard&{query}");
    let mut request = Request::get(path);
    if let Some(authorization) = authorization {
        request = request.header("Authorization", authorization);
    }
    client
        .request(request.body(Bytes::new()).expect("legal"))
        .await
}

/// What a manifest says of some content.
pub(crate) fn descriptor(content: &[u8]) -> Value {
    json!({"mediaType": "application/octet-stream", "digest": digest(content),
           "size": content.len()})
}

/// A manifest of an image with the configuration `{}` and some layers.
pub(crate) fn image(layers: &[&[u8]]) -> String {
    let layers: Vec<_> = layers.iter().map(|layer| descriptor(layer)).collect();
    json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(b"{}"),
           "layers": layers})
    .to_string()
}
