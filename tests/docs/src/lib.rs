//! The code in the project's README, in the crates' own and in the guide compiles and runs, as doctests of this crate.
#![cfg_attr(doctest, doc = include_str!("../../../README.md"))]

/// The pages of the guide that the core has in its documentation.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../../../docs/guide/caching.md")]
    mod caching {}

    #[doc = include_str!("../../../docs/guide/cookies.md")]
    mod cookies {}

    #[doc = include_str!("../../../docs/guide/cors.md")]
    mod cors {}

    #[doc = include_str!("../../../docs/guide/errors.md")]
    mod errors {}

    #[doc = include_str!("../../../docs/guide/grpc.md")]
    mod grpc {}

    #[doc = include_str!("../../../docs/guide/issuing.md")]
    mod issuing {}

    #[doc = include_str!("../../../docs/guide/keys.md")]
    mod keys {}

    #[doc = include_str!("../../../docs/guide/logout.md")]
    mod logout {}

    #[doc = include_str!("../../../docs/guide/mcp.md")]
    mod mcp {}

    #[doc = include_str!("../../../docs/guide/migrating.md")]
    mod migrating {}

    #[doc = include_str!("../../../docs/guide/mutual_tls.md")]
    mod mutual_tls {}

    #[doc = include_str!("../../../docs/guide/operations.md")]
    mod operations {}

    #[doc = include_str!("../../../docs/guide/performance.md")]
    mod performance {}

    #[doc = include_str!("../../../docs/guide/post_quantum.md")]
    mod post_quantum {}

    #[doc = include_str!("../../../docs/guide/providers.md")]
    mod providers {}

    #[doc = include_str!("../../../docs/guide/quick_start.md")]
    mod quick_start {}

    #[doc = include_str!("../../../docs/guide/reload.md")]
    mod reload {}

    #[doc = include_str!("../../../docs/guide/requirements.md")]
    mod requirements {}

    #[doc = include_str!("../../../docs/guide/revocation.md")]
    mod revocation {}

    #[doc = include_str!("../../../docs/guide/security_model.md")]
    mod security_model {}

    #[doc = include_str!("../../../docs/guide/sender_constrained.md")]
    mod sender_constrained {}

    #[doc = include_str!("../../../docs/guide/sessions.md")]
    mod sessions {}

    #[doc = include_str!("../../../docs/guide/websockets.md")]
    mod websockets {}
}

/// What the page of each crate says.
#[cfg(doctest)]
mod readme_of {
    #[doc = include_str!("../../../crates/portcullis/README.md")]
    mod core {}

    #[doc = include_str!("../../../crates/portcullis-actix/README.md")]
    mod actix {}

    #[doc = include_str!("../../../crates/portcullis-axum/README.md")]
    mod axum {}

    #[doc = include_str!("../../../crates/portcullis-redis/README.md")]
    mod redis {}

    #[doc = include_str!("../../../crates/portcullis-testkit/README.md")]
    mod testkit {}
}
