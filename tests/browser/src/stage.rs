use serde_json::{Value, json};

use crate::browser::Browser;
use crate::cache::Cache;
use crate::sites::{Place, serve_pages, serve_tls};
use crate::{Service, ThirdPartyCookies};

/// A browser, the service, and the sites of others.
#[derive(Debug)]
pub struct Stage {
    browser: Browser,
    /// The service at [`API`](crate::API).
    pub service: Service,
    _cache: Option<Cache>,
}

impl Stage {
    /// Sets it up, or says on stderr that the test is left out. The browser sends what `SameSite` lets it.
    ///
    /// # Panics
    ///
    /// There is no browser where one is required, or it does not start.
    pub async fn or_leave_out(service: Service) -> Option<Self> {
        Self::with_or_leave_out(ThirdPartyCookies::Sent, service).await
    }

    /// As [`or_leave_out`](Self::or_leave_out), with a browser that is set so.
    ///
    /// # Panics
    ///
    /// There is no browser where one is required, or it does not start.
    pub async fn with_or_leave_out(cookies: ThirdPartyCookies, service: Service) -> Option<Self> {
        if !Browser::or_leave_out() {
            return None;
        }
        Some(Self::of(cookies, service, None).await)
    }

    /// As [`or_leave_out`](Self::or_leave_out), with a cache between the browser and the service, which stores what it may
    /// and gives it to everybody.
    ///
    /// # Panics
    ///
    /// There is no browser or no nginx where one is required, or it does not start.
    pub async fn behind_a_cache_or_leave_out(service: Service) -> Option<Self> {
        if !Browser::or_leave_out() || !Cache::or_leave_out() {
            return None;
        }
        let cache = Cache::start(service.port()).await;
        Some(Self::of(ThirdPartyCookies::Sent, service, Some(cache)).await)
    }

    async fn of(cookies: ThirdPartyCookies, service: Service, cache: Option<Cache>) -> Self {
        let front = match &cache {
            Some(cache) => Place::Socket(cache.socket()),
            None => Place::Port(service.port()),
        };
        let pages = serve_pages().await;
        // `http://dev.example` is the service without TLS.
        let hosts = format!(
            "MAP api.app.example:443 127.0.0.1:{}, MAP dev.example:80 127.0.0.1:{}, \
             MAP *.example:443 127.0.0.1:{}, MAP *.example:80 127.0.0.1:{pages}, \
             MAP * ~NOTFOUND, EXCLUDE localhost",
            serve_tls(front).await,
            service.port(),
            serve_tls(Place::Port(pages)).await,
        );
        Self { browser: Browser::start(&hosts, cookies).await, service, _cache: cache }
    }

    /// Opens a page, as if its address were typed in. The steps below are those of this page.
    pub async fn open(&self, url: &str) {
        self.browser.open(url).await;
    }

    /// Opens a page whose server sets a cookie.
    pub async fn open_setting(&self, origin: &str, cookie: &str) {
        let cookie = form_urlencoded::byte_serialize(cookie.as_bytes()).collect::<String>();
        self.open(&format!("{origin}/?cookie={cookie}")).await;
    }

    /// Takes away the cookies that the server of this page would get.
    pub async fn forget_cookies(&self, url: &str) {
        self.open(url).await;
        self.browser.forget_cookies().await;
    }

    /// Fetches, with credentials. Returns what the page's script sees: status and text, `opaque`, or
    /// the name of an error.
    pub async fn fetch(&self, method: &str, url: &str, init: Value) -> String {
        let script = "
            const answer = await fetch(arguments[1], { method: arguments[0], credentials: 'include', ...arguments[2] });
            return answer.type === 'opaque' ? 'opaque' : `${answer.status} ${await answer.text()}`.trim();";
        text(self.browser.run(script, vec![json!(method), json!(url), init]).await)
    }

    /// Has the page make a key that its scripts can use and not read (DPoP, RFC 9449). Returns its thumbprint.
    pub async fn make_key(&self) -> String {
        let script = "
            const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
            window.pair = await crypto.subtle.generateKey(algorithm, false, ['sign', 'verify']);
            const { crv, kty, x, y } = await crypto.subtle.exportKey('jwk', window.pair.publicKey);
            window.base64url = bytes => btoa(String.fromCharCode(...new Uint8Array(bytes)))
                .replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
            window.hash = async text =>
                window.base64url(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
            window.jwk = { crv, kty, x, y };
            return await window.hash(JSON.stringify(window.jwk));";
        text(self.browser.run(script, vec![]).await)
    }

    /// Fetches with a token that is bound to that key and a proof, made at this time: in seconds, by the page's clock. Returns
    /// what the page's script sees: status, the nonce that it is given, and text; or the name of an error.
    pub async fn fetch_with_proof(&self, url: &str, token: &str, time: i64, nonce: &str) -> String {
        let script = "
            const [url, token, iat, nonce] = arguments;
            const encode = value => window.base64url(new TextEncoder().encode(JSON.stringify(value)));
            const ath = await window.hash(token);
            const claims = { jti: crypto.randomUUID(), htm: 'GET', htu: url, iat, ath, ...(nonce && { nonce }) };
            const input = `${encode({ typ: 'dpop+jwt', alg: 'ES256', jwk: window.jwk })}.${encode(claims)}`;
            const signing = { name: 'ECDSA', hash: 'SHA-256' };
            const signature = await crypto.subtle.sign(signing, window.pair.privateKey, new TextEncoder().encode(input));
            const headers = { Authorization: `DPoP ${token}`, DPoP: `${input}.${window.base64url(signature)}` };
            const answer = await fetch(url, { headers });
            return `${answer.status} ${answer.headers.get('dpop-nonce')} ${await answer.text()}`;";
        let arguments = vec![json!(url), json!(token), json!(time), json!(nonce)];
        text(self.browser.run(script, arguments).await)
    }

    /// Opens so many tabs with this page, which fetch when they are [told](Self::all_tabs_fetch). The steps below are those of
    /// one more, with the same page.
    pub async fn open_tabs(&self, url: &str, count: usize) {
        let listen = "
            window.others = new BroadcastChannel('tabs');
            window.others.onmessage = async ({ data }) => {
                if (!data.url) return;
                const answer = await fetch(data.url, { method: data.method, credentials: 'include' });
                window.others.postMessage({ status: answer.status });
            };";
        for _ in 0..count {
            self.browser.open_tab(url).await;
            self.browser.run(listen, vec![]).await;
        }
        self.browser.open_tab(url).await;
    }

    /// Has all tabs that were opened fetch at once. Returns the statuses.
    pub async fn all_tabs_fetch(&self, method: &str, url: &str, count: usize) -> Vec<String> {
        let script = "
            const [method, url, count] = arguments;
            const others = new BroadcastChannel('tabs');
            const statuses = [];
            const all = new Promise(done => others.onmessage = ({ data }) => {
                if (data.status && statuses.push(data.status) === count) done();
            });
            others.postMessage({ method, url });
            await all;
            others.close();
            return statuses.join(' ');";
        let arguments = vec![json!(method), json!(url), json!(count)];
        let statuses = text(self.browser.run(script, arguments).await);
        statuses.split(' ').map(str::to_owned).collect()
    }

    /// Fetches, with credentials, while the page goes on.
    pub async fn fetch_meanwhile(&self, method: &str, url: &str) {
        let script = "
            window.meanwhile = fetch(arguments[1], { method: arguments[0], credentials: 'include' });";
        self.browser.run(script, vec![json!(method), json!(url)]).await;
    }

    /// The status of what was fetched meanwhile.
    pub async fn meanwhile(&self) -> String {
        text(self.browser.run("return `${(await window.meanwhile).status}`;", vec![]).await)
    }

    /// Goes back, as by the button.
    pub async fn go_back(&self) {
        self.browser.back().await;
    }

    /// What the page says.
    pub async fn page(&self) -> String {
        text(self.browser.run("return document.body.innerText;", vec![]).await)
    }

    /// Sends a form to an address, whose answer takes the page's place.
    pub async fn submit(&self, url: &str, enctype: &str, name: &str, value: &str) {
        let script = "
            const form = Object.assign(document.createElement('form'), { method: 'post', action: arguments[0], enctype: arguments[1] });
            form.append(Object.assign(document.createElement('input'), { name: arguments[2], value: arguments[3] }));
            document.body.append(form);
            form.submit();";
        let arguments = [url, enctype, name, value].map(Value::from).to_vec();
        self.browser.run(script, arguments).await;
    }

    /// Sends an ordinary form.
    pub async fn submit_form(&self, url: &str) {
        self.submit(url, "application/x-www-form-urlencoded", "note", "buy milk").await;
    }

    /// Follows a link, whose answer takes the page's place.
    pub async fn follow(&self, url: &str) {
        let script = "
            const link = Object.assign(document.createElement('a'), { href: arguments[0] });
            document.body.append(link);
            link.click();";
        self.browser.run(script, vec![json!(url)]).await;
    }

    /// Has the page ask the browser to fetch another ahead.
    pub async fn prefetch(&self, url: &str) {
        let script = "
            const link = Object.assign(document.createElement('link'), { rel: 'prefetch', href: arguments[0] });
            document.head.append(link);";
        self.browser.run(script, vec![json!(url)]).await;
    }

    /// Opens a WebSocket: `open` or `error`.
    pub async fn open_socket(&self, url: &str) -> String {
        let script = "
            const socket = new WebSocket(arguments[0]);
            return await new Promise(done => socket.onopen = socket.onerror = event => done(event.type));";
        text(self.browser.run(script, vec![json!(url)]).await)
    }

    /// What the page's scripts see of its cookies, after they set one themselves.
    pub async fn set_cookie(&self, cookie: &str) -> String {
        let script = "document.cookie = arguments[0]; return document.cookie;";
        text(self.browser.run(script, vec![json!(cookie)]).await)
    }

    /// What the page's scripts see of its cookies.
    pub async fn visible_cookies(&self) -> String {
        text(self.browser.run("return document.cookie;", vec![]).await)
    }

    /// The names of the cookies that the page's server would get.
    pub async fn cookies(&self) -> Vec<String> {
        self.browser.cookies().await
    }
}

/// What a fetch needs to send a token as JSON.
#[must_use]
pub fn login(token: &str) -> Value {
    json!({ "headers": { "Content-Type": "application/json" }, "body": json!({ "token": token }).to_string() })
}

fn text(value: Value) -> String {
    if let Value::String(text) = value { text } else { value.to_string() }
}
