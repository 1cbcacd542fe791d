//! The lists in `docs/api`, and whose types they name: see `tests/api`.
