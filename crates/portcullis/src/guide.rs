#![doc = include_str!("guide/links.md")]
#![doc = include_str!("../docs/guide/README.md")]

/// A page of `docs/guide`.
///
/// Where a forge shows the page, the pictures and the other pages are files beside it: definitions at its end say so. Of two
/// definitions the first counts, and so those that come before the page here name modules and embedded pictures instead.
macro_rules! page {
    ($name:ident) => {
        #[doc = include_str!("guide/links.md")]
        #[doc = include_str!("guide/pictures.md")]
        #[doc = include_str!(concat!("../docs/guide/", stringify!($name), ".md"))]
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
