//! Clients of registries: skopeo, podman, buildah, docker and oras push, pull, list and delete.
//!
//! They log in as the user guide says, with the long-term password of the built-in access key.
//! Everything that they keep is in a temporary folder, so nothing of the machine is read or changed
//! but skopeo's cache of where blobs were seen, which has one place for root.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use swr_emulator::internal::{Secret, long_term_password};
use swr_emulator::{BUILTIN_ACCESS_KEY, BUILTIN_SECRET_KEY};

use super::image::{Layout, checked_blobs};
use super::{Outcome, root};
use crate::support::{Answer, Process};

// skopeo

#[test]
#[ignore = "needs skopeo; ./tests/run installs it"]
fn skopeo_gets_back_the_bytes_that_it_pushed() {
    let registry = Registry::start();
    let layout = Layout::of_image(registry.path("layout"));
    for repository in ["group/web", "group/team/app", "group/a/b-c/d_e.f"] {
        let (by_tag, by_digest) = (
            format!("{repository}:v1"),
            format!("{repository}@{}", layout.digest()),
        );
        registry.push(&layout, &by_tag, &[]).succeeded();
        for image in [by_tag, by_digest] {
            let pulled = registry.pulled(&image, &[]);
            assert_eq!(pulled.digest(), layout.digest(), "{image}");
            assert_eq!(pulled.blobs(), layout.blobs(), "{image}");
        }
    }
}

#[test]
#[ignore = "needs skopeo; ./tests/run installs it"]
fn skopeo_gets_back_an_image_that_it_pushed_in_dockers_format() {
    let registry = Registry::start();
    let layout = Layout::of_image(registry.path("layout"));
    registry
        .push(&layout, "group/web:v1", &["--format", "v2s2"])
        .succeeded();

    let raw = registry.ask(&["inspect", "--raw"], "group/web:v1");
    let media_type = "application/vnd.docker.distribution.manifest.v2+json";
    assert_eq!(raw["mediaType"], media_type);

    // The folder's format takes manifests as they are, beside the blobs, which stay the same.
    let folder = registry.path("pulled");
    let to = format!("dir:{}", folder.display());
    registry.pull("group/web:v1", &to, &[]).succeeded();
    let manifest = std::fs::read(folder.join("manifest.json")).expect("it is there");
    assert_eq!(serde_json::from_slice::<Value>(&manifest).ok(), Some(raw));
    let mut blobs = layout.blobs();
    blobs.remove(layout.digest().trim_start_matches("sha256:"));
    assert_eq!(blobs.len(), 2);
    assert_eq!(checked_blobs(&folder), blobs);
}

#[test]
#[ignore = "needs skopeo; ./tests/run installs it"]
fn skopeo_copies_an_index_with_all_of_its_images() {
    let registry = Registry::start();
    let layout = Layout::of_index(registry.path("layout"));
    registry
        .push(&layout, "group/web:v1", &["--all"])
        .succeeded();

    let pulled = registry.pulled("group/web:v1", &["--all"]);
    assert_eq!(pulled.digest(), layout.digest());
    assert_eq!(pulled.blobs(), layout.blobs());

    let machine = |name: &'static str| {
        let options = ["inspect", "--override-os", "linux", "--override-arch", name];
        let shown = registry.ask(&options, "group/web:v1");
        (shown["Architecture"].clone(), shown["Layers"].clone())
    };
    let (amd64, arm64) = (machine("amd64"), machine("arm64"));
    assert_eq!((&amd64.0, &arm64.0), (&json!("amd64"), &json!("arm64")));
    assert_ne!(amd64.1, arm64.1);

    let options = ["--all", "--format", "v2s2"];
    registry
        .push(&layout, "group/web:docker", &options)
        .succeeded();
    let raw = registry.ask(&["inspect", "--raw"], "group/web:docker");
    let media_type = "application/vnd.docker.distribution.manifest.list.v2+json";
    assert_eq!(raw["mediaType"], media_type);
}

#[test]
#[ignore = "needs skopeo; ./tests/run installs it"]
fn skopeo_inspects_lists_and_deletes_tags() {
    let registry = Registry::start();
    let layout = Layout::of_image(registry.path("layout"));
    registry.push(&layout, "group/web:v1", &[]).succeeded();
    // Another image, since skopeo deletes by digest, and with that all tags of an image.
    registry
        .push(&layout, "group/web:v2", &["--format", "v2s2"])
        .succeeded();

    let shown = registry.ask(&["inspect"], "group/web:v1");
    assert_eq!(shown["Name"], registry.name("group/web"));
    assert_eq!(shown["Digest"], layout.digest());
    assert_eq!(shown["RepoTags"], json!(["v1", "v2"]));
    assert_eq!(shown["Layers"].as_array().map(Vec::len), Some(1));

    registry.delete("group/web:v1").succeeded();
    let listed = registry.ask(&["list-tags"], "group/web");
    assert_eq!(listed["Tags"], json!(["v2"]));
    registry.delete("group/web:v1").failed();
    registry.pulled("group/web:v2", &[]);
}

#[test]
#[ignore = "needs skopeo; ./tests/run installs it"]
fn skopeo_mounts_layers_that_another_repository_has() {
    let registry = Registry::start();
    let layout = Layout::of_image(registry.path("layout"));
    registry.push(&layout, "group/web:v1", &[]).succeeded();

    let credentials = registry.credentials();
    let copied = registry.skopeo(&[
        "--debug",
        "copy",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
        "--src-creds",
        &credentials,
        "--dest-creds",
        &credentials,
        &registry.reference("group/web:v1"),
        &registry.reference("group/team/app:v1"),
    ]);
    assert!(copied.stderr.contains("mount OK"), "{}", copied.stderr);
    copied.succeeded();

    let pulled = registry.pulled("group/team/app:v1", &[]);
    assert_eq!(pulled.digest(), layout.digest());
    assert_eq!(pulled.blobs(), layout.blobs());
}

#[test]
#[ignore = "needs skopeo; ./tests/run installs it"]
fn skopeo_pushes_and_pulls_a_layer_of_300_mib() {
    let registry = Registry::start();
    let layout = Layout::of_random_file(registry.path("layout"), 300 << 20);
    // Compressing random bytes would only take time.
    let options = ["--preserve-digests"];
    registry.push(&layout, "group/web:v1", &options).succeeded();

    let pulled = registry.pulled("group/web:v1", &options);
    assert_eq!(pulled.digest(), layout.digest());
    assert_eq!(pulled.blobs(), layout.blobs());
}

#[tokio::test]
#[ignore = "needs skopeo; ./tests/run installs it"]
async fn skopeo_pushes_nothing_with_a_wrong_password() {
    let registry = Registry {
        password: "0".repeat(64),
        ..Registry::start()
    };
    let layout = Layout::of_image(registry.path("layout"));
    let refused = registry.push(&layout, "group/web:v1", &[]).failed();
    assert!(refused.contains("Authenticate Error"), "{refused}");
    registry.has_no_repository().await;
}

#[tokio::test]
#[ignore = "needs skopeo; ./tests/run installs it"]
async fn skopeo_pushes_nothing_to_an_organization_that_does_not_exist() {
    let registry = Registry::start();
    let layout = Layout::of_image(registry.path("layout"));
    registry.push(&layout, "missing/web:v1", &[]).failed();
    registry.has_no_repository().await;
    let listed = registry.manage("GET", "namespaces", None).await.json();
    let names: Vec<_> = listed["namespaces"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|namespace| &namespace["name"])
        .collect();
    assert_eq!(names, ["group"]);
}

#[tokio::test]
#[ignore = "needs skopeo; ./tests/run installs it"]
async fn skopeo_pushes_with_the_answer_of_create_secret_as_its_file_of_logins() {
    let registry = Registry::start();
    let layout = Layout::of_image(registry.path("layout"));
    let secret = registry.manage("POST", "utils/secret", None).await;
    let file = registry.path("config.json");
    std::fs::write(&file, &secret.body).expect("written");

    let copied = registry.skopeo(&[
        "copy",
        "--dest-tls-verify=false",
        "--authfile",
        file.to_str().expect("UTF-8"),
        &layout.reference(),
        &registry.reference("group/web:v1"),
    ]);
    copied.succeeded();
    assert_eq!(
        registry.pulled("group/web:v1", &[]).digest(),
        layout.digest()
    );
}

#[tokio::test]
#[ignore = "needs skopeo; ./tests/run installs it"]
async fn a_public_repository_is_pulled_without_login_and_a_private_one_is_not() {
    let registry = Registry::start();
    let layout = Layout::of_image(registry.path("layout"));
    registry.push(&layout, "group/web:v1", &[]).succeeded();
    let pull = |folder: &str| {
        let to = format!("dir:{}", registry.path(folder).display());
        registry.pull_as(&["--src-no-creds"], "group/web:v1", &to, &[])
    };

    let refused = pull("private").failed();
    assert!(refused.contains("unauthorized"), "{refused}");

    let change = json!({"is_public": true});
    let changed = registry.manage("PATCH", "namespaces/group/repos/web", Some(change));
    changed.await.is(201, "{}");
    pull("public").succeeded();

    let from = layout.reference();
    let to = registry.reference("group/web:v2");
    let push = ["copy", "--dest-tls-verify=false", "--dest-no-creds"];
    registry
        .skopeo(&[&push[..], &[&from, &to]].concat())
        .failed();
}

#[tokio::test]
#[ignore = "needs skopeo; ./tests/run installs it"]
async fn the_management_api_shows_what_skopeo_pushed_and_counts_what_it_pulled() {
    let registry = Registry::start();
    let layout = Layout::of_image(registry.path("layout"));
    for image in ["group/team/app:v1", "group/team/app:v2"] {
        registry.push(&layout, image, &[]).succeeded();
    }

    let tags = registry.manage("GET", "namespaces/group/repos/team$app/tags", None);
    let tags = tags.await.json();
    let tags = tags.as_array().expect("a list");
    let mut names: Vec<_> = tags.iter().map(|tag| tag["Tag"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, [Some("v1"), Some("v2")]);
    for tag in tags {
        assert_eq!(tag["digest"], layout.digest());
        let path = format!("group/team/app:{}", tag["Tag"].as_str().expect("a string"));
        assert_eq!(tag["path"], registry.name(&path));
    }

    let repository = "namespaces/group/repos/team$app";
    let shown = registry.manage("GET", repository, None).await.json();
    assert_eq!(
        (&shown["num_images"], &shown["num_download"]),
        (&json!(2), &json!(0))
    );

    registry.pulled("group/team/app:v1", &[]);
    // Pulls are counted a moment later.
    let mut tries = 0;
    let counted = loop {
        let shown = registry.manage("GET", repository, None).await.json();
        if shown["num_download"] != 0 || tries == 500 {
            break shown["num_download"].clone();
        }
        tries += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(counted, 1);
}

// podman and buildah

#[tokio::test]
#[ignore = "needs podman, as root or with user namespaces; ./tests/run installs it"]
async fn podman_logs_in_builds_pushes_and_pulls() {
    let registry = Registry::start();
    let podman = Builder {
        program: "podman",
        registry: &registry,
    };
    let login = |password: &str| {
        let user = ["--username", &registry.user, "--password", password];
        let login = ["login", "--tls-verify=false", registry.host()];
        podman.run(&[&login[..], &user].concat())
    };
    login("wrong").failed();
    login(&registry.password).succeeded();

    let image = registry.name("group/team/app:v1");
    let context = registry.build_context();
    podman
        .run(&["build", "--tag", &image, &context])
        .succeeded();
    let file = registry.path("digest");
    let to = ["--digestfile", file.to_str().expect("UTF-8"), &image];
    let push = ["push", "--tls-verify=false"];
    podman.run(&[&push[..], &to].concat()).succeeded();
    let digest = std::fs::read_to_string(file).expect("written");
    assert_eq!(registry.digest_of_tag("team$app").await, digest);

    podman.run(&["rmi", &image]).succeeded();
    podman.run(&["image", "exists", &image]).failed();
    podman
        .run(&["pull", "--tls-verify=false", &image])
        .succeeded();
    let shown = podman.run(&["inspect", "--format", "{{.Digest}}", &image]);
    assert_eq!(shown.succeeded().trim(), digest);
}

#[tokio::test]
#[ignore = "needs buildah, as root or with user namespaces; ./tests/run installs it"]
async fn buildah_commits_and_pushes() {
    let registry = Registry::start();
    let client = Builder {
        program: "buildah",
        registry: &registry,
    };
    let buildah = |arguments: &[&str]| client.run(arguments).succeeded();
    let image = registry.name("group/web:v1");
    let file = registry.path("digest");

    let container = buildah(&["from", "scratch"]);
    let container = container.trim();
    let content = format!("{}/content", registry.build_context());
    buildah(&["add", container, &content, "/content"]);
    buildah(&["commit", container, &image]);
    let credentials = registry.credentials();
    let to = ["--digestfile", file.to_str().expect("UTF-8"), &image];
    let push = ["push", "--tls-verify=false", "--creds", &credentials];
    buildah(&[&push[..], &to].concat());

    let digest = std::fs::read_to_string(file).expect("written");
    assert_eq!(registry.digest_of_tag("web").await, digest);
}

// docker

#[tokio::test]
#[ignore = "needs a docker client; ./tests/run finds one or leaves this test out"]
async fn docker_logs_in_and_with_a_wrong_password_does_not() {
    let registry = Registry::start();
    let login = |user: &str, password: &str| {
        let mut command = registry.client("docker");
        let arguments = ["login", "-u", user, "-p", password, registry.host()];
        Outcome::of(command.args(arguments))
    };
    login(&registry.user, &registry.password).succeeded();
    let refused = login(&registry.user, "wrong").failed();
    assert!(refused.contains("Authenticate Error"), "{refused}");

    // The command of a temporary login, word by word.
    let secret = registry.manage("POST", "utils/secret", None).await;
    let command = secret.header("x-swr-dockerlogin").expect("a command");
    let words: Vec<_> = command.split(' ').collect();
    Outcome::of(registry.client(words[0]).args(&words[1..])).succeeded();
}

// oras

#[test]
#[ignore = "needs the Python package oras; ./tests/run installs it"]
fn oras_is_served() {
    let registry = Registry::start();
    let mut command = registry.client(root().join("tests/.venv/bin/python"));
    command
        .arg(root().join("tests/clients/oras_client.py"))
        .env("REGISTRY_HOST", registry.host())
        .env("REGISTRY_USER", &registry.user)
        .env("REGISTRY_PASSWORD", &registry.password);
    Outcome::of(&mut command).succeeded();
}

/// An emulator with the organization `group`, and a folder for its clients.
pub(super) struct Registry {
    pub(super) process: Process,
    folder: tempfile::TempDir,
    user: String,
    password: String,
}

impl Registry {
    fn start() -> Self {
        Self::seeded("organizations: [{name: group}]")
    }

    /// With a seed file.
    pub(super) fn seeded(content: &str) -> Self {
        // On the disk that cargo builds on, since images are large, and temporary files may be
        // kept in memory.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        for name in ["home", "run", "tmp"] {
            std::fs::create_dir(folder.path().join(name)).expect("created");
        }
        // Some clients want the file of logins that they are told about to exist.
        std::fs::write(folder.path().join("auth.json"), "{}").expect("written");
        let seed = folder.path().join("seed.yaml");
        std::fs::write(&seed, content).expect("written");
        let seed = seed.to_str().expect("UTF-8");
        let own = ["--ephemeral", "--listen", "127.0.0.1:0", "--seed", seed];
        Self {
            process: Process::start(&own),
            folder,
            user: format!("cn-north-4@{BUILTIN_ACCESS_KEY}"),
            password: long_term_password(BUILTIN_ACCESS_KEY, &Secret::new(BUILTIN_SECRET_KEY)),
        }
    }

    /// Address and port, with which the names of its images start.
    pub(super) fn host(&self) -> &str {
        &self.process.url["http://".len()..]
    }

    fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.host())
    }

    /// An image, or a repository, as skopeo takes it.
    fn reference(&self, image: &str) -> String {
        format!("docker://{}", self.name(image))
    }

    fn credentials(&self) -> String {
        format!("{}:{}", self.user, self.password)
    }

    /// A path in the clients' folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A client that knows nothing of who runs the tests: no logins, no images, no proxy.
    fn client(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("REGISTRY_AUTH_FILE", self.path("auth.json"))
            .env("DOCKER_CONFIG", self.path("docker"))
            .current_dir(self.folder.path());
        command
    }

    #[track_caller]
    fn skopeo(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(self.client("skopeo").args(arguments))
    }

    /// What skopeo answers to a question about an image or a repository.
    #[track_caller]
    fn ask(&self, question: &[&str], image: &str) -> Value {
        let credentials = self.credentials();
        let reference = self.reference(image);
        let rest = ["--tls-verify=false", "--creds", &credentials, &reference];
        let answer = self.skopeo(&[question, &rest].concat()).succeeded();
        serde_json::from_str(&answer).expect("JSON")
    }

    #[track_caller]
    fn delete(&self, image: &str) -> Outcome {
        let credentials = self.credentials();
        let reference = self.reference(image);
        let command = ["delete", "--tls-verify=false", "--creds", &credentials];
        self.skopeo(&[&command[..], &[&reference]].concat())
    }

    /// Copies what is in a layout.
    #[track_caller]
    pub(super) fn push(&self, layout: &Layout, image: &str, options: &[&str]) -> Outcome {
        let credentials = self.credentials();
        let (from, to) = (layout.reference(), self.reference(image));
        let command = ["copy", "--dest-tls-verify=false"];
        let rest = ["--dest-creds", &credentials, &from, &to];
        self.skopeo(&[&command, options, &rest].concat())
    }

    #[track_caller]
    fn pull(&self, image: &str, to: &str, options: &[&str]) -> Outcome {
        let credentials = self.credentials();
        self.pull_as(&["--src-creds", &credentials], image, to, options)
    }

    #[track_caller]
    fn pull_as(&self, login: &[&str], image: &str, to: &str, options: &[&str]) -> Outcome {
        let from = self.reference(image);
        let command = ["copy", "--src-tls-verify=false"];
        self.skopeo(&[&command, login, options, &[&from, to]].concat())
    }

    /// Copies an image into a new layout.
    #[track_caller]
    fn pulled(&self, image: &str, options: &[&str]) -> Layout {
        let folder = tempfile::tempdir_in(self.folder.path()).expect("a folder");
        // It goes with the folder of all clients.
        let layout = Layout::at(folder.keep());
        self.pull(image, &layout.reference(), options).succeeded();
        layout
    }

    /// Makes a folder with instructions to build an image; its path.
    fn build_context(&self) -> String {
        let folder = self.path("context");
        std::fs::create_dir(&folder).expect("created");
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text);
        write("Containerfile", "FROM scratch\nCOPY content /content\n").expect("written");
        write("content", "built here\n").expect("written");
        folder.to_str().expect("UTF-8").to_owned()
    }

    /// Sends a request to the management API.
    async fn manage(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let path = format!("/v2/manage/{path}");
        self.process.client().send(method, &path, body).await
    }

    /// The digest that the management API shows for the tag `v1` of a repository.
    async fn digest_of_tag(&self, repository: &str) -> String {
        let path = format!("namespaces/group/repos/{repository}/tags/v1");
        let tag = self.manage("GET", &path, None).await.json();
        tag["digest"].as_str().expect("a digest").to_owned()
    }

    async fn has_no_repository(&self) {
        self.manage("GET", "repos", None).await.is(200, "[]");
    }
}

/// podman or buildah, with images of its own instead of those of the machine.
struct Builder<'a> {
    program: &'static str,
    registry: &'a Registry,
}

impl Builder<'_> {
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.registry.client(self.program);
        command
            .arg("--root")
            .arg(self.registry.path("images"))
            .arg("--runroot")
            .arg(self.registry.path("containers"))
            // This driver copies plain files, so it works everywhere.
            .args(["--storage-driver", "vfs"])
            .args(arguments);
        Outcome::of(&mut command)
    }
}

impl Drop for Builder<'_> {
    /// Without root's rights, the folders of images may not be written to, so that only the client
    /// can remove them; and podman leaves a process that holds its user namespace open.
    fn drop(&mut self) {
        self.run(&["rm", "--all"]);
        self.run(&["rmi", "--all", "--force"]);
        if self.program == "podman" {
            self.run(&["system", "migrate"]);
        }
    }
}
