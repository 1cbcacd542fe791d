GRANT SELECT ON portcullis_schema TO token_issuer;
GRANT SELECT, INSERT, UPDATE ON portcullis_key_ring TO token_issuer;
GRANT SELECT, INSERT, DELETE ON portcullis_keys TO token_issuer;
GRANT SELECT, INSERT, UPDATE, DELETE ON portcullis_sessions TO token_issuer;
GRANT SELECT, INSERT, UPDATE, DELETE ON portcullis_subjects TO token_issuer;
