import { defineConfig } from "@playwright/test";

const executablePath = process.env.PLATFORM_TEST_CHROMIUM;
const isRoot = process.getuid?.() === 0;

/** `cargo xtask ui-test` starts a platform for these tests and names it in `PLATFORM_URL`. */
export default defineConfig({
  testDir: "e2e",
  outputDir: "test-results",
  timeout: 40_000,
  expect: { timeout: 10_000 },
  // The tests share a platform with few users and a scripted model.
  workers: 2,
  fullyParallel: false,
  forbidOnly: Boolean(process.env.CI),
  retries: 0,
  reporter: "list",
  use: {
    baseURL: process.env.PLATFORM_URL,
    viewport: { width: 1440, height: 900 },
    screenshot: "only-on-failure",
    launchOptions: { executablePath, chromiumSandbox: !isRoot, args: ["--force-prefers-reduced-motion"] },
  },
});
