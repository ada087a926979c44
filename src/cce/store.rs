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

/// The cluster with this id, else the one with this name.
pub async fn find_by_id_or_name(
    db: impl SqliteExecutor<'_>,
    text: &str,
) -> Result<Option<Cluster>> {
    let found = sqlx::query_as(
        "SELECT id, name FROM clusters WHERE id = ?1 OR name = ?1 ORDER BY id <> ?1 LIMIT 1",
    )
    .bind(text)
    .fetch_optional(db)
    .await?;
    Ok(found)
}

/// All clusters, by id.
pub async fn list(db: impl SqliteExecutor<'_>) -> Result<Vec<Cluster>> {
    let found = sqlx::query_as("SELECT id, name FROM clusters ORDER BY id")
        .fetch_all(db)
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
