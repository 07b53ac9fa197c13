/** The report as people read it. */

/** @param {Awaited<ReturnType<typeof import('./run.mjs').runBench>>} report */
export function table(report) {
  const { machine, server, rounds, quick, profiled, figures, wrong, notMeasured, whereTimeGoes } = report;
  const head = [
    `Perdure ${report.perdure}, ${report.at}`,
    `${machine.cores} cores (${machine.cpu}), ${machine.memoryGiB} GiB, ${machine.platform}, Node ${machine.node}; load ${machine.loadBefore.toFixed(1)} before, ${machine.loadAfter.toFixed(1)} after`,
    `Postgres ${server.server_version}, fsync ${server.fsync}, synchronous_commit ${server.synchronous_commit}, full_page_writes ${server.full_page_writes}, shared_buffers ${server.shared_buffers}`,
    `${rounds} ${rounds === 1 ? 'round' : 'rounds, interleaved; medians'}; sizes: ${sizesOf(report.sizes)}`,
    ...(quick ? ['Quick: small sizes, one round. The figures say that it works, not how fast it is.'] : []),
    ...(profiled ? ['Profiled: slower than without.'] : []),
    ...(machine.loadBefore > machine.cores / 2
      ? ['The machine was busy before this began: times say little then, CPU, WAL and calls per step still do.']
      : []),
    ...(rounds < 3 && !quick ? ['Fewer than 3 rounds: noise may decide.'] : []),
  ];
  const rows = figures.map((figure) => [
    figure.name,
    figure.label,
    `${shown(figure.median, figure.digits)} ${figure.unit}`.trim(),
    rounds === 1 ? '' : `${shown(figure.least, figure.digits)} - ${shown(figure.most, figure.digits)}`,
    markOf(figure),
  ]);
  return [
    ...head,
    '',
    ...columns([['figure', '', 'median', 'least - most', 'mark'], ...rows]),
    '',
    'Not measured:',
    ...notMeasured.map((line) => `- ${line}`),
    ...(whereTimeGoes === undefined ? [] : ['', ...profileLines(whereTimeGoes)]),
    '',
    ...(wrong.length === 0 ? ['All results were right.'] : ['WRONG RESULTS:', ...wrong.map((line) => `- ${line}`)]),
  ].join('\n');
}

/** @param {Record<string, Record<string, number>>} sizes */
function sizesOf(sizes) {
  return Object.entries(sizes)
    .map(([name, size]) => `${name} ${Object.values(size).map(String).join('/')}`)
    .join(', ');
}

/** @param {{ mark?: { least?: number, most?: number }, reached?: boolean, digits?: number, unit: string }} figure */
function markOf({ mark, reached, unit }) {
  if (mark === undefined) return '';
  const bound =
    mark.least === undefined ? `<= ${mark.most?.toLocaleString('en')}` : `>= ${mark.least.toLocaleString('en')}`;
  return `${bound} ${unit}`.trim() + (reached ? '  reached' : '  MISSED');
}

/** @param {NonNullable<Awaited<ReturnType<typeof import('./run.mjs').runBench>>['whereTimeGoes']>} profile */
function profileLines({ functions, sqlCalls, sqlFunctions }) {
  return [
    'Engine process, by self time (idle left out):',
    ...columns(
      functions.map(({ name, selfMs, share }) => [name, `${shown(selfMs, 0)} ms`, `${shown(share * 100, 1)} %`]),
    ),
    '',
    'SQL calls of the engine process (time: from sending to the answer being handled):',
    ...columns([
      ['call', 'calls', 'ms', 'ms each'],
      ...sqlCalls.map(({ name, calls, ms }) => [name, shown(calls, 0), shown(ms, 0), shown(ms / calls, 2)]),
    ]),
    '',
    'Functions in the database:',
    ...columns([
      ['function', 'calls', 'self ms', 'total ms', 'total ms each'],
      ...sqlFunctions.map(({ name, calls, selfMs, totalMs }) => [
        name,
        shown(calls, 0),
        shown(selfMs, 0),
        shown(totalMs, 0),
        shown(totalMs / calls, 3),
      ]),
    ]),
  ];
}

/** @param {number} value */
function shown(value, digits = 0) {
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** The first two columns to the left, numbers to the right. @param {string[][]} rows */
function columns(rows) {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const isNumber = widths.map((_, column) => rows.slice(1).every((row) => /^[-\d]|^$/.test(row[column] ?? '')));
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return isNumber[column] ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd(),
  );
}
