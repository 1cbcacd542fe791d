-- Times are whole milliseconds since 1970 began, since the MAC of a row is over these: `to_timestamp(signs_from / 1000.0)`
-- shows one. Names compare by their bytes, so that no upgrade of the system's locale disorders an index.
CREATE TABLE portcullis_schema (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version bigint NOT NULL,
    compatible_from bigint NOT NULL
);
CREATE TABLE portcullis_key_ring (
    issuer text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    longest_lifetime_ms bigint NOT NULL,
    mac bytea NOT NULL
);
CREATE TABLE portcullis_keys (
    issuer text COLLATE "C" NOT NULL REFERENCES portcullis_key_ring,
    key_id text COLLATE "C" NOT NULL,
    algorithm text NOT NULL,
    public_jwk text NOT NULL,
    seal_id text,
    sealed bytea,
    signer_key text,
    published_at bigint NOT NULL,
    signs_from bigint NOT NULL,
    signs_until bigint,
    verifies_until bigint,
    withdrawn_at bigint,
    is_private_kept boolean NOT NULL,
    mac bytea NOT NULL,
    PRIMARY KEY (issuer, key_id)
);
INSERT INTO portcullis_schema (version, compatible_from) VALUES (1, 1);
