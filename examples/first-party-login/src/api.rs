//! The API, in JSON.
use portcullis::RequestView;
use portcullis::request::{ClientCertificate, PeerAddress};
use portcullis_issuer::routes::{BrowserLogin, SessionCookies};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::answer::{self, Answer};
use crate::label::label;
use crate::login::Refused;
use crate::passwords::Password;
use crate::service::{NATIVE, Service, User, WEB};

/// What is sent to sign up. It has no `Debug`, nor have the others: that would show the password.
#[derive(Deserialize)]
struct SignUp {
    name: String,
    password: Password,
}

/// What is sent to log in.
#[derive(Deserialize)]
struct LogIn {
    name: String,
    password: Password,
    /// Whether the browser may keep the session when it is closed.
    #[serde(default)]
    remember: bool,
    /// `native`: a program that keeps its tokens itself. `web`, or nothing: a browser.
    client: Option<String>,
}

/// What is sent to change the password.
#[derive(Deserialize)]
struct NewPassword {
    old_password: Password,
    new_password: Password,
}

impl Service {
    /// `POST /api/signup`: 201, or 409 where the name is taken.
    pub(crate) async fn api_sign_up(&self, request: &impl RequestView, body: &[u8]) -> Answer {
        let done = async {
            let request = ApiRequest::new(request)?;
            let _ = self.browser.check_login(&request)?;
            let SignUp { name, password } = read(body)?;
            self.sign_up(&name, password).await?;
            Ok(answer::done(201))
        };
        done.await.unwrap_or_else(answer::problem)
    }

    /// `POST /api/login`: 204 and the two cookies; for a native client 200, and the tokens as JSON (RFC 6749 §5.1).
    pub(crate) async fn api_log_in(&self, request: &impl RequestView, body: &[u8]) -> Answer {
        let done = async {
            let request = ApiRequest::new(request)?;
            let login = self.browser.check_login(&request)?;
            let LogIn { name, password, remember, client } = read(body)?;
            match client.as_deref() {
                None | Some(WEB) => {
                    let cookies = self.log_in(&request, &login, &name, password, remember).await?;
                    Ok(answer::with_session(answer::done(204), &cookies))
                }
                Some(NATIVE) => {
                    let attempt = self.authenticate(&name, password).await?;
                    let login = attempt.succeeded(NATIVE).amr(["pwd"]).remember(remember);
                    let begun = self.sessions.begin(login.label(label_of(&request))).await?;
                    Ok(answer::reply(self.native.answer_login(&begun)))
                }
                Some(_) => Err(Refused::Invalid("There is no such client.")),
            }
        };
        done.await.unwrap_or_else(answer::problem)
    }

    /// `GET /api/me`, behind the policy.
    pub(crate) fn api_me(&self, user: &User) -> Answer {
        let User { sub, sid, exp, preferred_username } = user;
        let expires_at = jiff::Timestamp::from_second(*exp).ok().map(|time| time.to_string());
        answer::json(&json!({
            "name": preferred_username,
            "subject": sub,
            "session": sid,
            "expires_at": expires_at,
        }))
    }

    /// `POST /api/password`: 204, and all other sessions of the user are over. A browser's answer has another access token;
    /// other clients refresh once, since those of before are refused.
    pub(crate) async fn api_change_password(
        &self,
        request: &impl RequestView,
        body: &[u8],
    ) -> Answer {
        let request = match ApiRequest::new(request) {
            Ok(request) => request,
            Err(refused) => return answer::problem(refused),
        };
        let user = match self.caller(&request).await {
            Ok(user) => user,
            Err(rejection) => return rejection.into_response(),
        };
        let done = async {
            let NewPassword { old_password, new_password } = read(body)?;
            self.change_password(&user, old_password, new_password).await
        };
        match done.await {
            Ok(()) => self.with_next_token(answer::done(204), &request).await,
            Err(refused) => answer::problem(refused),
        }
    }

    /// Begins the session of a browser. Returns its cookies.
    pub(crate) async fn log_in(
        &self,
        request: &impl RequestView,
        login: &BrowserLogin,
        name: &str,
        password: Password,
        remember: bool,
    ) -> Result<SessionCookies, Refused> {
        let attempt = self.authenticate(name, password).await?;
        let succeeded = login.succeeded(attempt).amr(["pwd"]).remember(remember);
        let begun = self.sessions.begin(succeeded.label(label_of(request))).await?;
        login.cookies(&begun).map_err(|_| Refused::Fault)
    }

    /// With another access token, where a browser asks: the one it has is refused from now on. What fails here, the page
    /// does later.
    pub(crate) async fn with_next_token(
        &self,
        answer: Answer,
        request: &impl RequestView,
    ) -> Answer {
        let refreshed = answer::reply(self.browser.refresh(request, self.browser.body()).await);
        answer::with_cookies_of(answer, &refreshed)
    }
}

fn label_of(request: &impl RequestView) -> String {
    let user_agent = request.header("user-agent").next();
    label(user_agent.and_then(|it| std::str::from_utf8(it).ok()).unwrap_or_default())
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    // Not the error, which quotes what was sent.
    serde_json::from_slice(body)
        .map_err(|_| Refused::Invalid("This is not the JSON that is asked for."))
}

/// Whether the request says that its content is of this type (RFC 9110 §8.3.1).
pub(crate) fn is_of_type(request: &impl RequestView, kind: &str) -> bool {
    let mut all = request.header("content-type");
    let (Some(only), None) = (all.next(), all.next()) else { return false };
    let essence = only.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(kind.as_bytes())
}

/// A request of JSON.
///
/// No page of another site sends JSON unless it is allowed to: the browser asks first (a preflight), and then says `Origin`.
/// So one that has neither `Origin` nor `Sec-Fetch-Site` comes from a program that is no browser, and passes: to the checks of
/// cookies it says that no page caused it.
struct ApiRequest<'r, R> {
    request: &'r R,
    is_of_no_page: bool,
}

impl<'r, R: RequestView> ApiRequest<'r, R> {
    fn new(request: &'r R) -> Result<Self, Refused> {
        if !is_of_type(request, "application/json") {
            return Err(Refused::MediaType);
        }
        let has = |name| request.header(name).next().is_some();
        Ok(Self { request, is_of_no_page: !has("origin") && !has("sec-fetch-site") })
    }
}

impl<R: RequestView> RequestView for ApiRequest<'_, R> {
    fn method(&self) -> &str {
        self.request.method()
    }

    fn authority(&self) -> Option<&str> {
        self.request.authority()
    }

    fn path(&self) -> Option<&str> {
        self.request.path()
    }

    fn query(&self) -> Option<&str> {
        self.request.query()
    }

    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let said = (self.is_of_no_page && name == "sec-fetch-site").then_some(&b"none"[..]);
        said.into_iter().chain(self.request.header(name))
    }

    fn peer(&self) -> Option<PeerAddress> {
        self.request.peer()
    }

    fn client_certificate(&self) -> Option<ClientCertificate> {
        self.request.client_certificate()
    }
}
