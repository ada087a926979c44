-- What deletions and the lists of /_emulator/ look for.

CREATE INDEX pushes_by_repository ON pushes (repository_id, id);
CREATE INDEX trigger_history_by_push ON trigger_history (push_id);
CREATE INDEX triggers_by_repository ON triggers (repository_id, id);
CREATE INDEX temporary_logins_by_expiry ON temporary_logins (expires_at);
