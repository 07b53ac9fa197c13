// @ts-check
/** The demo's command line. */
import { parseArgs } from 'node:util';

const help = `npm run demo -- [options]

  --orders n    how many orders (200)
  --kills n     how many times a process is killed and started again (3)
  --url url     run on this Postgres instead of PGlite; also DATABASE_URL
  --workers n   worker processes, on Postgres only (3)
  --keep        go on with what the last run left, instead of beginning with nothing`;

export function readOptions() {
  const { values } = parse();
  if (values.help) {
    console.log(help);
    process.exit(0);
  }
  return {
    orders: wholeNumber('orders', values.orders, 1),
    kills: wholeNumber('kills', values.kills, 0),
    workers: wholeNumber('workers', values.workers, 1),
    url: values.url || process.env.DATABASE_URL || undefined,
    keep: values.keep,
  };
}

function parse() {
  try {
    return parseArgs({
      options: {
        orders: { type: 'string', default: '200' },
        kills: { type: 'string', default: '3' },
        workers: { type: 'string', default: '3' },
        url: { type: 'string' },
        keep: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

/** @param {string} name @param {string} text @param {number} least */
function wholeNumber(name, text, least) {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= least && text.trim() !== '') return number;
  return refuse(`--${name} must be a whole number, at least ${least}; got "${text}"`);
}

/** @param {string} message @returns {never} */
function refuse(message) {
  console.error(`${message}\n\n${help}`);
  process.exit(2);
}
