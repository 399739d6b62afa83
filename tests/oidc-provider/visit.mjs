// Opens an address of the provider as somebody in a browser does, and signs in.
// node visit.mjs URL USER [CODE] prints the text of the page on which that ends.
import { Browser } from "./browser.mjs";

const [url, user, code] = process.argv.slice(2);
const { page } = await new Browser(user, code).visit(url);
console.log(page.replace(/<(style|head)[^]*?<\/\1>/g, "").replace(/<[^>]+>/g, " ").replace(/\s+/g, " ").trim());
