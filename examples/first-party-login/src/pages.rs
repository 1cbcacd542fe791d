//! The pages. They work without a script: forms are posted, and every one is checked for where it came from.
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use askama::Template;
use portcullis::{Rejection, RequestView};
use portcullis_issuer::ring::Phase;
use portcullis_issuer::{KeyStatus, Session, StoreTime};

use crate::answer::{self, Answer};
use crate::api::is_of_type;
use crate::login::Refused;
use crate::passwords::Password;
use crate::service::{Service, User};

/// What every page has.
struct Frame {
    /// Who is logged in.
    user: Option<Arc<User>>,
    /// Why the last form was refused.
    problem: Option<&'static str>,
}

impl Frame {
    fn of(user: &Arc<User>) -> Self {
        Self { user: Some(Arc::clone(user)), problem: None }
    }

    fn of_nobody() -> Self {
        Self { user: None, problem: None }
    }

    fn refused(mut self, refused: Refused) -> Self {
        self.problem = Some(refused.sentence());
        self
    }
}

#[derive(Template)]
#[template(path = "welcome.html")]
struct WelcomePage {
    frame: Frame,
}

#[derive(Template)]
#[template(path = "sign_up.html")]
struct SignUpPage {
    frame: Frame,
    name: String,
}

#[derive(Template)]
#[template(path = "log_in.html")]
struct LogInPage {
    frame: Frame,
    name: String,
    remember: bool,
}

/// For who was here before, and whose access token is over.
#[derive(Template)]
#[template(path = "go_on.html")]
struct GoOnPage {
    frame: Frame,
    /// The page that was asked for.
    to: &'static str,
}

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    frame: Frame,
    user: Arc<User>,
    /// When the access token ends.
    ends_at: String,
    ends_in: String,
}

#[derive(Template)]
#[template(path = "devices.html")]
struct DevicesPage {
    frame: Frame,
    devices: Vec<Device>,
}

/// A session, as its user knows it.
struct Device {
    id: String,
    label: String,
    is_native: bool,
    is_current: bool,
    is_remembered: bool,
    began: String,
    last_used: String,
    ends: String,
}

impl Device {
    fn of(session: &Session, here: &str, now: StoreTime) -> Self {
        let id = session.id().to_string();
        Self {
            label: session.label().unwrap_or("Another program").to_owned(),
            is_native: session.client() == crate::service::NATIVE,
            is_current: id == here,
            is_remembered: session.is_remembered(),
            began: ago(now.since(session.created_at())),
            last_used: ago(now.since(session.last_used_at())),
            ends: in_words(session.ends_at().since(now)),
            id,
        }
    }
}

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage {
    frame: Frame,
    issuer: String,
    keys: Vec<Key>,
}

/// A signing key, in words.
struct Key {
    id: String,
    algorithm: String,
    signs: bool,
    does: String,
}

impl Key {
    fn of(key: &KeyStatus, now: StoreTime) -> Self {
        let until = |time: StoreTime| in_words(time.since(now));
        let times = &key.times;
        let does = match (key.phase, times.signs_until, times.verifies_until) {
            (Phase::Unpublished, ..) => format!("is published in {}", until(times.published_at)),
            (Phase::Standby, ..) => format!("stands by, and signs in {}", until(times.signs_from)),
            (Phase::Signing, Some(end), _) => format!("signs for {} more", until(end)),
            (Phase::Signing, None, _) => "signs".to_owned(),
            (Phase::Retired, _, Some(end)) => {
                format!("signs no longer, and is published for {} more", until(end))
            }
            (Phase::Retired, _, None) => "signs no longer".to_owned(),
            (Phase::Gone, ..) => "is not published any more".to_owned(),
            (Phase::Withdrawn, ..) => "was withdrawn".to_owned(),
        };
        let (id, algorithm) = (key.key_id.clone(), key.algorithm.clone());
        Self { id, algorithm, signs: key.phase == Phase::Signing, does }
    }
}

/// Rounded up.
fn in_words(duration: Duration) -> String {
    match duration.as_millis().div_ceil(1000) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds.div_ceil(60)),
        seconds @ 7200..172_800 => format!("{} h", seconds.div_ceil(3600)),
        seconds => format!("{} days", seconds.div_ceil(86_400)),
    }
}

fn ago(duration: Duration) -> String {
    match duration.as_secs() {
        0..60 => "just now".to_owned(),
        seconds @ 60..7200 => format!("{} min ago", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

const HOME: &str = "/";
const DEVICES: &str = "/devices";
const KEYS: &str = "/keys";

/// A form as it was posted. Each name counts once, the first time.
struct Form(Vec<(String, String)>);

impl Form {
    fn read(request: &impl RequestView, body: &[u8]) -> Result<Self, Refused> {
        if !is_of_type(request, "application/x-www-form-urlencoded") {
            return Err(Refused::MediaType);
        }
        Ok(Self(form_urlencoded::parse(body).into_owned().collect()))
    }

    fn field(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(field, _)| field == name)?;
        Some(self.0.remove(at).1)
    }

    fn text(&mut self, name: &str) -> String {
        self.field(name).unwrap_or_default()
    }

    fn password(&mut self, name: &str) -> Password {
        Password::new(self.text(name))
    }
}

impl Service {
    /// `GET /`.
    pub(crate) async fn home(&self, request: &impl RequestView) -> Answer {
        match self.caller(request).await {
            Ok(user) => home(user, None),
            Err(rejection) if rejection.status() == 401 && !was_here(request) => {
                answer::page(200, &WelcomePage { frame: Frame::of_nobody() })
            }
            Err(rejection) => turned_away(&rejection, request, HOME),
        }
    }

    /// `GET /signup`.
    pub(crate) fn sign_up_page(&self) -> Answer {
        answer::page(200, &SignUpPage { frame: Frame::of_nobody(), name: String::new() })
    }

    /// `POST /signup`: makes the account, and logs in.
    pub(crate) async fn sign_up_form(&self, request: &impl RequestView, body: &[u8]) -> Answer {
        let mut name = String::new();
        let done = async {
            let login = self.browser.check_login(request)?;
            let mut form = Form::read(request, body)?;
            name = form.text("name");
            let password = form.password("password");
            self.sign_up(&name, password.clone()).await?;
            self.log_in(request, &login, &name, password, false).await
        };
        match done.await {
            Ok(cookies) => answer::with_session(answer::see_other(HOME), &cookies),
            Err(refused) => {
                let frame = Frame::of_nobody().refused(refused);
                answer::page(refused.status(), &SignUpPage { frame, name })
            }
        }
    }

    /// `GET /login`.
    pub(crate) fn log_in_page(&self) -> Answer {
        let page = LogInPage { frame: Frame::of_nobody(), name: String::new(), remember: false };
        answer::page(200, &page)
    }

    /// `POST /login`.
    pub(crate) async fn log_in_form(&self, request: &impl RequestView, body: &[u8]) -> Answer {
        let (mut name, mut remember) = (String::new(), false);
        let done = async {
            let login = self.browser.check_login(request)?;
            let mut form = Form::read(request, body)?;
            name = form.text("name");
            remember = form.field("remember").is_some();
            let password = form.password("password");
            self.log_in(request, &login, &name, password, remember).await
        };
        match done.await {
            Ok(cookies) => answer::with_session(answer::see_other(HOME), &cookies),
            Err(refused) => {
                let frame = Frame::of_nobody().refused(refused);
                answer::page(refused.status(), &LogInPage { frame, name, remember })
            }
        }
    }

    /// `POST /continue`: refreshes the session where there is no script that does.
    pub(crate) async fn continue_form(&self, request: &impl RequestView, body: &[u8]) -> Answer {
        let to = match Form::read(request, body) {
            Ok(mut form) => form.text("to"),
            Err(refused) => return sorry(refused),
        };
        let refreshed = answer::reply(self.browser.refresh(request, self.browser.body()).await);
        match refreshed.status().as_u16() {
            204 => {
                // A path of ours, whatever the form says.
                let to = [HOME, DEVICES, KEYS].into_iter().find(|path| *path == to);
                answer::with_cookies_of(answer::see_other(to.unwrap_or(HOME)), &refreshed)
            }
            401 => answer::see_other("/login"),
            403 => sorry(Refused::CrossSite),
            503 => sorry(Refused::Away),
            _ => sorry(Refused::Invalid("The session cannot go on.")),
        }
    }

    /// `POST /logout`.
    pub(crate) async fn log_out_form(&self, request: &impl RequestView) -> Answer {
        logged_out(&answer::reply(self.browser.log_out(request, self.browser.body()).await))
    }

    /// `POST /logout-everywhere`.
    pub(crate) async fn log_out_everywhere_form(&self, request: &impl RequestView) -> Answer {
        let reply = self.browser.log_out_everywhere(request, self.browser.body()).await;
        logged_out(&answer::reply(reply))
    }

    /// `GET /devices`.
    pub(crate) async fn devices(&self, request: &impl RequestView) -> Answer {
        let user = match self.caller(request).await {
            Ok(user) => user,
            Err(rejection) => return turned_away(&rejection, request, DEVICES),
        };
        // As many as a page has, which is more than a user may have.
        let Ok(sessions) = self.sessions.list(&user.sub, None, 100).await else {
            return sorry(Refused::Away);
        };
        let now = StoreTime::from(SystemTime::now());
        let devices = sessions.iter().map(|it| Device::of(it, &user.sid, now)).collect();
        answer::page(200, &DevicesPage { frame: Frame::of(&user), devices })
    }

    /// `POST /devices/{id}/end`: what `DELETE /sessions/{id}` does, for a form.
    pub(crate) async fn end_device_form(&self, request: &impl RequestView) -> Answer {
        let user = match self.caller(request).await {
            Ok(user) => user,
            Err(rejection) => return form_turned_away(&rejection, DEVICES),
        };
        let id = request.path().and_then(|path| path.rsplit('/').nth(1));
        let Some(id) = id.and_then(|id| id.parse().ok()) else {
            return sorry(Refused::Invalid("There is no such session."));
        };
        match self.sessions.end_of(&user.sub, id).await {
            // Not there, or over already: the list shows it.
            Ok(_) => answer::see_other(DEVICES),
            Err(error) => sorry(error.into()),
        }
    }

    /// `POST /password`.
    pub(crate) async fn password_form(&self, request: &impl RequestView, body: &[u8]) -> Answer {
        let user = match self.caller(request).await {
            Ok(user) => user,
            Err(rejection) => return form_turned_away(&rejection, HOME),
        };
        let done = async {
            let mut form = Form::read(request, body)?;
            let (old, new) = (form.password("old_password"), form.password("new_password"));
            self.change_password(&user, old, new).await
        };
        match done.await {
            Ok(()) => self.with_next_token(answer::see_other(HOME), request).await,
            Err(refused) => home(user, Some(refused)),
        }
    }

    /// `GET /keys`: the signing keys, which are public.
    pub(crate) async fn keys(&self, request: &impl RequestView) -> Answer {
        let frame = match self.caller(request).await {
            Ok(user) => Frame::of(&user),
            Err(_) => Frame::of_nobody(),
        };
        let Some(status) = self.issuer.status() else { return sorry(Refused::Away) };
        let keys = status.keys.iter().map(|key| Key::of(key, status.now)).collect();
        answer::page(200, &KeysPage { frame, issuer: self.issuer.id().to_owned(), keys })
    }

    /// `POST /keys/rotate`. DEMO ONLY: whoever is logged in has the keys rotated. A service leaves it to operators, by
    /// `portcullis ring rotate`.
    pub(crate) async fn rotate_form(&self, request: &impl RequestView) -> Answer {
        if let Err(rejection) = self.caller(request).await {
            return form_turned_away(&rejection, KEYS);
        }
        match self.issuer.rotate().await {
            Ok(()) => answer::see_other(KEYS),
            Err(error) => {
                tracing::error!("{error}");
                sorry(Refused::Away)
            }
        }
    }
}

fn home(user: Arc<User>, refused: Option<Refused>) -> Answer {
    let now = jiff::Timestamp::now();
    let ends = jiff::Timestamp::from_second(user.exp).unwrap_or(now);
    let left = Duration::try_from(ends.duration_since(now)).unwrap_or_default();
    let (frame, status) = match refused {
        Some(refused) => (Frame::of(&user).refused(refused), refused.status()),
        None => (Frame::of(&user), 200),
    };
    let ends_at = ends.strftime("%H:%M:%S UTC").to_string();
    answer::page(status, &HomePage { frame, user, ends_at, ends_in: in_words(left) })
}

/// Whether a cookie of the service came along: then there was a session, and it may go on.
fn was_here(request: &impl RequestView) -> bool {
    const PREFIX: &[u8] = b"__Host-Http-";
    request.header("cookie").any(|line| line.windows(PREFIX.len()).any(|part| part == PREFIX))
}

/// Who asks for a page without an access token that is good.
fn turned_away(rejection: &Rejection, request: &impl RequestView, to: &'static str) -> Answer {
    match rejection.status() {
        401 if was_here(request) => answer::page(401, &GoOnPage { frame: Frame::of_nobody(), to }),
        401 => answer::see_other("/login"),
        403 => sorry(Refused::CrossSite),
        _ => sorry(Refused::Away),
    }
}

/// Who posts a form without one: the page asks to go on, and shows the form again.
fn form_turned_away(rejection: &Rejection, to: &'static str) -> Answer {
    match rejection.status() {
        401 => answer::see_other(to),
        403 => sorry(Refused::CrossSite),
        _ => sorry(Refused::Away),
    }
}

fn logged_out(reply: &Answer) -> Answer {
    match reply.status().as_u16() {
        204 => answer::with_cookies_of(answer::see_other(HOME), reply),
        401 => answer::see_other("/login"),
        403 => sorry(Refused::CrossSite),
        503 => sorry(Refused::Away),
        _ => sorry(Refused::Invalid("The request cannot be used.")),
    }
}

/// A page that says why not, and nothing else.
fn sorry(refused: Refused) -> Answer {
    answer::page(refused.status(), &WelcomePage { frame: Frame::of_nobody().refused(refused) })
}

/// `GET /style.css`.
pub(crate) fn style() -> Answer {
    answer::asset("text/css; charset=utf-8", include_bytes!("../assets/style.css"))
}

/// `GET /refresh.js`.
pub(crate) fn script() -> Answer {
    answer::asset("text/javascript; charset=utf-8", include_bytes!("../assets/refresh.js"))
}

/// `GET /icon.svg`.
pub(crate) fn icon() -> Answer {
    answer::asset("image/svg+xml", include_bytes!("../assets/icon.svg"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_wrote_is_text_in_a_page() {
        let name = r#""><script>alert(1)</script>"#.to_owned();
        let page = LogInPage { frame: Frame::of_nobody(), name, remember: false };
        let page = page.render().expect("a page");
        assert!(!page.contains("<script>alert"), "{page}");
        assert!(page.contains("&#34;&#62;&#60;script&#62;alert(1)"), "{page}");
    }

    #[test]
    fn times_are_told_in_words() {
        let seconds = Duration::from_secs;
        assert_eq!(in_words(Duration::from_millis(1)), "1 s");
        assert_eq!(in_words(seconds(15 * 60)), "15 min");
        assert_eq!(in_words(seconds(30 * 86_400)), "30 days");
        assert_eq!(ago(seconds(59)), "just now");
        assert_eq!(ago(seconds(119)), "1 min ago");
    }
}
