// Sends a request, and once more if the session could be refreshed.
const refresh = async () => (await fetch("/session/refresh", { method: "POST" })).ok;
// One tab at a time: another would only ask for what this one is given.
const inTurn = () => (navigator.locks ? navigator.locks.request("refresh", refresh) : refresh());
const request = async (url) => {
  const answer = await fetch(url);
  return answer.status === 401 && (await inTurn()) ? fetch(url) : answer;
};

// The button of the home page. Without a script, it is a link.
const [call, output] = ["call", "answer"].map((id) => document.getElementById(id));
call?.addEventListener("click", async (event) => {
  event.preventDefault();
  const answer = await request(call.href);
  output.textContent = `${answer.status} ${await answer.text()}`;
  output.hidden = false;
});

// A page that the access token was too old for.
if (document.querySelector("[data-refresh]") && (await request("/api/me")).ok) location.reload();
