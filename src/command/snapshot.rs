//! `swr-emulator snapshot`: the whole state of a running emulator as a file, and back from one.

use std::io::Write as _;
use std::path::PathBuf;

use bytes::Bytes;
use http::{Method, Response};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::body::Incoming;
use swr_emulator::internal::{PlacedFile, SNAPSHOT_MEDIA_TYPE, file_body};

use super::ask::{self, Target};

const PATH: &str = "/_emulator/snapshot";
/// The most bytes of a refusal that are read.
const MOST_WORDS: usize = 64 * 1024;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Save the whole state of a running emulator in FILE, with images and all secrets (mode 0600)
    Save(Transfer),
    /// Load FILE into a running emulator, in place of its whole state
    Load(Transfer),
}

#[derive(Debug, clap::Args)]
struct Transfer {
    #[command(flatten)]
    target: Target,
    /// The snapshot
    file: PathBuf,
}

/// Does what was asked for.
pub(crate) async fn run(arguments: &Arguments) -> Result<(), String> {
    match &arguments.command {
        Command::Save(transfer) => transfer.save().await,
        Command::Load(transfer) => transfer.load().await,
    }
}

impl Transfer {
    /// Writes what the emulator sends beside the file, and puts it in its place once all of it is
    /// on disk.
    async fn save(&self) -> Result<(), String> {
        let failed = |error| format!("cannot write {}: {error}", self.file.display());
        let response = self
            .send(Method::GET, &[], Full::<Bytes>::default())
            .await?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let mut file = PlacedFile::beside(&self.file).map_err(failed)?;
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| format!("the snapshot is not whole: {error}"))?;
            let piece = frame.into_data().unwrap_or_default();
            file.write_all(&piece).map_err(failed)?;
        }
        file.place().map_err(failed)
    }

    async fn load(&self) -> Result<(), String> {
        let failed = |error| format!("cannot read {}: {error}", self.file.display());
        let file = std::fs::File::open(&self.file).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let length = size.to_string();
        let headers = [
            ("content-length", length.as_str()),
            ("content-type", SNAPSHOT_MEDIA_TYPE),
        ];
        let body = file_body(file, size);
        let response = self.send(Method::POST, &headers, body).await?;
        if response.status().is_success() {
            Ok(())
        } else {
            Err(self.refusal(response).await)
        }
    }

    /// Sends a request of somebody who may; the head of its answer.
    async fn send<B>(
        &self,
        method: Method,
        more: &[(&str, &str)],
        body: B,
    ) -> Result<Response<Incoming>, String>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let headers = [&self.target.headers(), more].concat();
        let response = ask::send(&self.target.url, method, PATH, &headers, body).await;
        response.map_err(|reason| self.target.unreachable(&reason))
    }

    async fn refusal(&self, response: Response<Incoming>) -> String {
        let status = response.status();
        let words = Limited::new(response.into_body(), MOST_WORDS).collect();
        let words = words.await.map(Collected::to_bytes).unwrap_or_default();
        ask::refusal(&self.target.url, status, &words)
    }
}
