/** Names and texts in SQL that cannot take parameters: the migration script. */

/** Always quoted: a namespace may be `select`, or start with a digit. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function quoteLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** As {@link quoteLiteral}, whatever a session says of backslashes. */
export function quoteText(text: string): string {
  return ` E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}

/** The text between tags that it does not contain, however its own functions are quoted. */
export function dollarQuote(text: string): string {
  let tag = '$perdure$';
  for (let n = 1; text.includes(tag); n++) tag = `$perdure_${n}$`;
  return `${tag}${text}${tag}`;
}
