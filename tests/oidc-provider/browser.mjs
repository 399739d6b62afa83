// A browser as far as the provider's pages need one: it keeps cookies, follows redirects and submits forms.

export class Browser {
  #cookies = new Map();
  #user;
  #code;

  // Signs in as this user, and enters this code where a page asks for one.
  constructor(user, code) {
    this.#user = user;
    this.#code = code;
  }

  // Opens an address, does what the pages ask, and returns the last page, or the first address that `stop` accepts.
  async visit(start, stop = () => false) {
    let url = new URL(start);
    let response = await this.#call(url);
    for (let hops = 0; hops < 20; hops += 1) {
      const location = response.headers.get("location");
      if (location) {
        url = new URL(location, url);
        if (stop(url)) return { url };
        response = await this.#call(url);
        continue;
      }
      const page = await response.text();
      if (response.status >= 400) throw new Error(`${url} answers ${response.status}: ${page}`);
      const form = this.#form(page);
      if (!form) return { url, page };
      url = new URL(form.action, url);
      response = await this.#call(url, { method: "POST", body: form.body });
    }
    throw new Error(`too many redirects, the last to ${url}`);
  }

  async #call(url, options = {}) {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(url, { redirect: "manual", ...options, headers: { cookie } });
    for (const set of response.headers.getSetCookie()) {
      const [pair] = set.split(";");
      this.#cookies.set(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1));
    }
    return response;
  }

  // The first form of a page, filled in.
  #form(page) {
    const form = /<form[^>]*>/.exec(page)?.[0];
    if (!form || !/method="post"/i.test(form)) return undefined;
    const body = new URLSearchParams();
    for (const [input] of page.matchAll(/<input[^>]*>/g)) {
      const field = /name="([^"]+)"/.exec(input)?.[1];
      const typed = { login: this.#user, password: "x", user_code: this.#code }[field];
      if (field) body.set(field, /value="([^"]*)"/.exec(input)?.[1] ?? typed ?? "");
    }
    return { action: /action="([^"]+)"/.exec(form)[1], body };
  }
}
