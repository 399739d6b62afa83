import { cp, mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const dist = join(import.meta.dirname, "dist");
const platform = process.env.PLATFORM_URL ?? "http://127.0.0.1:8000";

/** Data that pdf.js loads while it shows a document, in the folder `pdfjs`. */
const PDFJS_FOLDERS = ["cmaps", "standard_fonts"];
/** Files that are worth compressing. The others are compressed in themselves. */
const COMPRESSIBLE = /\.(js|mjs|css|svg|json|webmanifest)$/;
/** A compressed form is kept if it is at most this part of the file. */
const WORTHWHILE = 0.9;

async function files(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

async function compress(path: string) {
  const content = await readFile(path);
  const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } };
  const forms = [
    { extension: "br", bytes: await promisify(brotliCompress)(content, quality) },
    { extension: "gz", bytes: await promisify(gzip)(content, { level: 9 }) },
  ];
  for (const { extension, bytes } of forms) {
    if (bytes.length <= content.length * WORTHWHILE) await writeFile(`${path}.${extension}`, bytes);
  }
}

/** Copies what pdf.js loads at run time, and compresses what the server sends. */
function finishBuild(): Plugin {
  return {
    name: "finish-build",
    apply: "build",
    async closeBundle() {
      for (const folder of PDFJS_FOLDERS) {
        await mkdir(join(dist, "pdfjs"), { recursive: true });
        const source = join(import.meta.dirname, "node_modules", "pdfjs-dist", folder);
        await cp(source, join(dist, "pdfjs", folder), { recursive: true });
      }
      const compressible = (await files(dist)).filter((path) => COMPRESSIBLE.test(path));
      await Promise.all(compressible.map(compress));
    },
  };
}

export default defineConfig({
  base: "/ui/",
  plugins: [react(), tailwindcss(), finishBuild()],
  resolve: { alias: { "@": join(import.meta.dirname, "src") } },
  build: { assetsInlineLimit: 0, chunkSizeWarningLimit: 700, modulePreload: { polyfill: false } },
  server: { proxy: { "/v1": platform } },
  test: { environment: "jsdom", include: ["src/**/*.test.{ts,tsx}"] },
});
