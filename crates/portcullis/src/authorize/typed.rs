use super::Requirement;

/// A type that stands for a [`Requirement`], for extractors: a handler that takes one has it in its signature.
/// [`requirement!`](crate::requirement) makes such types.
#[diagnostic::on_unimplemented(
    message = "`{Self}` stands for no requirement",
    label = "not made by `portcullis::requirement!`",
    note = "make one: `portcullis::requirement! {{ pub ReadOrders = Requirement::scope(\"orders:read\"); }}`"
)]
pub trait Requires: Send + Sync + 'static {
    /// What it stands for.
    fn requirement() -> &'static Requirement;
}

/// Makes types that stand for requirements, for the extractors `Authorized` of `portcullis-axum` and
/// `portcullis-actix`.
///
/// ```
/// use portcullis::authorize::Requires;
/// use portcullis::Requirement;
///
/// portcullis::requirement! {
///     /// May see orders.
///     pub ReadOrders = Requirement::scope("orders:read");
///     /// May change them.
///     pub WriteOrders = Requirement::all_scopes(["orders:read", "orders:write"]);
/// }
/// assert_eq!(ReadOrders::requirement().to_string(), "the scope `orders:read`");
/// ```
#[macro_export]
macro_rules! requirement {
    ($($(#[$attribute:meta])* $visibility:vis $name:ident = $requirement:expr;)+) => {$(
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug)]
        $visibility struct $name;

        impl $crate::authorize::Requires for $name {
            fn requirement() -> &'static $crate::Requirement {
                static REQUIREMENT: ::std::sync::LazyLock<$crate::Requirement> =
                    ::std::sync::LazyLock::new(|| $requirement);
                &REQUIREMENT
            }
        }
    )+};
}
