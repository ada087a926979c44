//! Plug-ins of a kubeconfig that log in (Kubernetes: client-go credential plugins). The `kube`
//! crate runs them where nobody can end them; here one ends when nobody waits for it any more.

use std::process::Stdio;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use kube::config::{AuthInfo, ExecConfig};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::{Failure, short};

/// How much of what a plug-in writes is read.
const MOST_READ: u64 = 1024 * 1024;

/// The plug-in that logs a user in, unless the kubeconfig says that in another way.
pub(super) fn plug_in(user: &AuthInfo) -> Option<&ExecConfig> {
    let is_known = user.auth_provider.is_some()
        || (user.username.is_some() && user.password.is_some())
        || user.token.is_some()
        || user.token_file.is_some();
    user.exec.as_ref().filter(|_| !is_known)
}

/// What a plug-in answered.
pub(super) struct Credential {
    status: Status,
    pub(super) valid_until: Option<Timestamp>,
}

#[derive(Deserialize)]
struct ExecCredential {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<String>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

impl Credential {
    /// The user with what the plug-in answered in its stead.
    pub(super) fn replace(self, user: AuthInfo) -> Result<AuthInfo, Failure> {
        let encoded = |pem: String| BASE64_STANDARD.encode(pem);
        let logged_in = json!({
            "token": self.status.token,
            "client-certificate-data": self.status.client_certificate_data.map(encoded),
            "client-key-data": self.status.client_key_data.map(encoded),
        });
        let logged_in: AuthInfo =
            serde_json::from_value(logged_in).map_err(|_| failed("unreadable"))?;
        Ok(AuthInfo {
            token: logged_in.token,
            client_certificate_data: logged_in
                .client_certificate_data
                .or(user.client_certificate_data),
            client_key_data: logged_in.client_key_data.or(user.client_key_data),
            exec: None,
            ..user
        })
    }
}

/// Runs a plug-in. It is killed where this is given up.
pub(super) async fn run(plug_in: &ExecConfig) -> Result<Credential, Failure> {
    let command = plug_in.command.as_deref();
    let mut command = Command::new(command.ok_or_else(|| failed("it has no command"))?);
    command.args(plug_in.args.iter().flatten());
    for variable in plug_in.env.iter().flatten() {
        if let (Some(name), Some(value)) = (variable.get("name"), variable.get("value")) {
            command.env(name, value);
        }
    }
    let cluster = plug_in
        .cluster
        .as_ref()
        .filter(|_| plug_in.provide_cluster_info);
    let mut info = json!({
        "apiVersion": plug_in.api_version, "kind": "ExecCredential",
        "spec": {"interactive": false},
    });
    if let Some(cluster) = cluster {
        info["spec"]["cluster"] = json!(cluster);
    }
    let mut running = command
        .env("KUBERNETES_EXEC_INFO", info.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(&error.to_string()))?;
    let (answer, complaint) = (running.stdout.take(), running.stderr.take());
    let (answer, complaint) = tokio::join!(read(answer), read(complaint));
    let status = running.wait().await;
    let status = status.map_err(|error| failed(&error.to_string()))?;
    if !status.success() {
        let complaint = String::from_utf8_lossy(&complaint);
        return Err(failed(&format!("{status}: {}", complaint.trim())));
    }
    // What is wrong with the answer is not told: it may hold a secret.
    let answer: ExecCredential = serde_json::from_slice(&answer)
        .map_err(|_| failed("its output is not an ExecCredential"))?;
    let status = answer
        .status
        .ok_or_else(|| failed("its output has no status"))?;
    let valid_until = status.expiration_timestamp.as_deref().map(str::parse);
    let valid_until = valid_until.transpose();
    let valid_until = valid_until.map_err(|_| failed("its expirationTimestamp is not a time"))?;
    Ok(Credential {
        status,
        valid_until,
    })
}

/// What comes out of a pipe, up to a bound; the rest is thrown away.
async fn read(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut beginning = Vec::new();
    if let Some(mut pipe) = pipe {
        let mut bounded = (&mut pipe).take(MOST_READ);
        // One that breaks shows in what was read.
        let _ = bounded.read_to_end(&mut beginning).await;
        let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    }
    beginning
}

fn failed(reason: &str) -> Failure {
    Failure::Passing(short(&format!(
        "the exec plug-in of the kubeconfig failed: {reason}"
    )))
}
