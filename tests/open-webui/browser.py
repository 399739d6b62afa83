"""Uses Open WebUI as a person does, in Chromium: python browser.py CHROMIUM URL QUESTION SCREENSHOT.

Prints what the person sees, as JSON: the answer's text with its markers, the number of sources, and the quote that
opens behind each marker. tests/it/open_webui.rs judges it. What cannot be found on the page is raised.
"""

import json
import sys

from playwright.sync_api import expect, sync_playwright

# Open WebUI compiles nothing, but its first page loads several megabytes of scripts.
PATIENCE_MS = 90_000


def main():
    chromium, url, question, screenshot = sys.argv[1:]
    with sync_playwright() as playwright:
        # Chromium's own sandbox does not start as root.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        page.set_default_timeout(PATIENCE_MS)
        try:
            page.goto(url)
            # What is new in this version is shown to each user once.
            page.get_by_role("button", name="Okay, Let's Go!").click()
            seen = ask(page, question)
            print(json.dumps(seen))
        finally:
            page.screenshot(path=screenshot)
            browser.close()


def ask(page, question):
    page.locator("#chat-input").click()
    page.keyboard.type(question)
    page.keyboard.press("Enter")
    answer = page.locator("#response-content-container")
    # The button to regenerate appears once the answer is complete.
    expect(page.get_by_role("button", name="Regenerate")).to_be_visible(timeout=PATIENCE_MS)
    sources = page.get_by_role("button", name="Toggle ")
    count = int(sources.get_attribute("aria-label").split()[1]) if sources.count() else 0
    markers = page.get_by_role("button", name="View source: ")
    return {
        "text": answer.inner_text(),
        "sources": count,
        "markers": [{"title": marker.inner_text(), "quote": quote_behind(page, marker)} for marker in markers.all()],
    }


def quote_behind(page, marker):
    """Opens a marker and reads the dialog with its source."""
    marker.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    text = dialog.inner_text()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    return text


if __name__ == "__main__":
    main()
