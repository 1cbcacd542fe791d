//! How to protect a service, page by page.
//!
//! Each page begins with what you want, shows the shortest code that does it, and then says what the code does, what else you
//! can choose, and what can go wrong. The code on the pages is compiled and run by the tests.
//!
//! New here? Read [quick start](quick_start), then [keys].
//!
//! # Protect a service
//!
//! | page | what you do there |
//! | --- | --- |
//! | [quick start](quick_start) | put a policy in front of axum or actix-web, keep it in a file, and find out why a token gets 401 |
//! | [providers] | accept the tokens of Keycloak, Auth0, Okta, Entra ID, Cognito and others, and set them up for that |
//! | [keys] | have keys fetched and rotated, read them from files, rotate a shared secret, trust several issuers or each tenant of a provider |
//! | [requirements] | let only callers with a certain scope or role into a route, or users who logged in a short while ago |
//! | [errors] | see what clients are told, and give refusals the form that your API has |
//! | [testing] | show in tests who gets into your app and who does not |
//! | [migrating] | come over from `jsonwebtoken` |
//!
//! # Browsers
//!
//! | page | what you do there |
//! | --- | --- |
//! | [cookies] | keep users of a browser app logged in without a script seeing the token |
//! | [cors] | let pages of another origin call your service, and read its refusals |
//! | [websockets] | open a WebSocket as a logged-in user, and end it with the token |
//!
//! # Other protocols
//!
//! | page | what you do there |
//! | --- | --- |
//! | [grpc] | accept only gRPC calls with a good token, and refuse others as gRPC clients understand it |
//! | [mcp] | tell clients of an MCP server where to get a token |
//!
//! # Run it
//!
//! | page | what you do there |
//! | --- | --- |
//! | [caching] | see what is remembered of a token, and what other caches may keep |
//! | [revocation] | end tokens before they expire, in one process or in a fleet |
//! | [logout] | end access tokens when a user logs out at the provider |
//! | [reload] | change the policy while the service runs |
//! | [operations] | read logs and metrics, set alerts, and look up what each reason means |
//! | [security model](security_model) | read what is refused and why, what is promised, and what is left to you |
//! | [performance] | see what a decision costs |

#[doc = include_str!("../docs/guide/quick_start.md")]
pub mod quick_start {}

#[doc = include_str!("../docs/guide/providers.md")]
pub mod providers {}

#[doc = include_str!("../docs/guide/keys.md")]
pub mod keys {}

#[doc = include_str!("../docs/guide/requirements.md")]
pub mod requirements {}

#[doc = include_str!("../docs/guide/errors.md")]
pub mod errors {}

#[doc = include_str!("../docs/guide/testing.md")]
pub mod testing {}

#[doc = include_str!("../docs/guide/migrating.md")]
pub mod migrating {}

#[doc = include_str!("../docs/guide/cookies.md")]
pub mod cookies {}

#[doc = include_str!("../docs/guide/cors.md")]
pub mod cors {}

#[doc = include_str!("../docs/guide/websockets.md")]
pub mod websockets {}

#[doc = include_str!("../docs/guide/grpc.md")]
pub mod grpc {}

#[doc = include_str!("../docs/guide/mcp.md")]
pub mod mcp {}

#[doc = include_str!("../docs/guide/caching.md")]
pub mod caching {}

#[doc = include_str!("../docs/guide/revocation.md")]
pub mod revocation {}

#[doc = include_str!("../docs/guide/logout.md")]
pub mod logout {}

#[doc = include_str!("../docs/guide/reload.md")]
pub mod reload {}

#[doc = include_str!("../docs/guide/operations.md")]
pub mod operations {}

#[doc = include_str!("../docs/guide/security_model.md")]
pub mod security_model {}

#[doc = include_str!("../docs/guide/performance.md")]
pub mod performance {}
