/**
 * The floor: what Postgres and `pg` give to somebody who only appends history rows, and does nothing else an engine
 * does. One process, one connection, one call in flight; each call commits whatever is ready.
 *
 * Measured in two ways. `rows`: 1,000 executions, each an async loop that awaits its row's commit before it makes the
 * next one, and arrays as `pg` takes them: the same work as the engine's, written plainly. `bare rows`: no executions at all,
 * arrays of rows prepared in advance and encoded by hand in Postgres' binary format: what the server could take.
 *
 * The table has the columns and the key of `history` as it was when this was written, and bodies like its own.
 */
import pg from 'pg';
import { answerParent } from './process.mjs';
import { median, percentile } from './statistics.mjs';

const SCHEMA = `
create schema floor;
create table floor.history (
  thread_no bigint not null,
  commit_no bigint not null,
  previous_commit_no bigint,
  at timestamptz not null,
  seq int not null,
  worker_no int not null,
  epoch int not null,
  opened_from int,
  opened_count int,
  resolved int,
  resolved_more int[],
  closes boolean not null,
  body text not null,
  outcome text,
  result text,
  primary key (thread_no, seq)
);
create function floor.append(
  p_thread_no bigint[], p_epoch int[], p_seq int[], p_commit_no bigint[], p_previous_commit_no bigint[],
  p_opened_from int[], p_opened_count int[], p_resolved int[], p_body text[]
) returns void
language plpgsql as $$
begin
  insert into floor.history (thread_no, commit_no, previous_commit_no, at, seq, worker_no, epoch,
    opened_from, opened_count, resolved, closes, body)
  select u.thread_no, u.commit_no, u.previous_commit_no, clock_timestamp(), u.seq, 1, u.epoch,
    u.opened_from, u.opened_count, u.resolved, false, u.body
  from unnest(p_thread_no, p_epoch, p_seq, p_commit_no, p_previous_commit_no, p_opened_from, p_opened_count, p_resolved, p_body)
    u (thread_no, epoch, seq, commit_no, previous_commit_no, opened_from, opened_count, resolved, body);
end $$;`;

const APPEND = {
  name: 'append',
  text: `select floor.append(
    $1::bigint[], $2::int[], $3::int[], $4::bigint[], $5::bigint[], $6::int[], $7::int[], $8::int[], $9::text[])`,
};
/** As many as the engine puts into one call. */
const MOST_ROWS = 500;

/** @typedef {{ threadNo: number, seq: number, commitNo: number, previousCommitNo: number }} Row */

const client = new pg.Client({ connectionString: process.argv[2] });
await client.connect();
await client.query(SCHEMA);
let threadsMade = 0;
let commitsMade = 0;

/** @param {{ sequences: number, length: number, repeats: number, commits: number }} size */
async function measure({ sequences, length, repeats, commits }) {
  const runs = [];
  const bare = [];
  for (let repeat = 0; repeat < repeats; repeat++) {
    runs.push(await timed(sequences, length, driveSequences));
    bare.push(await timed(sequences, length, appendSequences));
  }
  return {
    figures: {
      rowsPerSecond: median(runs.map((run) => run.rowsPerSecond)),
      bareRowsPerSecond: median(bare.map((run) => run.rowsPerSecond)),
      bodyBytes: median(runs.map((run) => run.bodyBytes)),
      commitMs: await commitMs(commits),
    },
    wrong: [...runs, ...bare].flatMap((run) => run.wrong),
  };
}

/** @param {readonly Row[]} rows */
async function append(rows) {
  await client.query({
    ...APPEND,
    values: [
      bigints(rows.map((row) => row.threadNo)),
      ints(rows.map(() => 1)),
      ints(rows.map((row) => row.seq)),
      bigints(rows.map((row) => row.commitNo)),
      bigints(rows.map((row) => row.previousCommitNo)),
      ints(rows.map((row) => row.seq)),
      ints(rows.map(() => 1)),
      ints(rows.map((row) => row.seq - 1)),
      texts(rows.map(bodyOf)),
    ],
  });
}

/** What the engine writes for a step of its own run of this shape. @param {Row} row */
function bodyOf({ seq, threadNo }) {
  return `[[${Date.now()},["done",${seq},${threadNo}],["bound","addOne",1234567890,${seq},[${threadNo}]]]]`;
}

/** @type {{ row: Row, committed: () => void }[]} */
let ready = [];
let isSending = false;

/** Commits whatever is ready, again and again. */
async function send() {
  isSending = true;
  await new Promise((resolve) => setImmediate(resolve));
  while (ready.length > 0) {
    const batch = ready.slice(0, MOST_ROWS);
    ready = ready.slice(MOST_ROWS);
    const rows = batch.map(({ row }) => row);
    await client.query({
      ...APPEND,
      values: [
        rows.map((row) => row.threadNo),
        rows.map(() => 1),
        rows.map((row) => row.seq),
        rows.map((row) => row.commitNo),
        rows.map((row) => row.previousCommitNo),
        rows.map((row) => row.seq),
        rows.map(() => 1),
        rows.map((row) => row.seq - 1),
        rows.map(bodyOf),
      ],
    });
    for (const { committed } of batch) committed();
  }
  isSending = false;
}

/** @param {Row} row @returns {Promise<void>} resolves when the row is durable */
function commit(row) {
  return new Promise((committed) => {
    ready.push({ row, committed });
    if (!isSending) void send();
  });
}

/** Executions, each awaiting every row of its own. @param {number} first @param {number} sequences @param {number} length */
async function driveSequences(first, sequences, length) {
  await Promise.all(
    Array.from({ length: sequences }, async (_, index) => {
      let previousCommitNo = 0;
      for (let seq = 0; seq < length; seq++) {
        const row = nextRow(first + index, seq, previousCommitNo);
        await commit(row);
        previousCommitNo = row.commitNo;
      }
    }),
  );
}

/** The same rows, without anybody who waits for one. @param {number} first @param {number} sequences @param {number} length */
async function appendSequences(first, sequences, length) {
  let rows = Array.from({ length: sequences }, (_, index) => nextRow(first + index, 0, 0));
  while (rows.length > 0) {
    const batch = rows.slice(0, MOST_ROWS);
    rows = rows.slice(MOST_ROWS);
    await append(batch);
    for (const row of batch) if (row.seq + 1 < length) rows.push(nextRow(row.threadNo, row.seq + 1, row.commitNo));
  }
}

/**
 * @param {number} sequences @param {number} length
 * @param {(first: number, sequences: number, length: number) => Promise<void>} run
 */
async function timed(sequences, length, run) {
  const first = threadsMade;
  threadsMade += sequences;
  const started = performance.now();
  await run(first, sequences, length);
  const seconds = (performance.now() - started) / 1000;
  const { rows } = await client.query(
    `select count(*)::int as count, count(*) filter (where exists (
       select from floor.history b where b.thread_no = h.thread_no and b.seq = h.seq - 1 and b.commit_no = h.previous_commit_no
     ))::int as linked, avg(length(h.body))::float8 as bytes
     from floor.history h where h.thread_no >= $1`,
    [first],
  );
  const [{ count, linked, bytes }] = rows;
  const wrong = [];
  if (count !== sequences * length) wrong.push(`floor: ${count} rows instead of ${sequences * length}`);
  if (linked !== sequences * (length - 1)) wrong.push(`floor: ${linked} rows follow their predecessor`);
  return { rowsPerSecond: count / seconds, bodyBytes: bytes, wrong };
}

/** Rows one at a time. @param {number} commits */
async function commitMs(commits) {
  const threadNo = threadsMade++;
  const times = [];
  for (let seq = 0; seq < commits; seq++) {
    const started = performance.now();
    await append([nextRow(threadNo, seq, commitsMade)]);
    times.push(performance.now() - started);
  }
  return percentile(times, 0.5);
}

/** @returns {Row} */
function nextRow(/** @type {number} */ threadNo, /** @type {number} */ seq, /** @type {number} */ previousCommitNo) {
  return { threadNo, seq, commitNo: ++commitsMade, previousCommitNo };
}

// Arrays in Postgres' binary format, without the checks an engine needs: dimensions, has-nulls, element oid, length,
// lower bound, then each item behind its size.

const HEADER = 20;

/** @param {number} oid @param {number} length @param {number} bytes */
function header(oid, length, bytes) {
  const buffer = Buffer.allocUnsafe(HEADER + bytes);
  buffer.writeInt32BE(1, 0);
  buffer.writeInt32BE(0, 4);
  buffer.writeInt32BE(oid, 8);
  buffer.writeInt32BE(length, 12);
  buffer.writeInt32BE(1, 16);
  return buffer;
}

/** @param {number[]} items */
function ints(items) {
  const buffer = header(23, items.length, items.length * 8);
  let at = HEADER;
  for (const item of items) at = buffer.writeInt32BE(item, buffer.writeInt32BE(4, at));
  return buffer;
}

/** @param {number[]} items */
function bigints(items) {
  const buffer = header(20, items.length, items.length * 12);
  let at = HEADER;
  for (const item of items) {
    at = buffer.writeInt32BE(8, at);
    at = buffer.writeInt32BE(Math.floor(item / 2 ** 32), at);
    at = buffer.writeUInt32BE(item >>> 0, at);
  }
  return buffer;
}

/** @param {string[]} items */
function texts(items) {
  const sizes = items.map((item) => Buffer.byteLength(item));
  const buffer = header(
    25,
    items.length,
    sizes.reduce((sum, size) => sum + size + 4, 0),
  );
  let at = HEADER;
  for (const [index, item] of items.entries()) {
    at = buffer.writeInt32BE(sizes[index] ?? 0, at);
    at += buffer.write(item, at);
  }
  return buffer;
}

answerParent({ measure }, () => client.end());
