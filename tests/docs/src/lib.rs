//! The code in the project's README and recipes compiles and runs, as doctests of this crate.
#![cfg_attr(doctest, doc = include_str!("../../../README.md"))]

#[cfg(doctest)]
#[doc = include_str!("../../../docs/recipes/cookies-in-a-single-page-app.md")]
mod cookies_in_a_single_page_app {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/errors.md")]
mod guide_errors {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/grpc.md")]
mod guide_grpc {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/mcp.md")]
mod guide_mcp {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/migrating.md")]
mod guide_migrating {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/performance.md")]
mod guide_performance {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/providers.md")]
mod guide_providers {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/security_model.md")]
mod guide_security_model {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/websockets.md")]
mod guide_websockets {}

#[cfg(doctest)]
#[doc = include_str!("../../../crates/portcullis/README.md")]
mod readme_of_the_core {}

#[cfg(doctest)]
#[doc = include_str!("../../../crates/portcullis-actix/README.md")]
mod readme_of_actix {}

#[cfg(doctest)]
#[doc = include_str!("../../../crates/portcullis-axum/README.md")]
mod readme_of_axum {}

#[cfg(doctest)]
#[doc = include_str!("../../../crates/portcullis-redis/README.md")]
mod readme_of_redis {}

#[cfg(doctest)]
#[doc = include_str!("../../../crates/portcullis-testkit/README.md")]
mod readme_of_testkit {}
