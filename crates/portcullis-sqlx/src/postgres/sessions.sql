-- One row a session. A rotation changes no column that an index has, so that it stays on its page (HOT): leave the indexes as
-- they are, and some room on each page.
CREATE TABLE portcullis_subjects (
    issuer text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    raised_at bigint,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX ON portcullis_subjects (issuer, raised_at, subject) WHERE raised_at IS NOT NULL;
CREATE TABLE portcullis_sessions (
    issuer text COLLATE "C" NOT NULL,
    id bytea NOT NULL,
    subject text COLLATE "C" NOT NULL,
    client text NOT NULL,
    created_at bigint NOT NULL,
    ends_at bigint NOT NULL,
    details text NOT NULL,
    binding bytea,
    mac bytea NOT NULL,
    subject_version bigint NOT NULL,
    version bigint NOT NULL,
    generation bigint NOT NULL,
    current_hash bytea NOT NULL,
    previous_hash bytea,
    salt bytea,
    rotated_at bigint NOT NULL,
    idle_until bigint NOT NULL,
    ended_at bigint,
    end_reason bigint,
    PRIMARY KEY (issuer, id)
) WITH (fillfactor = 80);
CREATE INDEX ON portcullis_sessions (issuer, subject, created_at, id);
CREATE INDEX ON portcullis_sessions (issuer, ended_at, id) WHERE ended_at IS NOT NULL;
UPDATE portcullis_schema SET version = 2;
