-- Times are whole milliseconds since 1970 began: `datetime(signs_from / 1000, 'unixepoch')` shows one.
CREATE TABLE portcullis_schema (
    only_row INTEGER PRIMARY KEY DEFAULT 1 CHECK (only_row = 1),
    version INTEGER NOT NULL,
    compatible_from INTEGER NOT NULL
) STRICT;
CREATE TABLE portcullis_key_ring (
    issuer TEXT NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    longest_lifetime_ms INTEGER NOT NULL,
    mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE portcullis_keys (
    issuer TEXT NOT NULL REFERENCES portcullis_key_ring,
    key_id TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    public_jwk TEXT NOT NULL,
    seal_id TEXT,
    sealed BLOB,
    signer_key TEXT,
    published_at INTEGER NOT NULL,
    signs_from INTEGER NOT NULL,
    signs_until INTEGER,
    verifies_until INTEGER,
    withdrawn_at INTEGER,
    is_private_kept INTEGER NOT NULL CHECK (is_private_kept IN (0, 1)),
    mac BLOB NOT NULL,
    PRIMARY KEY (issuer, key_id)
) STRICT, WITHOUT ROWID;
INSERT INTO portcullis_schema (version, compatible_from) VALUES (1, 1);
