/** TypeScript modules of the tests in a script, as vitest would load them. */
import { createViteServer } from 'vitest/node';

/**
 * @param {string} path from the root of the project, e.g. `/test/support/code-bugs.ts`
 * @param {(module: any) => unknown} use What it is for; nothing more is loaded behind it.
 * @param {import('vitest/node').Plugin[]} plugins Vite's, which may change what is loaded.
 */
export async function withTypeScript(path, use, plugins = []) {
  const server = await createViteServer({
    server: { middlewareMode: true, hmr: false, ws: false, watch: null },
    optimizeDeps: { noDiscovery: true },
    appType: 'custom',
    logLevel: 'error',
    configFile: false,
    plugins,
  });
  try {
    return await use(await server.ssrLoadModule(path));
  } finally {
    await server.close();
  }
}
