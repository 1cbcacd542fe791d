//! Fetching over HTTP: key sets, and lists of statuses.
mod address;
mod client;
mod http;
mod setting;
mod thread;

pub use self::address::{AddressFault, AllowHttp};
pub(crate) use self::address::{PlainHosts, is_proxy, shown};
pub use self::client::ReqwestClient;
pub use self::http::{HttpClient, HttpError, HttpFuture, HttpRequest, HttpResponse};
pub(crate) use self::http::{retry_after, seconds};
pub use self::setting::SettingFault;
pub(crate) use self::thread::Thread;
