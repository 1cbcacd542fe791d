-- One row a session.
CREATE TABLE portcullis_subjects (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    version INTEGER NOT NULL,
    raised_at INTEGER,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX portcullis_subjects_raised ON portcullis_subjects (issuer, raised_at, subject) WHERE raised_at IS NOT NULL;
CREATE TABLE portcullis_sessions (
    issuer TEXT NOT NULL,
    id BLOB NOT NULL,
    subject TEXT NOT NULL,
    client TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    details TEXT NOT NULL,
    binding BLOB,
    mac BLOB NOT NULL,
    subject_version INTEGER NOT NULL,
    version INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    current_hash BLOB NOT NULL,
    previous_hash BLOB,
    salt BLOB,
    rotated_at INTEGER NOT NULL,
    idle_until INTEGER NOT NULL,
    ended_at INTEGER,
    end_reason INTEGER,
    PRIMARY KEY (issuer, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX portcullis_sessions_subject ON portcullis_sessions (issuer, subject, created_at, id);
CREATE INDEX portcullis_sessions_ended ON portcullis_sessions (issuer, ended_at, id) WHERE ended_at IS NOT NULL;
UPDATE portcullis_schema SET version = 2;
