// The modules are always there, so that other crates can link to them. Only rustdoc reads the text.
#![cfg_attr(all(doc, not(doctest)), doc = include_str!("guide/links.md"))]
#![cfg_attr(all(doc, not(doctest)), doc = include_str!("../docs/guide/README.md"))]
#![cfg_attr(any(not(doc), doctest), doc = "How to protect a service, page by page.")]

/// A page of `docs/guide`.
///
/// Where a forge shows the page, its pictures and the other pages are files beside it: definitions at the page's end say so. Of
/// two definitions the first counts. Those that come before the page here name modules and embedded pictures instead.
macro_rules! page {
    ($name:ident) => {
        #[cfg_attr(all(doc, not(doctest)), doc = include_str!("guide/links.md"))]
        #[cfg_attr(all(doc, not(doctest)), doc = include_str!("guide/pictures.md"))]
        #[cfg_attr(
            all(doc, not(doctest)),
            doc = include_str!(concat!("../docs/guide/", stringify!($name), ".md"))
        )]
        #[cfg_attr(any(not(doc), doctest), doc = "A page of the guide.")]
        pub mod $name {}
    };
}

page!(quick_start);
page!(providers);
page!(keys);
page!(requirements);
page!(errors);
page!(testing);
page!(migrating);
page!(cookies);
page!(cors);
page!(websockets);
page!(grpc);
page!(mcp);
page!(caching);
page!(revocation);
page!(logout);
page!(reload);
page!(operations);
page!(security_model);
page!(performance);
