/** `ms` carries no types. Only its parsing half is used: milliseconds, or undefined for text it does not understand. */
declare module 'ms' {
  function ms(text: string): number | undefined;
  export = ms;
}
