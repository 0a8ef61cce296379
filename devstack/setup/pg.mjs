// Bundle the locked package pg (node-postgres) into src/pg.mjs, which src/hyperdrive.mjs imports: wrangler uploads modules of a
// Python Worker as they are, without a bundler. `make setup` runs this from the project's folder: `node devstack/setup/pg.mjs`.
import { renameSync } from "node:fs";
import { builtinModules } from "node:module";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("../../", import.meta.url));
const target = `${root}src/pg.mjs`;
const BUILTIN = new RegExp(`^(node:)?(${builtinModules.join("|")})$`);

// In workerd, Node's modules can be imported but not required. pg is CommonJS and calls `require`.
const nodeModules = {
  name: "node-modules",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: BUILTIN }, ({ path, kind }) => {
      const name = `node:${path.replace("node:", "")}`;
      return kind === "require-call" ? { path: name, namespace: "required" } : { path: name, external: true };
    });
    onLoad({ filter: /.*/, namespace: "required" }, ({ path }) => ({
      contents: `import it from ${JSON.stringify(path)}; module.exports = it;`,
    }));
  },
};

await build({
  stdin: { contents: 'export { Client, DatabaseError } from "pg";', resolveDir: root },
  outfile: `${target}.${process.pid}`,
  bundle: true,
  minify: true,
  format: "esm",
  platform: "neutral",
  mainFields: ["module", "main"],
  conditions: ["workerd"],
  // pg-native is optional, only works in Node, and is not installed.
  external: ["cloudflare:*", "pg-native"],
  plugins: [nodeModules],
  logLevel: "warning",
  legalComments: "inline",
});
renameSync(`${target}.${process.pid}`, target);
