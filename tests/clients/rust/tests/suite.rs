//! What a test author does with the emulator, besides the shortest test.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use swr_emulator::Emulator;
use swr_emulator::testing::{Fault, Outcome, Requests};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

async fn start() -> Result<Emulator> {
    Ok(Emulator::builder()
        .seed(include_str!("seed.yaml"))
        .start()
        .await?)
}

/// A program under test: it asks for the organizations and tries again once if it has to.
fn list_organizations(url: &str, token: &str) -> Result<u16> {
    let ask = || -> Result<u16> {
        let host = url.strip_prefix("http://").ok_or("no URL")?;
        let mut stream = TcpStream::connect(host)?;
        write!(
            stream,
            "GET /v2/manage/namespaces HTTP/1.1\r\nHost: {host}\r\nX-Auth-Token: {token}\r\n\
             Connection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.split(' ').nth(1).ok_or("no status")?.parse()?)
    };
    match ask()? {
        503 => ask(),
        status => Ok(status),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_tries_again_where_the_service_fails_once() -> Result<()> {
    let emulator = start().await?;
    emulator.fault(Fault::on("ListNamespaces").status(503).times(1))?;
    let (url, token) = (emulator.url(), emulator.token().ok_or("no token")?);

    let status = tokio::task::spawn_blocking(move || {
        list_organizations(&url, token).map_err(|error| error.to_string())
    });

    assert_eq!(status.await??, 200);
    let statuses: Vec<_> = emulator
        .requests("ListNamespaces")?
        .iter()
        .map(|one| one.status)
        .collect();
    assert_eq!(statuses, [200, 503]);
    assert_eq!(emulator.requests(Requests::all().status("5xx"))?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_tag_that_matches_no_condition_updates_nothing() -> Result<()> {
    let emulator = start().await?;
    emulator.push("group/busybox:latest").await?;
    let reason = emulator
        .assert_not_fired("group/busybox:latest", "on-push")
        .await;
    assert!(reason.contains("^v[0-9] does not match latest"), "{reason}");
    Ok(())
}

#[tokio::test]
async fn each_test_has_an_emulator_of_its_own() -> Result<()> {
    let (one, other) = (start().await?, start().await?);
    one.push("group/busybox:v2").await?;
    let entry = one.wait("group/busybox:v2", "on-push").await?;
    assert_eq!((entry.result, &*entry.workload), (Outcome::Success, "web"));
    other.push("group/busybox:v3").await?;
    other.assert_fired("group/busybox:v3", "on-push").await;
    one.stop().await;
    other.advance(Duration::from_secs(40 * 24 * 3600)).await?;
    other.reset().await?;
    assert!(other.wait("group/nothing:v3", "on-push").await.is_err());
    Ok(())
}
