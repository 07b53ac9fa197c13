/** TypeScript modules of the tests in a script, as vitest would load them. */
import { createViteServer } from 'vitest/node';

/**
 * @param {string} path from the root of the project, e.g. `/test/support/code-bugs.ts`
 * @param {(module: any) => unknown} use What it is for; nothing more is loaded behind it.
 */
export async function withTypeScript(path, use) {
  const server = await createViteServer({
    server: { middlewareMode: true, hmr: false, ws: false, watch: null },
    optimizeDeps: { noDiscovery: true },
    appType: 'custom',
    logLevel: 'error',
    configFile: false,
  });
  try {
    return await use(await server.ssrLoadModule(path));
  } finally {
    await server.close();
  }
}
