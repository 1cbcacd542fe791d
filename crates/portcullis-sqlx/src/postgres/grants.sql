GRANT SELECT ON portcullis_schema TO token_issuer;
GRANT SELECT, INSERT, UPDATE ON portcullis_key_ring TO token_issuer;
GRANT SELECT, INSERT, DELETE ON portcullis_keys TO token_issuer;
