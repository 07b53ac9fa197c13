/** The TypeScript in the documents that people begin with, held to the types of the package. */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, it } from 'vitest';
import { Durable } from '../src/index.js';

const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
const documents = [
  'from-hotmesh.md',
  'from-temporal.md',
  'testing.md',
  'upgrades.md',
  'operations.md',
  'transactions.md',
  'retention.md',
  'lifecycle-events.md',
  'visibility.md',
  'explain.md',
  'overload.md',
  'names.md',
  'high-availability.md',
  'roles.md',
];
const textOf = (document: string) => readFileSync(`${root}/docs/${document}`, 'utf8');

it(`what stands in ${documents.join(', ')} compiles`, () => {
  mkdirSync(`${root}/node_modules/.cache`, { recursive: true });
  const folder = mkdtempSync(`${root}/node_modules/.cache/documents-`);
  try {
    writeFileSync(
      `${folder}/activities.ts`,
      'export declare function charge(id: string): Promise<string>;\nexport declare function refund(id: string): Promise<string>;\n',
    );
    const files = documents.flatMap((document) => {
      const snippets = [...textOf(document).matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code as string);
      expect(snippets.length, document).toBeGreaterThan(0);
      return snippets.map((code, n) => {
        const file = `${folder}/${document}-${n}.ts`;
        writeFileSync(file, `${code}\nexport {};\n`);
        return file;
      });
    });
    const program = ts.createProgram(files, {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      types: ['node'],
      typeRoots: [`${root}/node_modules/@types`],
      paths: { perdure: [`${root}/src/index.ts`], 'perdure/testing': [`${root}/src/testing/index.ts`] },
    });
    const found = ts
      .getPreEmitDiagnostics(program)
      .filter(({ file }) => file?.fileName.startsWith(folder) ?? true)
      .map(({ file, messageText }) => [file?.fileName, ts.flattenDiagnosticMessageText(messageText, '\n')]);
    expect(found).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it('every call of a workflow stands in the table of names', () => {
  const [, inside = ''] = textOf('from-hotmesh.md').split('## Inside a workflow');
  const named = new Set([...inside.matchAll(/`(\w+)/g)].map(([, name]) => name));
  expect(Object.keys(Durable.workflow).filter((name) => !named.has(name))).toEqual([]);
});
