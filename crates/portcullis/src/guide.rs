// The modules are always there, so that other crates can link to them. Only rustdoc reads the text.
#![cfg_attr(all(doc, not(doctest)), doc = include_str!("guide/links.md"))]
#![cfg_attr(all(doc, not(doctest)), doc = include_str!("../docs/guide/README.md"))]
#![cfg_attr(any(not(doc), doctest), doc = "How to protect a service, page by page.")]

/// A page of `docs/guide`.
///
/// Where a forge shows the page, its pictures and the other pages are files beside it: definitions at the page's end say so. Of
/// two definitions the first counts. Those that come before the page here name modules and embedded pictures instead.
macro_rules! page {
    ($name:ident, $file:literal) => {
        #[cfg_attr(all(doc, not(doctest)), doc = include_str!("guide/links.md"))]
        #[cfg_attr(all(doc, not(doctest)), doc = include_str!("guide/pictures.md"))]
        #[cfg_attr(all(doc, not(doctest)), doc = include_str!($file))]
        #[cfg_attr(any(not(doc), doctest), doc = "A page of the guide.")]
        pub mod $name {}
    };
}

page!(quick_start, "../docs/guide/quick_start.md");
page!(providers, "../docs/guide/providers.md");
page!(keys, "../docs/guide/keys.md");
page!(requirements, "../docs/guide/requirements.md");
page!(sender_constrained, "../docs/guide/sender_constrained.md");
page!(mutual_tls, "../docs/guide/mutual_tls.md");
page!(post_quantum, "../docs/guide/post_quantum.md");
page!(errors, "../docs/guide/errors.md");
page!(testing, "../docs/guide/testing.md");
page!(issuing, "../docs/guide/issuing.md");
page!(sessions, "../docs/guide/sessions.md");
page!(migrating, "../docs/guide/migrating.md");
page!(cookies, "../docs/guide/cookies.md");
page!(cors, "../docs/guide/cors.md");
page!(websockets, "../docs/guide/websockets.md");
page!(grpc, "../docs/guide/grpc.md");
page!(mcp, "../docs/guide/mcp.md");
page!(caching, "../docs/guide/caching.md");
page!(revocation, "../docs/guide/revocation.md");
page!(logout, "../docs/guide/logout.md");
page!(reload, "../docs/guide/reload.md");
page!(operations, "../docs/guide/operations.md");
page!(security_model, "../docs/guide/security_model.md");
page!(performance, "../docs/guide/performance.md");
