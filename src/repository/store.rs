//! The SQL of repositories.

use std::sync::Arc;

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, FromRow, Row, SqliteConnection, SqliteExecutor};

use super::{
    NewRepository, OrderColumn, Repository, RepositoryChange, RepositoryFilter, RepositoryName,
    RepositoryRef, Scope,
};
use crate::account;
use crate::clock::Timestamp;
use crate::db::{Readers, Subject, Touched, Write, foreign_key_means};
use crate::error::{Error, Resource, Result};
use crate::namespace::Namespace;
use crate::page::{Page, SortOrder};
use crate::permission::Permissions;
use crate::sharing::Shares;

/// The repository with this name, as far as every operation has to know it.
pub async fn find_ref(
    db: impl SqliteExecutor<'_>,
    namespace: &Arc<Namespace>,
    name: &RepositoryName,
) -> Result<Option<RepositoryRef>> {
    let found: Option<(i64, bool, String, String)> = sqlx::query_as(
        "SELECT id, is_public,
                (SELECT json_group_array(json_array(user_id, auth)) FROM repository_permissions
                 WHERE repository_id = repositories.id),
                (SELECT json_group_array(json_array(account_id, ends_at)) FROM shares
                 WHERE repository_id = repositories.id)
         FROM repositories WHERE namespace_id = ? AND name = ?",
    )
    .bind(namespace.id)
    .bind(name.as_str())
    .fetch_optional(db)
    .await?;
    let Some((id, is_public, permissions, shares)) = found else {
        return Ok(None);
    };
    Ok(Some(RepositoryRef {
        id,
        is_public,
        name: name.clone(),
        namespace: Arc::clone(namespace),
        permissions: Permissions::from_json(&permissions)?,
        shares: Shares::from_json(&shares)?,
    }))
}

/// Whether a repository has this id.
pub async fn exists(db: impl SqliteExecutor<'_>, id: i64) -> Result<bool> {
    let exists = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM repositories WHERE id = ?)")
        .bind(id)
        .fetch_one(db)
        .await?;
    Ok(exists)
}

/// A repository with its tags and images, as something that is read and written.
pub fn subject(id: i64) -> Subject {
    Subject::new("repository", id)
}

/// All repositories with their tags and images, as lists show them.
pub fn list_subject() -> Subject {
    Subject::new("repositories", ())
}

/// What a write changes that concerns nothing but tags and images of a repository.
pub fn touched(id: i64) -> Touched {
    Touched::Subjects(vec![subject(id), list_subject()])
}

/// The columns of [`Repository`], and where they come from.
const COLUMNS: &str = "r.id, r.namespace_id, n.name AS namespace, r.name, r.is_public, r.category,
     r.description, n.account_id, a.name AS account_name, r.creator_id, r.creator_name,
     r.created_at, r.updated_at, r.num_download,
     (SELECT coalesce(json_group_array(t.name ORDER BY t.updated_at DESC, t.id DESC), '[]')
      FROM tags t WHERE t.repository_id = r.id) AS tags,
     (SELECT coalesce(sum(b.size), 0) FROM blobs b WHERE b.digest IN
        (SELECT m.digest FROM manifest_blobs m WHERE m.repository_id = r.id))
     + (SELECT coalesce(sum(m.content_size), 0) FROM manifests m
        WHERE m.repository_id = r.id) AS size";

const FROM: &str = "FROM repositories r
     JOIN namespaces n ON n.id = r.namespace_id
     JOIN accounts a ON a.id = n.account_id";

/// Which repositories pass a [`RepositoryFilter`]; its fields are bound in this order.
const WHERE: &str = "WHERE n.region = ?1
       AND (?3 IS NULL OR n.name = ?3)
       AND (?4 IS NULL OR instr(n.name, ?4) > 0)
       AND (?5 IS NULL OR instr(r.name, ?5) > 0)
       AND (?6 IS NULL OR r.category = ?6)
       AND (?7 IS NULL OR r.is_public = ?7)
       AND (?11 IS NULL OR instr(a.name, ?11) > 0)";

/// Own repositories that a user may see.
const VISIBLE: &str = "n.account_id = ?2 AND (?8 IS NULL OR r.is_public
       OR EXISTS (SELECT 1 FROM namespace_permissions p
                  WHERE p.namespace_id = n.id AND p.user_id = ?8)
       OR EXISTS (SELECT 1 FROM repository_permissions p
                  WHERE p.repository_id = r.id AND p.user_id = ?8))";

/// The shares of a repository.
const SHARE: &str = "SELECT 1 FROM shares s WHERE s.repository_id = r.id";

/// A share that still counts.
const COUNTS: &str = "(s.ends_at IS NULL OR s.ends_at > ?9)";

impl Scope {
    /// Which repositories are in it, and whether one is shared now.
    fn conditions(self) -> (String, String) {
        match self {
            Self::Own => (VISIBLE.to_owned(), "FALSE".to_owned()),
            Self::SharedByMe => (
                format!("{VISIBLE} AND EXISTS ({SHARE})"),
                format!("EXISTS ({SHARE} AND {COUNTS})"),
            ),
            Self::SharedWithMe => (
                format!("EXISTS ({SHARE} AND s.account_id = ?2)"),
                format!("EXISTS ({SHARE} AND s.account_id = ?2 AND {COUNTS})"),
            ),
        }
    }

    /// Everything after the columns, and the expression of [`Repository::is_shared`].
    fn condition(self) -> (String, String) {
        let (is_in, is_shared) = self.conditions();
        let text = format!("{FROM} {WHERE} AND {is_in} AND (?10 IS NULL OR {is_shared} = ?10)");
        let shown = match self {
            Self::SharedWithMe => is_shared,
            Self::Own | Self::SharedByMe => "FALSE".to_owned(),
        };
        (text, shown)
    }
}

impl FromRow<'_, SqliteRow> for Repository {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        let tags: Vec<String> = serde_json::from_str(row.try_get("tags")?)
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok(Self {
            id: row.try_get("id")?,
            namespace_id: row.try_get("namespace_id")?,
            namespace: row.try_get("namespace")?,
            name: row.try_get("name")?,
            is_public: row.try_get("is_public")?,
            category: row.try_get("category")?,
            description: row.try_get("description")?,
            account_id: row.try_get("account_id")?,
            account_name: row.try_get("account_name")?,
            creator_id: row.try_get("creator_id")?,
            creator_name: row.try_get("creator_name")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
            num_images: i64::try_from(tags.len())
                .map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
            tags,
            size: row.try_get("size")?,
            num_download: row.try_get("num_download")?,
            is_shared: row.try_get("is_shared")?,
        })
    }
}

/// The repository with this id.
pub async fn find(db: impl SqliteExecutor<'_>, id: i64) -> Result<Option<Repository>> {
    let sql = format!("SELECT {COLUMNS}, FALSE AS is_shared {FROM} WHERE r.id = ?");
    let found = sqlx::query_as(AssertSqlSafe(sql))
        .bind(id)
        .fetch_optional(db)
        .await?;
    Ok(found)
}

/// A page of the repositories that pass the filter, and how many pass in all. Ties, and a list
/// without an order, go by id.
pub async fn list(
    db: &Readers,
    filter: &RepositoryFilter,
    order: Option<(OrderColumn, SortOrder)>,
    page: Page,
) -> Result<(Vec<Repository>, i64)> {
    let direction = match order {
        Some((_, SortOrder::Descending)) => "DESC",
        _ => "ASC",
    };
    let column = match order.map(|(column, _)| column) {
        None => "r.id",
        Some(OrderColumn::Name) => "r.name",
        Some(OrderColumn::UpdatedTime) => "r.updated_at",
        Some(OrderColumn::TagCount) => "(SELECT count(*) FROM tags t WHERE t.repository_id = r.id)",
        Some(OrderColumn::Namespace) => "n.name",
        Some(OrderColumn::IsPublic) => "r.is_public",
        Some(OrderColumn::AccountName) => "a.name",
    };
    let (condition, is_shared) = filter.scope.condition();
    // The page is cut first: what its entries show is read for these only.
    let sql = format!(
        "SELECT {COLUMNS}, {is_shared} AS is_shared
         FROM (SELECT r.id {condition}
               ORDER BY {column} {direction}, r.id LIMIT +?12 OFFSET ?13) page
         CROSS JOIN repositories r ON r.id = page.id
         JOIN namespaces n ON n.id = r.namespace_id
         JOIN accounts a ON a.id = n.account_id
         ORDER BY {column} {direction}, r.id"
    );
    let rows = bind(sqlx::query(AssertSqlSafe(sql)), filter)
        .bind(page.limit)
        .bind(page.offset)
        .fetch_all(db)
        .await?;
    let repositories = rows.iter().map(Repository::from_row);
    let repositories = repositories.collect::<sqlx::Result<_>>()?;
    let sql = format!("SELECT count(*) AS total {condition}");
    let row = bind(sqlx::query(AssertSqlSafe(sql)), filter)
        .fetch_one(db)
        .await?;
    Ok((repositories, row.try_get("total")?))
}

/// The repositories that pass the filter and come after an id, by id; `limit` at the most.
pub async fn list_after(
    db: impl SqliteExecutor<'_>,
    filter: &RepositoryFilter,
    after: i64,
    limit: u32,
) -> Result<Vec<Repository>> {
    let (condition, is_shared) = filter.scope.condition();
    let sql = format!(
        "SELECT {COLUMNS}, {is_shared} AS is_shared {condition} AND r.id > ?12
         ORDER BY r.id LIMIT +?13"
    );
    let rows = bind(sqlx::query(AssertSqlSafe(sql)), filter)
        .bind(after)
        .bind(limit)
        .fetch_all(db)
        .await?;
    let repositories = rows.iter().map(Repository::from_row);
    Ok(repositories.collect::<sqlx::Result<_>>()?)
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

fn bind<'q>(query: Query<'q>, filter: &'q RepositoryFilter) -> Query<'q> {
    query
        .bind(&filter.region)
        .bind(&filter.account_id)
        .bind(&filter.namespace)
        .bind(&filter.namespace_part)
        .bind(&filter.name_part)
        .bind(filter.category)
        .bind(filter.is_public)
        .bind(&filter.user_id)
        .bind(filter.now)
        .bind(filter.is_shared)
        .bind(&filter.account_part)
}

/// Makes a repository, if its organization still exists and the name is free.
#[derive(Debug)]
pub struct CreateRepository(pub NewRepository);

impl Write for CreateRepository {
    type Output = ();
    const INVALIDATES_NAMES: bool = true;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        match insert(transaction, &self.0).await? {
            Some(_) => Ok(()),
            None => Err(Error::AlreadyExists(Resource::Repository)),
        }
    }
}

/// Inserts a repository; its id, or none when the name is taken.
pub async fn insert(
    db: impl SqliteExecutor<'_>,
    repository: &NewRepository,
) -> Result<Option<i64>> {
    let inserted = sqlx::query_scalar(
        "INSERT INTO repositories (namespace_id, name, is_public, category, description,
                                   creator_id, creator_name, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)
         ON CONFLICT (namespace_id, name) DO NOTHING RETURNING id",
    )
    .bind(repository.namespace_id)
    .bind(repository.name.as_str())
    .bind(repository.is_public)
    .bind(repository.category)
    .bind(repository.description.as_str())
    .bind(&repository.creator_id)
    .bind(&repository.creator_name)
    .bind(repository.created_at)
    .fetch_optional(db)
    .await;
    inserted.map_err(foreign_key_means(Error::NotFound(Resource::Namespace)))
}

/// Changes attributes of a repository.
#[derive(Debug)]
pub struct UpdateRepository {
    /// Which one.
    pub id: i64,
    /// What.
    pub change: RepositoryChange,
    pub now: Timestamp,
}

impl Write for UpdateRepository {
    type Output = ();
    // Whether it is public is remembered with what its name refers to.
    const INVALIDATES_NAMES: bool = true;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        let done = sqlx::query(
            "UPDATE repositories
             SET is_public = ?2, category = coalesce(?3, category),
                 description = coalesce(?4, description), updated_at = ?5
             WHERE id = ?1",
        )
        .bind(self.id)
        .bind(self.change.is_public)
        .bind(self.change.category)
        .bind(
            self.change
                .description
                .as_ref()
                .map(super::Description::as_str),
        )
        .bind(self.now)
        .execute(transaction)
        .await?;
        found(done.rows_affected())
    }
}

/// Removes a repository with all that is in it.
#[derive(Debug)]
pub struct DeleteRepository {
    /// Which one.
    pub id: i64,
    pub now: Timestamp,
}

impl Write for DeleteRepository {
    type Output = ();
    const INVALIDATES_NAMES: bool = true;
    const RELOADS_FIRINGS: bool = true;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        account::store::snapshot_usage(transaction, self.id, self.now).await?;
        let done = sqlx::query("DELETE FROM repositories WHERE id = ?")
            .bind(self.id)
            .execute(transaction)
            .await?;
        found(done.rows_affected())
    }
}

fn found(rows: u64) -> Result<()> {
    if rows == 0 {
        return Err(Error::NotFound(Resource::Repository));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Category, Description};
    use super::*;
    use crate::clock::Clock;
    use crate::db::testing::TestDb;
    use crate::namespace::{self, NamespaceName};

    async fn namespace(test: &TestDb, name: &str) -> Arc<Namespace> {
        let name = NamespaceName::parse(name).expect("a legal name");
        let found = namespace::store::find(test.db.readers(), "r1", &name).await;
        Arc::new(found.expect("read").expect("there"))
    }

    async fn id_of(test: &TestDb, namespace: &Arc<Namespace>, name: &str) -> Option<i64> {
        let name = RepositoryName::parse(name).expect("a legal name");
        let found = find_ref(test.db.readers(), namespace, &name)
            .await
            .expect("read");
        found.map(|found| found.id)
    }

    fn new(namespace_id: i64, name: &str) -> NewRepository {
        NewRepository {
            namespace_id,
            name: RepositoryName::parse(name).expect("a legal name"),
            is_public: true,
            category: Category::Linux,
            description: Description::default(),
            creator_id: "u".to_owned(),
            creator_name: "user".to_owned(),
            created_at: Clock::default().now(),
        }
    }

    #[tokio::test]
    async fn create_tells_a_taken_name_from_a_missing_organization() {
        let test = TestDb::seeded("organizations: [{name: g}]").await;
        let group = namespace(&test, "g").await;
        let create = async |new| test.db.write(CreateRepository(new)).await;
        create(new(group.id, "a/b")).await.expect("free");
        let taken = create(new(group.id, "a/b")).await;
        assert!(matches!(
            taken,
            Err(Error::AlreadyExists(Resource::Repository))
        ));
        let lost = create(new(group.id + 1, "a")).await;
        assert!(matches!(lost, Err(Error::NotFound(Resource::Namespace))));

        let id = id_of(&test, &group, "a/b").await.expect("there");
        let found = find(test.db.readers(), id)
            .await
            .expect("read")
            .expect("there");
        assert_eq!(
            (found.name.as_str(), found.namespace.as_str()),
            ("a/b", "g")
        );
        assert_eq!((found.is_public, found.category), (true, Category::Linux));
        assert_eq!(found.account_name, "swr-emulator");
    }

    #[tokio::test]
    async fn update_and_delete_tell_that_it_is_gone() {
        let test = TestDb::seeded("organizations: [{name: g, repositories: [{name: a}]}]").await;
        let group = namespace(&test, "g").await;
        let id = id_of(&test, &group, "a").await.expect("there");
        let update = |id| UpdateRepository {
            id,
            change: RepositoryChange {
                is_public: true,
                category: None,
                description: None,
            },
            now: Clock::default().now(),
        };
        test.db.write(update(id)).await.expect("there");
        test.db
            .write(DeleteRepository {
                id,
                now: Clock::default().now(),
            })
            .await
            .expect("there");
        for result in [
            test.db.write(update(id)).await,
            test.db
                .write(DeleteRepository {
                    id,
                    now: Clock::default().now(),
                })
                .await,
        ] {
            assert!(matches!(result, Err(Error::NotFound(Resource::Repository))));
        }
        assert_eq!(id_of(&test, &group, "a").await, None);
    }

    #[tokio::test]
    async fn lists_page_in_a_stable_order_and_count_all() {
        let test = TestDb::seeded(
            "organizations: [{name: g, repositories: [{name: c}, {name: a}, {name: b}]}]",
        )
        .await;
        let group = namespace(&test, "g").await;
        let filter = RepositoryFilter {
            region: "r1".to_owned(),
            account_id: group.account_id.clone(),
            ..RepositoryFilter::default()
        };
        let check = async |order, limit, offset, expected: &[&str]| {
            let page = Page { limit, offset };
            let (found, total) = list(test.db.readers(), &filter, order, page)
                .await
                .expect("read");
            let names: Vec<_> = found.iter().map(|found| found.name.as_str()).collect();
            assert_eq!((names.as_slice(), total), (expected, 3));
        };
        check(None, 2, 0, &["c", "a"]).await;
        check(None, 2, 2, &["b"]).await;
        check(None, 2, 4, &[]).await;
        let by_name = Some((OrderColumn::Name, SortOrder::Descending));
        check(by_name, 3, 0, &["c", "b", "a"]).await;
        let by_tags = Some((OrderColumn::TagCount, SortOrder::Descending));
        check(by_tags, 3, 0, &["c", "a", "b"]).await;

        let second = list_after(test.db.readers(), &filter, 1, 1)
            .await
            .expect("read");
        assert_eq!(second.len(), 1);
        assert_eq!(second[0].name, "a");
    }
}
