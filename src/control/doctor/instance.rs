//! What can be wrong with the instance itself.

use std::collections::BTreeSet;

use super::Finding;
use crate::account;
use crate::app::App;
use crate::config::SeedSource;
use crate::error::{Error, Result};
use crate::namespace::{self, NamespaceName};
use crate::seed;
use crate::workload::store::list_running;

/// How many workloads are looked at.
const MOST_WORKLOADS: u32 = 1000;
/// How many accounts are looked at.
const MOST_ACCOUNTS: usize = 100;

/// All checks.
pub(super) async fn examine(app: &App) -> Result<Vec<Finding>> {
    let mut findings = vec![data_folder(app).await, account(app), nodes(app)];
    findings.push(seed_file(app).await?);
    findings.push(registry_names(app).await?);
    findings.push(quota(app).await?);
    Ok(findings)
}

/// Whether the database works.
async fn data_folder(app: &App) -> Finding {
    let check = "data folder";
    match app.db.check().await {
        Ok(()) => Finding::fine(check, "the database can be read and written"),
        Err(error) => Finding::error(
            check,
            format!("the database does not work: {}", error.chain()),
            "make room on the disk or fix the permissions, then start the emulator again",
        ),
    }
}

/// Whether everybody who reaches the instance knows the keys of an administrator.
fn account(app: &App) -> Finding {
    let check = "built-in account";
    if app.directory.builtin_admin().is_none() {
        return Finding::fine(check, "the seed file removes it");
    }
    let mut regions = app.regions.iter();
    match regions.find(|region| !region.address.ip().is_loopback()) {
        None => Finding::fine(check, "only this machine reaches the emulator"),
        Some(region) => Finding::warning(
            check,
            format!(
                "the emulator listens on {}, and everyone knows the keys of the built-in account",
                region.address
            ),
            "write builtin_account: false into the seed file, with users of your own",
        ),
    }
}

/// Whether the nodes of real clusters could pull from the registry.
fn nodes(app: &App) -> Finding {
    let check = "nodes";
    if app.engine.real_clusters().is_empty() {
        return Finding::fine(check, "no cluster is real, so no node pulls images");
    }
    let mut regions = app.regions.iter();
    let unreachable = regions.find(|region| {
        let own = region.registry_host == region.authority();
        region.address.ip().is_loopback() && own
    });
    match unreachable {
        None => Finding::fine(check, "the registry has a name beyond this machine"),
        Some(region) => Finding::warning(
            check,
            format!(
                "the nodes of a real cluster cannot pull from {}, which is this machine only",
                region.registry_host
            ),
            format!(
                "start the emulator with --listen 0.0.0.0:{port} and --registry-host HOST:{port}, \
                 where HOST is a name of this machine that the nodes know",
                port = region.address.port()
            ),
        ),
    }
}

/// Whether the next start could read the seed file.
async fn seed_file(app: &App) -> Result<Finding> {
    let check = "seed file";
    let Some(path) = app.seed_file.clone() else {
        return Ok(Finding::fine(check, "the settings name none"));
    };
    let home = app.regions.home_name().to_owned();
    let shown = path.display().to_string();
    // It may be on a file system that takes its time.
    let read = move || seed::read(&SeedSource::File(path), &home).map(drop);
    let read = tokio::task::spawn_blocking(read).await;
    Ok(match read.map_err(Error::internal)? {
        Ok(()) => Finding::fine(check, format!("{shown} can be read")),
        Err(error) => Finding::error(
            check,
            format!("the next start would fail: {error}"),
            format!("correct {shown}"),
        ),
    })
}

/// Whether each account may have another organization in the region.
async fn quota(app: &App) -> Result<Finding> {
    let (check, most) = ("quota", app.quota_namespaces);
    for account in app.directory.accounts().iter().take(MOST_ACCOUNTS) {
        let has = account::store::count(app.db.readers(), &account.id, &app.region).await?;
        if has.namespaces >= i64::from(most) {
            return Ok(Finding::warning(
                check,
                format!(
                    "the account {} has used up its {most} organizations",
                    account.name
                ),
                "delete an organization, or start the emulator with a larger --quota-namespaces",
            ));
        }
    }
    let fine = format!("each account may have {most} organizations, and no account has them");
    Ok(Finding::fine(check, fine))
}

/// Whether simulated workloads run images of repositories under a name that is not the registry's.
async fn registry_names(app: &App) -> Result<Finding> {
    let check = "registry names";
    let mut known = BTreeSet::new();
    let mut own = 0;
    for workload in list_running(app.db.readers(), MOST_WORKLOADS).await? {
        for image in workload.images()? {
            let Some((host, path)) = image.split_once('/') else {
                continue;
            };
            let mut regions = app.regions.iter();
            if regions.any(|region| region.registry_names.iter().any(|name| name == host)) {
                own += 1;
                continue;
            }
            let organization = path.split('/').next().unwrap_or_default();
            let is_host = host.contains(['.', ':']) || host == "localhost";
            if is_host && path.contains('/') && is_organization(app, organization).await? {
                known.insert((host.to_owned(), image.clone(), place(&workload)));
            }
        }
    }
    let Some((host, image, place)) = known.first() else {
        let finding = match own {
            0 => "no simulated workload runs an image of this registry".to_owned(),
            own => format!("{own} images of simulated workloads use a name of this registry"),
        };
        return Ok(Finding::fine(check, finding));
    };
    Ok(Finding::warning(
        check,
        format!("{place} runs {image}, but {host} is not a name of this registry"),
        format!("start the emulator with --registry-host {host}, or change the image"),
    ))
}

fn place(workload: &crate::workload::store::Running) -> String {
    let (namespace, kind, name) = (&workload.namespace, &workload.kind, &workload.name);
    format!("{kind}/{name} in namespace {namespace}")
}

async fn is_organization(app: &App, name: &str) -> Result<bool> {
    let Ok(name) = NamespaceName::parse(name) else {
        return Ok(false);
    };
    for region in app.regions.iter() {
        let found = namespace::store::find(app.db.readers(), &region.name, &name);
        if found.await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
