//! What the emulator is compared with: a bare axum server, and one that stores triggers the
//! obvious way. Both are this program once more, and end when its stdin does.

use std::io::{Read, Write};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tokio::net::TcpListener;

use crate::Result;
use crate::workload::{self, MANY, Place};

/// The argument that makes the program the bare server.
pub(crate) const BARE: &str = "serve-bare";
/// The argument that makes it the naive server; the database's path follows, and how many triggers
/// are there to be read once.
pub(crate) const NAIVE: &str = "serve-naive";

/// Triggers in a list.
pub(crate) const LIST: u32 = 20;

const TRIGGERS: &str = "/v2/manage/namespaces/{namespace}/repos/{repository}/triggers";
const TRIGGER: &str = "/v2/manage/namespaces/{namespace}/repos/{repository}/triggers/{trigger}";

/// The body of `CreateTrigger`.
#[derive(Debug, Clone, Deserialize)]
struct NewTrigger {
    action: String,
    app_type: String,
    application: String,
    cluster_id: String,
    cluster_name: String,
    cluster_ns: String,
    condition: String,
    container: String,
    enable: String,
    name: String,
    trigger_mode: String,
    trigger_type: String,
}

/// A trigger as it is shown.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
struct Trigger {
    action: String,
    app_type: String,
    application: String,
    cluster_id: String,
    cluster_name: String,
    cluster_ns: String,
    condition: String,
    container: String,
    created_at: String,
    creator_name: String,
    enable: String,
    name: String,
    #[sqlx(skip)]
    trigger_history: Vec<()>,
    trigger_mode: String,
    trigger_type: String,
}

fn json(status: StatusCode, body: impl IntoResponse) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

fn failed(status: StatusCode, error: &dyn std::fmt::Display) -> Response {
    (status, error.to_string()).into_response()
}

/// A server that reads and writes JSON and does nothing else.
pub(crate) fn serve_bare() -> Result<()> {
    let trigger = Trigger {
        action: "update".to_owned(),
        app_type: "deployments".to_owned(),
        application: "adsfa".to_owned(),
        cluster_id: "5b28c12f-dc10-11e9-97b3-0255ac1001b5".to_owned(),
        cluster_name: "test".to_owned(),
        cluster_ns: "default".to_owned(),
        condition: ".*".to_owned(),
        container: String::new(),
        created_at: "2020-04-16T02:04:55.922236Z".to_owned(),
        creator_name: "admin".to_owned(),
        enable: "true".to_owned(),
        name: "c00000000".to_owned(),
        trigger_history: Vec::new(),
        trigger_mode: "cce".to_owned(),
        trigger_type: "all".to_owned(),
    };
    let one = Bytes::from(serde_json::to_vec(&trigger)?);
    let many = Bytes::from(serde_json::to_vec(&vec![trigger; usize::try_from(LIST)?])?);
    let create = async |body: Bytes| match serde_json::from_slice::<NewTrigger>(&body) {
        Ok(trigger) => {
            std::hint::black_box(trigger);
            json(StatusCode::CREATED, "{}")
        }
        Err(error) => failed(StatusCode::BAD_REQUEST, &error),
    };
    let router = Router::new()
        .route("/health", get(async || "{}"))
        .route(
            TRIGGERS,
            post(create).get(async move || json(StatusCode::OK, many)),
        )
        .route(TRIGGER, get(async move || json(StatusCode::OK, one)));
    tokio::runtime::Runtime::new()?.block_on(serve(router))
}

/// A server that stores triggers as one would write it at first: a pool, and a statement for each
/// request that is its own transaction. As durable as the emulator.
pub(crate) fn serve_naive(database: &str, cold: u32) -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let options = SqliteConnectOptions::new()
            .filename(database)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            // Long, because one who waits for the lock has no turn and can be unlucky often.
            .busy_timeout(Duration::from_secs(30));
        let pool = SqlitePoolOptions::new()
            .max_connections(10)
            .connect_with(options)
            .await?;
        sqlx::raw_sql(
            "CREATE TABLE repositories (
                 id        INTEGER PRIMARY KEY,
                 namespace TEXT NOT NULL,
                 name      TEXT NOT NULL,
                 UNIQUE (namespace, name)
             );
             CREATE TABLE triggers (
                 id            INTEGER PRIMARY KEY,
                 repository_id INTEGER NOT NULL REFERENCES repositories (id),
                 name          TEXT NOT NULL,
                 action        TEXT NOT NULL,
                 app_type      TEXT NOT NULL,
                 application   TEXT NOT NULL,
                 cluster_id    TEXT NOT NULL,
                 cluster_name  TEXT NOT NULL,
                 cluster_ns    TEXT NOT NULL,
                 condition     TEXT NOT NULL,
                 container     TEXT NOT NULL,
                 created_at    TEXT NOT NULL,
                 creator_name  TEXT NOT NULL,
                 enable        TEXT NOT NULL,
                 trigger_mode  TEXT NOT NULL,
                 trigger_type  TEXT NOT NULL,
                 UNIQUE (repository_id, name)
             );",
        )
        .execute(&pool)
        .await?;
        for repository in workload::repositories() {
            sqlx::query("INSERT INTO repositories (namespace, name) VALUES ('group', ?)")
                .bind(repository)
                .execute(&pool)
                .await?;
        }
        for (place, count) in workload::seeded(cold) {
            fill(&pool, place, count).await?;
        }
        let router = Router::new()
            .route("/health", get(async || "{}"))
            .route(TRIGGERS, post(create).get(list))
            .route(TRIGGER, get(show))
            .with_state(pool);
        serve(router).await
    })
}

/// Makes the triggers that the emulator gets through its API.
async fn fill(pool: &SqlitePool, place: Place, count: u32) -> Result<()> {
    sqlx::query(
        "WITH RECURSIVE numbers (number) AS (
             SELECT 0 UNION ALL SELECT number + 1 FROM numbers WHERE number + 1 < ?
         )
         INSERT INTO triggers (repository_id, name, action, app_type, application, cluster_id,
                               cluster_name, cluster_ns, condition, container, created_at,
                               creator_name, enable, trigger_mode, trigger_type)
         SELECT r.id, printf('c%08d', number), 'update', 'deployments', 'adsfa',
                '5b28c12f-dc10-11e9-97b3-0255ac1001b5', 'test', 'default', '.*', '',
                '2020-04-16T02:04:55.922236Z', 'admin', 'true', 'cce', 'all'
         FROM numbers JOIN repositories r
             ON r.namespace = 'group' AND r.name = printf(?, number % ?)
         ORDER BY number",
    )
    .bind(count)
    .bind(place.format())
    .bind(MANY)
    .execute(pool)
    .await?;
    Ok(())
}

async fn create(
    State(pool): State<SqlitePool>,
    Path((namespace, repository)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let new: NewTrigger = match serde_json::from_slice(&body) {
        Ok(new) => new,
        Err(error) => return failed(StatusCode::BAD_REQUEST, &error),
    };
    let done = sqlx::query(
        "INSERT INTO triggers (repository_id, name, action, app_type, application, cluster_id,
                               cluster_name, cluster_ns, condition, container, created_at,
                               creator_name, enable, trigger_mode, trigger_type)
         SELECT id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
         FROM repositories WHERE namespace = ? AND name = ?",
    )
    .bind(new.name)
    .bind(new.action)
    .bind(new.app_type)
    .bind(new.application)
    .bind(new.cluster_id)
    .bind(new.cluster_name)
    .bind(new.cluster_ns)
    .bind(new.condition)
    .bind(new.container)
    .bind(Timestamp::now().to_string())
    .bind("admin")
    .bind(new.enable)
    .bind(new.trigger_mode)
    .bind(new.trigger_type)
    .bind(namespace)
    .bind(repository)
    .execute(&pool)
    .await;
    match done {
        Ok(done) if done.rows_affected() == 1 => json(StatusCode::CREATED, "{}"),
        Ok(_) => failed(StatusCode::NOT_FOUND, &"no such repository"),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}

async fn show(
    State(pool): State<SqlitePool>,
    Path((namespace, repository, name)): Path<(String, String, String)>,
) -> Response {
    let found: sqlx::Result<Option<Trigger>> = sqlx::query_as(
        "SELECT t.* FROM triggers t JOIN repositories r ON r.id = t.repository_id
         WHERE r.namespace = ? AND r.name = ? AND t.name = ?",
    )
    .bind(namespace)
    .bind(repository)
    .bind(name)
    .fetch_optional(&pool)
    .await;
    match found {
        Ok(Some(trigger)) => json_of(&trigger),
        Ok(None) => failed(StatusCode::NOT_FOUND, &"no such trigger"),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}

async fn list(
    State(pool): State<SqlitePool>,
    Path((namespace, repository)): Path<(String, String)>,
) -> Response {
    let found: sqlx::Result<Vec<Trigger>> = sqlx::query_as(
        "SELECT t.* FROM triggers t JOIN repositories r ON r.id = t.repository_id
         WHERE r.namespace = ? AND r.name = ? ORDER BY t.id",
    )
    .bind(namespace)
    .bind(repository)
    .fetch_all(&pool)
    .await;
    match found {
        Ok(triggers) => json_of(&triggers),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}

fn json_of(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => json(StatusCode::OK, body),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}

/// Serves until SIGTERM or until stdin ends, which it does when the benchmark is gone.
async fn serve(router: Router) -> Result<()> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    writeln!(std::io::stdout(), "listening on http://{address}")?;
    axum::serve(listener, router).await?;
    Ok(())
}
