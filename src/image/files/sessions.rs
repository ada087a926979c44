//! The uploads under way, by their ids.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::MutexGuard;

use super::{Files, random_name};
use crate::image::error::ImageError;
use crate::image::reference::ImagePath;
use crate::image::upload::Session;

/// How long a client may leave an upload alone between two requests.
const IDLE: Duration = Duration::from_hours(1);
/// Uploads under way at once.
const MOST_UPLOADS: usize = 10_000;

/// An upload that ends with this value, whatever became of it.
#[derive(Debug)]
pub struct Ending {
    files: Arc<Files>,
    id: String,
}

impl Ending {
    /// Of the upload with this id.
    pub fn of(files: &Arc<Files>, id: String) -> Self {
        let files = Arc::clone(files);
        Self { files, id }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.files.forget(&self.id);
    }
}

impl Files {
    /// Starts an upload. Where there are too many, the one that was left alone longest has to go,
    /// which most likely nobody comes back to.
    pub fn start(&self, path: ImagePath) -> Result<(String, Arc<Session>), ImageError> {
        let upload = self.create()?;
        let id = random_name()?;
        let session = Arc::new(Session::new(path, upload, Arc::clone(&self.writing)));
        let mut sessions = self.sessions();
        let displaced = if sessions.len() >= MOST_UPLOADS {
            // Nobody but the map holds what no request works on.
            let longest_alone = sessions
                .iter()
                .filter(|(_, session)| Arc::strong_count(session) == 1)
                .min_by_key(|(_, session)| session.touched())
                .map(|(id, _)| id.clone());
            let longest_alone = longest_alone.ok_or(ImageError::TooManyUploads(MOST_UPLOADS))?;
            sessions.remove(&longest_alone)
        } else {
            None
        };
        sessions.insert(id.clone(), Arc::clone(&session));
        drop(sessions);
        discard(displaced.into_iter().collect());
        Ok((id, session))
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.sessions.lock()
    }

    /// The upload with this id, if it is for this repository.
    pub fn session(&self, path: &ImagePath, id: &str) -> Result<Arc<Session>, ImageError> {
        let sessions = self.sessions();
        let session = sessions.get(id).filter(|session| session.path == *path);
        let session = session.ok_or(ImageError::UploadUnknown)?;
        session.touch();
        Ok(Arc::clone(session))
    }

    /// Ends an upload, whatever became of it. Its file goes with the last request that works on
    /// it.
    pub fn forget(&self, id: &str) {
        let session = self.sessions().remove(id);
        discard(session.into_iter().collect());
    }

    /// Ends the uploads that their clients left alone.
    pub fn forget_idle(&self) {
        let is_idle = |session: &mut Arc<Session>| {
            Arc::strong_count(session) == 1 && session.touched().elapsed() >= IDLE
        };
        let idle = self
            .sessions()
            .extract_if(|_, session| is_idle(session))
            .map(|(_, session)| session)
            .collect();
        discard(idle);
    }

    /// Ends all uploads.
    pub fn forget_all(&self) {
        let all = std::mem::take(&mut *self.sessions());
        discard(all.into_values().collect());
    }
}

/// Lets go of uploads where that holds up nobody: the files of large ones take a while to remove.
fn discard(mut sessions: Vec<Arc<Session>>) {
    // What was finished, or never written, has no file.
    sessions.retain(|session| session.size().is_ok_and(|size| size > 0));
    if !sessions.is_empty()
        && let Ok(runtime) = tokio::runtime::Handle::try_current()
    {
        drop(runtime.spawn_blocking(move || drop(sessions)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{body, files, left};
    use super::*;

    #[tokio::test]
    async fn the_upload_that_was_left_alone_longest_makes_room_for_a_new_one() {
        let (_folder, files) = files();
        let path = ImagePath::parse("g/a").expect("a legal name");
        let start = || Ok::<_, ImageError>(files.start(path.clone())?.0);
        let ids: Vec<_> = (0..MOST_UPLOADS)
            .map(|_| start().expect("started"))
            .collect();
        // A request works on the first one, and the second was asked for a moment ago.
        let busy = files.session(&path, &ids[0]).expect("there");
        drop(files.session(&path, &ids[1]));

        let new = start().expect("there is room");

        assert!(files.session(&path, &ids[2]).is_err(), "it had to go");
        for id in [&ids[0], &ids[1], &ids[3], &new] {
            assert!(files.session(&path, id).is_ok());
        }
        drop(busy);
        // Where requests work on all of them, there is nothing to displace.
        let busy: Vec<_> = files.sessions().values().cloned().collect();
        let error = start().expect_err("no room");
        assert!(matches!(error, ImageError::TooManyUploads(MOST_UPLOADS)));
        drop(busy);
        start().expect("there is room");
    }

    #[tokio::test]
    async fn an_upload_ends_with_its_ending_and_its_file_with_the_last_request() {
        let (folder, files) = files();
        let files = Arc::new(files);
        let path = ImagePath::parse("g/a").expect("a legal name");
        let (id, session) = files.start(path.clone()).expect("started");
        let added = session.append(body("content"), None).await;
        added.expect("added");
        drop(Ending::of(&files, id.clone()));
        assert!(files.session(&path, &id).is_err());
        assert_eq!(left(&folder, "uploads"), 1);
        drop(session);
        // Whoever lets go of it last does so in a thread of its own.
        let gone = async {
            while left(&folder, "uploads") > 0 {
                tokio::task::yield_now().await;
            }
        };
        let gone = tokio::time::timeout(Duration::from_secs(10), gone).await;
        gone.expect("the file goes");
    }
}
