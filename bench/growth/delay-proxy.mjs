/**
 * A TCP proxy that makes its target seem far away: all bytes arrive later, in order, with nothing lost. A process of its
 * own, so that its turns are not the engine's.
 *
 *     node delay-proxy.mjs <host> <port> <ms to the target> <ms back>
 */
import { connect, createServer } from 'node:net';
import { answerParent } from '../process.mjs';

const [host = '', port, there, back] = process.argv.slice(2);

const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
  const target = connect({ host, port: Number(port), noDelay: true, allowHalfOpen: true });
  carry(client, target, Number(there));
  carry(target, client, Number(back));
});
const listening = new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));

answerParent(
  {
    async port() {
      await listening;
      return /** @type {import('node:net').AddressInfo} */ (server.address()).port;
    },
  },
  async () => process.exit(),
);

/** @param {import('node:net').Socket} from @param {import('node:net').Socket} to @param {number} ms */
function carry(from, to, ms) {
  const later = (/** @type {() => void} */ act) => (ms === 0 ? act() : setTimeout(act, ms));
  from.on('data', (bytes) => later(() => to.write(bytes)));
  from.on('end', () => later(() => to.end()));
  from.on('error', () => to.destroy());
  from.on('close', () => later(() => to.destroy()));
}
