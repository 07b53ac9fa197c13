/**
 * Preloaded into every fixture. A test run that is itself killed runs no clean-up, and a worker it left behind would
 * retry a database that is gone for ever. The pipe on descriptor 3 closes when the parent dies, whatever the cause.
 */
import { Socket } from 'node:net';
import process from 'node:process';

const lifeline = new Socket({ fd: 3 });
lifeline.on('close', () => process.kill(process.pid, 'SIGKILL'));
lifeline.resume();
// A fixture that has nothing left to do may still end by itself.
lifeline.unref();
