use swr_emulator::Emulator;

#[tokio::test]
async fn a_version_is_deployed() -> Result<(), Box<dyn std::error::Error>> {
    let seed = include_str!("seed.yaml");
    let emulator = Emulator::builder().seed(seed).start().await?;
    emulator.push("group/busybox:v2").await?;
    emulator.assert_fired("group/busybox:v2", "on-push").await;
    Ok(())
}
