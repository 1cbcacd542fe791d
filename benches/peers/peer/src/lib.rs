//! What the programs of this benchmark have in common: the tokens, the claims, the requests, the
//! clock, and the talk with the driver.
mod cases;
mod orders;
mod program;

pub use self::cases::{Case, Cases, Claims, SUBJECT};
pub use self::orders::{Answer, Hello, Order};
pub use self::program::{Library, Program};
