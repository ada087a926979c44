//! Counts pulls. Each would cost a write; they are gathered for a moment and written together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::warn;

use super::store::CountDownloads;
use crate::app::App;

/// How long pulls are gathered.
const GATHER: Duration = Duration::from_millis(250);

/// Pulls by repository that are not in the database yet.
#[derive(Debug, Default)]
pub struct Downloads(Mutex<HashMap<i64, i64>>);

impl Downloads {
    /// Counts one. The first of a moment sees to it that they are written.
    pub fn count(&self, app: &Arc<App>, repository_id: i64) {
        let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = gathered.is_empty();
        *gathered.entry(repository_id).or_default() += 1;
        if is_first {
            let app = Arc::clone(app);
            tokio::spawn(async move {
                tokio::time::sleep(GATHER).await;
                app.registry.downloads.flush(&app).await;
            });
        }
    }

    /// Writes what was gathered.
    pub async fn flush(&self, app: &App) {
        let gathered = {
            let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *gathered)
        };
        if gathered.is_empty() {
            return;
        }
        if let Err(error) = app.db.write(CountDownloads(gathered)).await {
            warn!(chain = error.chain(), "Could not count pulls");
        }
    }
}
