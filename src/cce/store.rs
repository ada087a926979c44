//! The SQL of clusters.

use sqlx::SqliteExecutor;

use super::Cluster;
use crate::error::Result;

/// The cluster with this id.
pub async fn find(db: impl SqliteExecutor<'_>, id: &str) -> Result<Option<Cluster>> {
    let found = sqlx::query_as("SELECT id, name FROM clusters WHERE id = ?")
        .bind(id)
        .fetch_optional(db)
        .await?;
    Ok(found)
}

/// Makes a cluster, or gives the one with this id its name of now.
pub async fn put(db: impl SqliteExecutor<'_>, cluster: &Cluster) -> Result<()> {
    sqlx::query(
        "INSERT INTO clusters (id, name) VALUES (?, ?)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name",
    )
    .bind(&cluster.id)
    .bind(&cluster.name)
    .execute(db)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::testing::TestDb;

    #[tokio::test]
    async fn a_cluster_is_found_under_its_name_of_now() {
        let test = TestDb::seeded("clusters: [{id: c1, name: first}]").await;
        let find = async |id| find(test.db.readers(), id).await.expect("read");
        assert_eq!(
            find("c1").await.map(|cluster| cluster.name),
            Some("first".to_owned())
        );
        assert_eq!(find("first").await, None);
    }
}
