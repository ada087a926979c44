//! The SQL of organizations.

use sqlx::{AssertSqlSafe, FromRow, SqliteConnection, SqliteExecutor};

use super::{Namespace, NamespaceFilter, NamespaceName, NewNamespace};
use crate::db::{Write, foreign_key_means};
use crate::error::{Error, Resource, Result};
use crate::permission::{self, Grant, GrantTarget, Level, Permissions};

#[derive(FromRow)]
struct NamespaceRow {
    id: i64,
    region: String,
    name: String,
    account_id: String,
    creator_name: String,
    permissions: String,
}

impl TryFrom<NamespaceRow> for Namespace {
    type Error = Error;

    fn try_from(row: NamespaceRow) -> Result<Self> {
        Ok(Self {
            id: row.id,
            region: row.region,
            name: NamespaceName::parse(&row.name).map_err(Error::internal)?,
            account_id: row.account_id,
            creator_name: row.creator_name,
            permissions: Permissions::from_json(&row.permissions)?,
        })
    }
}

/// The columns of [`NamespaceRow`].
const COLUMNS: &str = "id, region, name, account_id, creator_name,
     (SELECT json_group_array(json_array(user_id, auth)) FROM namespace_permissions
      WHERE namespace_id = namespaces.id) AS permissions";

/// The organization with this name.
pub async fn find(
    db: impl SqliteExecutor<'_>,
    region: &str,
    name: &NamespaceName,
) -> Result<Option<Namespace>> {
    let sql = format!("SELECT {COLUMNS} FROM namespaces WHERE region = ? AND name = ?");
    let row: Option<NamespaceRow> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(region)
        .bind(name.as_str())
        .fetch_optional(db)
        .await?;
    row.map(Namespace::try_from).transpose()
}

/// An organization and how many repositories it holds.
#[derive(Debug)]
pub struct NamespaceWithCounts {
    /// The organization.
    pub namespace: Namespace,
    /// The number of its repositories.
    pub repositories: i64,
    /// The number of users with a right in it.
    pub users: i64,
}

#[derive(FromRow)]
struct CountedRow {
    #[sqlx(flatten)]
    namespace: NamespaceRow,
    repositories: i64,
    users: i64,
}

/// The organizations that pass the filter, by id.
pub async fn list(
    db: impl SqliteExecutor<'_>,
    filter: &NamespaceFilter,
) -> Result<Vec<NamespaceWithCounts>> {
    let sql = format!(
        "SELECT {COLUMNS},
                (SELECT count(*) FROM repositories WHERE namespace_id = namespaces.id)
                    AS repositories,
                (SELECT count(*) FROM namespace_permissions WHERE namespace_id = namespaces.id)
                    AS users
         FROM namespaces
         WHERE region = ?1 AND account_id = ?2
           AND (?3 IS NULL OR name = ?3)
           AND (?4 IS NULL OR instr(name, ?4) > 0)
           AND (?5 IS NULL
                OR EXISTS (SELECT 1 FROM namespace_permissions p
                           WHERE p.namespace_id = namespaces.id AND p.user_id = ?5)
                OR ?6 AND EXISTS (
                    SELECT 1 FROM repository_permissions p
                    JOIN repositories r ON r.id = p.repository_id
                    WHERE r.namespace_id = namespaces.id AND p.user_id = ?5))
         ORDER BY id"
    );
    let rows: Vec<CountedRow> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(&filter.region)
        .bind(&filter.account_id)
        .bind(&filter.name)
        .bind(&filter.name_part)
        .bind(&filter.user_id)
        .bind(filter.is_visible)
        .fetch_all(db)
        .await?;
    rows.into_iter()
        .map(|row| {
            Ok(NamespaceWithCounts {
                namespace: row.namespace.try_into()?,
                repositories: row.repositories,
                users: row.users,
            })
        })
        .collect()
}

/// Makes an organization, if the name is free and the quota not used up.
#[derive(Debug)]
pub struct CreateNamespace {
    /// The organization.
    pub namespace: NewNamespace,
    /// How many the account may have in the region.
    pub quota: u32,
}

impl Write for CreateNamespace {
    type Output = ();
    const INVALIDATES_NAMES: bool = true;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        let Self { namespace, quota } = self;
        if insert(&mut *transaction, &namespace, Some(Level::Manage))
            .await?
            .is_none()
        {
            return Err(Error::AlreadyExists(Resource::Namespace));
        }
        let held: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM namespaces WHERE account_id = ? AND region = ?",
        )
        .bind(&namespace.account_id)
        .bind(&namespace.region)
        .fetch_one(transaction)
        .await?;
        if held > i64::from(quota) {
            return Err(Error::NamespaceQuota(quota));
        }
        Ok(())
    }
}

/// Inserts an organization, and what its maker may do in it; its id, or none when the name is taken.
pub async fn insert(
    transaction: &mut SqliteConnection,
    namespace: &NewNamespace,
    level: Option<Level>,
) -> Result<Option<i64>> {
    let id = sqlx::query_scalar(
        "INSERT INTO namespaces (region, name, account_id, creator_id, creator_name, created_at)
         VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (region, name) DO NOTHING RETURNING id",
    )
    .bind(&namespace.region)
    .bind(namespace.name.as_str())
    .bind(&namespace.account_id)
    .bind(&namespace.creator_id)
    .bind(&namespace.creator_name)
    .bind(namespace.created_at)
    .fetch_optional(&mut *transaction)
    .await?;
    if let (Some(id), Some(level)) = (id, level) {
        let grant = Grant {
            user_id: namespace.creator_id.clone(),
            user_name: namespace.creator_name.clone(),
            level,
        };
        permission::store::insert(transaction, GrantTarget::Namespace(id), &grant).await?;
    }
    Ok(id)
}

/// Removes an organization that holds nothing.
#[derive(Debug)]
pub struct DeleteNamespace {
    /// Which one.
    pub id: i64,
}

impl Write for DeleteNamespace {
    type Output = ();
    const INVALIDATES_NAMES: bool = true;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        let deleted = sqlx::query("DELETE FROM namespaces WHERE id = ?")
            .bind(self.id)
            .execute(transaction)
            .await;
        let deleted = deleted.map_err(foreign_key_means(Error::NamespaceNotEmpty))?;
        if deleted.rows_affected() == 0 {
            return Err(Error::NotFound(Resource::Namespace));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::db::testing::TestDb;

    fn name(text: &str) -> NamespaceName {
        NamespaceName::parse(text).expect("a legal name")
    }

    fn create(test: &TestDb, region: &str, text: &str) -> CreateNamespace {
        let admin = test
            .directory
            .builtin_admin()
            .expect("the built-in account");
        CreateNamespace {
            namespace: NewNamespace {
                region: region.to_owned(),
                name: name(text),
                account_id: admin.account.id.clone(),
                creator_id: admin.id.clone(),
                creator_name: admin.name.clone(),
                created_at: Clock::default().now(),
            },
            quota: 2,
        }
    }

    #[tokio::test]
    async fn a_name_is_unique_in_its_region_and_the_quota_holds_there() {
        let test = TestDb::seeded("").await;
        let write = async |region, name| test.db.write(create(&test, region, name)).await;
        write("r1", "a").await.expect("free");
        write("r2", "a").await.expect("free in the other region");
        let taken = write("r1", "a").await;
        assert!(matches!(
            taken,
            Err(Error::AlreadyExists(Resource::Namespace))
        ));
        write("r1", "b").await.expect("within the quota");
        assert!(matches!(
            write("r1", "c").await,
            Err(Error::NamespaceQuota(2))
        ));
        let found = find(test.db.readers(), "r1", &name("c"))
            .await
            .expect("read");
        assert!(found.is_none(), "what is over the quota is not kept");
    }

    #[tokio::test]
    async fn find_and_list_see_what_belongs_to_the_account_and_region() {
        let test = TestDb::seeded(
            "accounts: [{name: other, users: [{name: u}]}]
organizations: [{name: ab, repositories: [{name: x}, {name: y}]}, {name: abc}, {name: theirs, account: other}]",
        )
        .await;
        let found = find(test.db.readers(), "r1", &name("ab"))
            .await
            .expect("read");
        let found = found.expect("there");
        assert_eq!(
            (found.name.as_str(), found.creator_name.as_str()),
            ("ab", "admin")
        );
        let elsewhere = find(test.db.readers(), "r2", &name("ab"))
            .await
            .expect("read");
        assert!(elsewhere.is_none());

        let check = async |exact: Option<&str>, part: Option<&str>, expected: &[(&str, i64)]| {
            let filter = NamespaceFilter {
                region: "r1".to_owned(),
                account_id: found.account_id.clone(),
                name: exact.map(str::to_owned),
                name_part: part.map(str::to_owned),
                ..NamespaceFilter::default()
            };
            let listed = list(test.db.readers(), &filter).await.expect("a list");
            let listed: Vec<_> = listed
                .iter()
                .map(|entry| (entry.namespace.name.as_str(), entry.repositories))
                .collect();
            assert_eq!(listed, expected);
        };
        check(None, None, &[("ab", 2), ("abc", 0)]).await;
        check(Some("ab"), None, &[("ab", 2)]).await;
        check(None, Some("c"), &[("abc", 0)]).await;
    }

    #[tokio::test]
    async fn delete_tells_a_missing_organization_from_one_that_holds_something() {
        let test =
            TestDb::seeded("organizations: [{name: a, repositories: [{name: x}]}, {name: b}]")
                .await;
        let id = async |text| {
            let found = find(test.db.readers(), "r1", &name(text))
                .await
                .expect("read");
            found.expect("there").id
        };
        let (full, empty) = (id("a").await, id("b").await);
        let delete = async |id| test.db.write(DeleteNamespace { id }).await;
        assert!(matches!(delete(full).await, Err(Error::NamespaceNotEmpty)));
        delete(empty).await.expect("empty");
        let again = delete(empty).await;
        assert!(matches!(again, Err(Error::NotFound(Resource::Namespace))));
    }
}
