import { describe, expect, it } from 'vitest';
import { carrierFrom, carrierText, givenTrace, traceIdsOf } from './carrier.js';

const traceId = '0af7651916cd43dd8448eb211c80319c';
const spanId = 'b7ad6b7169203331';
const parent = `00-${traceId}-${spanId}-01`;

describe('a trace context', () => {
  it.each([
    [{ traceparent: parent }, parent],
    [{ traceparent: parent, baggage: 'tenant=a' }, JSON.stringify({ traceparent: parent, baggage: 'tenant=a' })],
    [{ b3: 'x' }, '{"b3":"x"}'],
  ])('%j is stored as %s and read back', (carrier, text) => {
    expect(carrierText(carrier)).toBe(text);
    expect(carrierFrom(text)).toEqual(carrier);
  });

  it('tells its ids', () => {
    expect(traceIdsOf(parent)).toEqual({ traceId, spanId });
    expect(traceIdsOf(JSON.stringify({ traceparent: parent, baggage: 'a=b' }))).toEqual({ traceId, spanId });
    expect(traceIdsOf('{"b3":"x"}')).toBeNull();
    expect(traceIdsOf(null)).toBeNull();
  });
});

describe('the ids given to a start', () => {
  const given = (ids: object) => givenTrace('start', ids);

  it('are stored; a missing span is drawn', () => {
    expect(given({})).toBeNull();
    expect(given({ workflowTrace: traceId, workflowSpan: spanId })).toBe(parent);
    expect(given({ workflowTrace: traceId })).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`));
  });

  it.each([
    [{ workflowSpan: spanId }, /^start: workflowTrace must be a trace's id: 32 hexadecimal digits/],
    [{ workflowTrace: parent }, /^start: workflowTrace must be a trace's id/],
    [{ workflowTrace: '0'.repeat(32) }, /^start: workflowTrace must be/],
    [{ workflowTrace: traceId.toUpperCase() }, /^start: workflowTrace must be/],
    [{ workflowTrace: traceId, workflowSpan: traceId }, /^start: workflowSpan must be a span's id/],
    [{ workflowTrace: traceId, workflowSpan: 7 }, /^start: workflowSpan must be a span's id.*got 7/],
  ])('are refused when they are none: %j', (ids, message) => {
    expect(() => given(ids)).toThrow(message);
  });
});
