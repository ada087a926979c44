//! The SQL of users that were made while the emulator ran.

use sqlx::{FromRow, SqliteConnection, SqliteExecutor};

use super::{Changes, MOST, MadeUser, Texts};
use crate::auth::{PasswordHash, delete_tokens_of};
use crate::clock::Timestamp;
use crate::db::Write;
use crate::error::{Error, Resource, Result};
use crate::{login, permission};

#[derive(FromRow)]
struct UserRow {
    id: String,
    account_id: String,
    name: String,
    enabled: bool,
    password_salt: Option<Vec<u8>>,
    password_hash: Option<Vec<u8>>,
    password_rounds: Option<u32>,
    pwd_status: bool,
    email: String,
    areacode: String,
    phone: String,
    xuser_id: String,
    xuser_type: String,
    access_mode: String,
    description: String,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl TryFrom<UserRow> for MadeUser {
    type Error = Error;

    fn try_from(row: UserRow) -> Result<Self> {
        let broken = |_| Error::internal("a password's hash is not one");
        let password = match (row.password_salt, row.password_hash, row.password_rounds) {
            (Some(salt), Some(hash), Some(rounds)) => Some(PasswordHash {
                salt: salt.try_into().map_err(broken)?,
                hash: hash.try_into().map_err(broken)?,
                rounds,
            }),
            _ => None,
        };
        Ok(Self {
            id: row.id,
            account_id: row.account_id,
            name: row.name,
            is_enabled: row.enabled,
            password,
            pwd_status: row.pwd_status,
            texts: Texts {
                email: row.email,
                areacode: row.areacode,
                phone: row.phone,
                xuser_id: row.xuser_id,
                xuser_type: row.xuser_type,
                access_mode: row.access_mode,
                description: row.description,
            },
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// All of them, in the order in which they were made.
pub(in crate::iam) async fn list(db: impl SqliteExecutor<'_>) -> Result<Vec<MadeUser>> {
    let rows: Vec<UserRow> = sqlx::query_as("SELECT * FROM iam_users ORDER BY rowid")
        .fetch_all(db)
        .await?;
    rows.into_iter().map(MadeUser::try_from).collect()
}

/// The one with this id.
pub(super) async fn find(db: impl SqliteExecutor<'_>, id: &str) -> Result<Option<MadeUser>> {
    let row: Option<UserRow> = sqlx::query_as("SELECT * FROM iam_users WHERE id = ?")
        .bind(id)
        .fetch_optional(db)
        .await?;
    row.map(MadeUser::try_from).transpose()
}

/// Puts a user in the place of the one with its id, or adds it.
async fn put(transaction: &mut SqliteConnection, user: &MadeUser) -> Result<()> {
    let hash = user.password.as_ref();
    let done = sqlx::query(
        "INSERT INTO iam_users (id, account_id, name, enabled, password_salt, password_hash,
             password_rounds, pwd_status, email, areacode, phone, xuser_id, xuser_type,
             access_mode, description, created_at, updated_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, enabled = excluded.enabled,
             password_salt = excluded.password_salt, password_hash = excluded.password_hash,
             password_rounds = excluded.password_rounds, pwd_status = excluded.pwd_status,
             email = excluded.email, areacode = excluded.areacode, phone = excluded.phone,
             xuser_id = excluded.xuser_id, xuser_type = excluded.xuser_type,
             access_mode = excluded.access_mode, description = excluded.description,
             updated_at = excluded.updated_at",
    )
    .bind(&user.id)
    .bind(&user.account_id)
    .bind(&user.name)
    .bind(user.is_enabled)
    .bind(hash.map(|hash| hash.salt.as_slice()))
    .bind(hash.map(|hash| hash.hash.as_slice()))
    .bind(hash.map(|hash| hash.rounds))
    .bind(user.pwd_status)
    .bind(&user.texts.email)
    .bind(&user.texts.areacode)
    .bind(&user.texts.phone)
    .bind(&user.texts.xuser_id)
    .bind(&user.texts.xuser_type)
    .bind(&user.texts.access_mode)
    .bind(&user.texts.description)
    .bind(user.created_at)
    .bind(user.updated_at)
    .execute(transaction)
    .await;
    match done {
        Ok(_) => Ok(()),
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
            Err(Error::AlreadyExists(Resource::User))
        }
        Err(error) => Err(error.into()),
    }
}

/// Keeps a user of the seed file, unless there is one with its id or its name.
pub async fn insert_missing(
    transaction: &mut SqliteConnection,
    user: &MadeUser,
    now: Timestamp,
) -> Result<()> {
    if find(&mut *transaction, &user.id).await?.is_some() {
        return Ok(());
    }
    let mut user = user.clone();
    (user.created_at, user.updated_at) = (now, now);
    match put(transaction, &user).await {
        Err(Error::AlreadyExists(Resource::User)) => Ok(()),
        done => done,
    }
}

/// Keeps a new user.
#[derive(Debug)]
pub(super) struct CreateUser(pub(super) MadeUser);

impl Write for CreateUser {
    type Output = ();

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        let users: i64 = sqlx::query_scalar("SELECT count(*) FROM iam_users WHERE account_id = ?")
            .bind(&self.0.account_id)
            .fetch_one(&mut *transaction)
            .await?;
        if usize::try_from(users).map_or(true, |users| users >= MOST) {
            let rule = format!(
                "the limit of {MOST} users per account is reached, not counting those of the seed \
                 file"
            );
            return Err(Error::invalid("user", rule));
        }
        put(transaction, &self.0).await
    }
}

/// Changes a user; how it is then.
#[derive(Debug)]
pub(super) struct UpdateUser {
    pub(super) id: String,
    pub(super) changes: Changes,
    pub(super) now: Timestamp,
}

impl Write for UpdateUser {
    type Output = MadeUser;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<MadeUser> {
        let found = find(&mut *transaction, &self.id).await?;
        let mut user = found.ok_or(Error::NotFound(Resource::User))?;
        let old_name = user.name.clone();
        if self.changes.end_logins() {
            end_logins(transaction, &user.id).await?;
        }
        self.changes.apply(&mut user, self.now);
        put(transaction, &user).await?;
        if user.name != old_name {
            permission::store::rename(transaction, &user.id, &user.name).await?;
        }
        Ok(user)
    }
}

/// Deletes a user with all that it may do.
#[derive(Debug)]
pub(super) struct DeleteUser(pub(super) String);

impl Write for DeleteUser {
    type Output = ();
    // What a name refers to is remembered with the rights in it.
    const INVALIDATES_NAMES: bool = true;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        let done = sqlx::query("DELETE FROM iam_users WHERE id = ?")
            .bind(&self.0)
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            return Err(Error::NotFound(Resource::User));
        }
        permission::store::delete_of(transaction, &self.0).await?;
        end_logins(transaction, &self.0).await
    }
}

async fn end_logins(transaction: &mut SqliteConnection, user_id: &str) -> Result<()> {
    delete_tokens_of(&mut *transaction, user_id).await?;
    login::store::delete_of(transaction, user_id).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::testing::TestDb;

    #[tokio::test]
    async fn an_account_has_a_bounded_number_of_users() {
        let test = TestDb::seeded("accounts: [{name: a, id: a}]").await;
        let user = |at: usize| MadeUser {
            id: at.to_string(),
            account_id: "a".to_owned(),
            name: format!("u{at}"),
            is_enabled: true,
            password: None,
            pwd_status: false,
            texts: Texts {
                access_mode: "default".to_owned(),
                ..Texts::default()
            },
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
        };
        let writes = (0..MOST).map(|at| test.db.write(CreateUser(user(at))));
        for made in futures_util::future::join_all(writes).await {
            made.expect("there is room");
        }
        let refused = test.db.write(CreateUser(user(MOST))).await;
        let refused = refused.expect_err("there is none").to_string();
        assert!(refused.starts_with("user: the limit of"), "{refused}");
    }
}
