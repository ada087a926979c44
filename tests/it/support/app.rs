//! An emulator in the process of the test.

use std::path::Path;

use clap::Parser;
use serde_json::Value;
use swr_emulator::{Config, Emulator};

use super::{Answer, Client, TOKEN};

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    config: Config,
}

/// An emulator in this process, on a port of its own, with its data in a temporary folder.
pub(crate) struct TestApp {
    /// Lives as long as the test.
    emulator: Emulator,
    /// Who the requests are from.
    pub(crate) client: Client,
    /// Holds a seed file, if there is one.
    seed: Option<tempfile::TempDir>,
}

impl TestApp {
    /// Without a seed file.
    pub(crate) async fn start() -> Self {
        Self::with_arguments(&[]).await
    }

    /// With the organization `group` and the repository `busybox` in it.
    pub(crate) async fn with_repository() -> Self {
        Self::seeded("organizations: [{name: group, repositories: [{name: busybox}]}]").await
    }

    /// With a seed file.
    pub(crate) async fn seeded(seed: &str) -> Self {
        Self::seeded_with(seed, &[]).await
    }

    /// With a seed file and more arguments.
    pub(crate) async fn seeded_with(seed: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("seed.yaml");
        std::fs::write(&path, seed).expect("the seed file is written");
        let path = path.to_str().expect("a path that is UTF-8");
        let mut app = Self::with_arguments(&[&["--seed", path], arguments].concat()).await;
        app.seed = Some(folder);
        app
    }

    /// With arguments as on the command line.
    pub(crate) async fn with_arguments(arguments: &[&str]) -> Self {
        Self::of(&[&["--ephemeral"], arguments].concat()).await
    }

    /// With a data folder that stays.
    pub(crate) async fn kept(data_folder: &str) -> Self {
        Self::of(&["--data-dir", data_folder]).await
    }

    async fn of(arguments: &[&str]) -> Self {
        let own = ["swr-emulator", "--listen", "127.0.0.1:0"];
        let config = Arguments::parse_from(own.iter().chain(arguments)).config;
        let emulator = Emulator::start(&config).await.expect("the emulator starts");
        let client = Client {
            address: emulator.address().to_string(),
            token: Some(TOKEN.to_owned()),
        };
        Self {
            emulator,
            client,
            seed: None,
        }
    }

    /// Where it keeps its data.
    pub(crate) fn data_folder(&self) -> &Path {
        self.emulator.data_folder()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.client.send("GET", path, None).await
    }

    /// The pages of a list, as the header `Link` of each leads to the next.
    pub(crate) async fn pages(&self, path: &str) -> Vec<Value> {
        let mut pages = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let answer = self.get(&path).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            pages.push(answer.json());
            next = answer.header("link").map(|link| {
                let next = link.strip_suffix(">; rel=\"next\"");
                let next = next.and_then(|next| next.strip_prefix('<'));
                next.expect("a link to the next page").to_owned()
            });
        }
        pages
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.client.send("POST", path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.client.send("PATCH", path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.client.send("DELETE", path, None).await
    }

    /// The same user at the address of another region.
    pub(crate) fn in_region(&self, name: &str) -> Client {
        let mut regions = self.emulator.addresses();
        let found = regions.find(|(region, _)| *region == name);
        let (_, address) = found.expect("the region is played");
        Client {
            address: address.to_string(),
            token: self.client.token.clone(),
        }
    }

    /// The same emulator, asked by somebody else.
    pub(crate) fn as_user(&self, token: &str) -> Client {
        Client {
            address: self.client.address.clone(),
            token: Some(token.to_owned()),
        }
    }

    /// The same emulator, asked without credentials.
    pub(crate) fn as_nobody(&self) -> Client {
        Client {
            address: self.client.address.clone(),
            token: None,
        }
    }
}
